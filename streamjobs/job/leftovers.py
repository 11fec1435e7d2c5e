"""Queries whose rows a replay may never make again: what they wrote before a crash would stay for ever.

Sinks are at-least-once: after a restart the query runs again from the last checkpoint, and meets its inputs
in another order. A query is safe if each key that it may have written since is written once more, whatever
that order is (docs/decisions/0029 and 0050). Read from the plan: pure, no Flink.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from streamjobs.job.explained import Operator

_PASSING = frozenset(
    {
        "Calc", "PythonCalc", "Correlate", "PythonCorrelate", "Exchange", "ChangelogNormalize", "Union",
        "DropUpdateBefore", "WatermarkAssigner", "MiniBatchAssigner", "ProcessTableFunction",
        "TableSourceScan", "DataStreamScan", "Values",
    }
)  # fmt: skip
"""Operators that give, for each row that comes, what they give for it in any order."""

_AGGREGATES = frozenset(
    {"GroupAggregate", "PythonGroupAggregate", "LocalGroupAggregate", "GlobalGroupAggregate"}
)
_MIXING = _AGGREGATES | {"Join", "Rank", "Deduplicate"}
"""Operators whose rows depend on more than one row that came."""

_JOIN_TYPE = re.compile(r"joinType=\[(\w+)\]")
_JOINS = {
    "InnerJoin": "an inner",
    "FullOuterJoin": "a full outer",
    "LeftSemiJoin": "a semi (IN, EXISTS)",
    "LeftAntiJoin": "an anti (NOT IN, NOT EXISTS)",
}
_RANKS = re.compile(r"rankStart=1, rankEnd=1\b")
_UNIQUE = "JoinKeyContainsUniqueKey"


STATE_TTL = "table.exec.state.ttl"
NEVER = "36500 d"
"""With a state TTL, also one that nobody lives to see, Flink's aggregates give unchanged results, too."""

_ZERO = re.compile(r"0+\s*\w*")


@dataclass(frozen=True)
class Untold:
    """The operator that may leave rows behind, and why, as the end of a sentence."""

    kind: str
    why: str


def untold(last: Operator) -> Untold | None:
    """Give the first operator, from the sink back, that may leave rows behind; None where all is told.

    `last` is what feeds the sink.
    """
    return next(_found(last), None)


def keeps_silent(last: Operator, *, mini_batch: bool) -> bool:
    """Whether an aggregate may come back to a result and give nothing, as it stays the same on the way.

    Without a state TTL it does: COUNT(DISTINCT …) stays at 1 where one of two equal values goes, a mini-batch
    of +5 and -5 leaves a SUM. In another order what is between is written; after a crash there it would stay.
    """
    if _inserts_only(last):
        return False
    if last.kind in _AGGREGATES and (mini_batch or not all(map(_inserts_only, last.inputs))):
        return True
    return any(keeps_silent(each, mini_batch=mini_batch) for each in last.inputs)


def has_ttl(settings: Mapping[str, str]) -> bool:
    """Whether a job's settings let its state expire."""
    return not _ZERO.fullmatch(settings.get(STATE_TTL, "0"))


def refusal(found: Untold, table: str) -> str:
    """What is told of a query that may leave rows behind."""
    return (
        f"this query {found.why}. A row that it has written since the last checkpoint would then stay in "
        f"{table} for ever if the job begins again there. Give every row, let a column of it be NULL where "
        "the row shall go (LEFT JOIN, CASE WHEN … END), and name that column in the table: "
        "'deleteWhenNull'='column'; or take such rows: 'acceptLeftovers'='true'"
    )


def _found(operator: Operator) -> Iterator[Untold]:
    if _inserts_only(operator):  # by event time: a replay gives each of these rows again
        return
    why = _why(operator)
    if why is not None:
        yield Untold(operator.kind, why)
    for each in operator.inputs:
        yield from _found(each)


def _why(operator: Operator) -> str | None:
    match operator.kind:
        case "Join":
            return _join(operator)
        case "Calc" | "PythonCalc" if " where=[" in operator.text and _mixes(operator):
            return (
                "keeps rows of a join or a group by a condition: in another order a row may never fulfil it"
            )
        case "Rank" if not _RANKS.search(operator.text):
            return "keeps more than the first row: in another order a row may never be among them"
        case kind if kind in _PASSING or kind in _MIXING:
            return None
        case kind:
            return f"has a {kind}, of which is not known whether it tells all rows in any order"


def _join(operator: Operator) -> str | None:
    found = _JOIN_TYPE.search(operator.text)
    kind = found[1] if found else "?"
    other = {"LeftOuterJoin": "right", "RightOuterJoin": "left"}.get(kind)
    if other is None:
        words = _JOINS.get(kind, f"a {kind}")
        return f"is {words} join of rows that change: in another order the two may never meet"
    if f"{other}InputSpec=[{_UNIQUE}]" not in operator.text:
        return f"is an outer join with several rows of its {other} side: in another order they may never meet"
    return None


def _mixes(operator: Operator) -> bool:
    return any(
        not _inserts_only(each) and not _is_latest(each) and (each.kind in _MIXING or _mixes(each))
        for each in operator.inputs
    )


def _is_latest(operator: Operator) -> bool:
    """Whether it is the latest row of each key of one topic ('ingest'='upsert', or by hand).

    A key's changes have one place in the log, and so one order.
    """
    if operator.kind != "Rank" or not _RANKS.search(operator.text):
        return False
    while operator.inputs:
        if len(operator.inputs) > 1 or not _inserts_only(operator.inputs[0]):
            return False
        (operator,) = operator.inputs
    return True


def _inserts_only(operator: Operator) -> bool:
    return operator.attribute("changelogMode") == ["I"]
