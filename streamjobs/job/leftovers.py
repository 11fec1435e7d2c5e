"""Queries whose rows a replay may never make again: what they wrote before a crash would stay for ever.

Sinks are at-least-once: after a restart the query runs again from the last checkpoint, and meets its inputs
in another order. A query is safe if each key that it may have written since is written once more, whatever
that order is (docs/decisions/0029 and 0050). Read from the plan: pure, no Flink.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from streamjobs.job.explained import Operator

_PASSING = frozenset(
    {
        "Calc", "PythonCalc", "Correlate", "PythonCorrelate", "Exchange", "ChangelogNormalize", "Union",
        "DropUpdateBefore", "WatermarkAssigner", "MiniBatchAssigner", "TableSourceScan", "DataStreamScan",
        "Values",
    }
)  # fmt: skip
"""Operators that give, for each row that comes, what they give for it in any order."""

_AGGREGATES = frozenset(
    {"GroupAggregate", "PythonGroupAggregate", "LocalGroupAggregate", "GlobalGroupAggregate"}
)
_GROUPS: Mapping[str, str] = dict.fromkeys(_AGGREGATES, "groupBy") | {
    "Rank": "partitionBy",
    "Deduplicate": "key",
}
"""Operators that give one row a group -> where their text names the group's columns."""

_JOIN_TYPE = re.compile(r"joinType=\[(\w+)\]")
_JOINS = {
    "InnerJoin": "an inner",
    "FullOuterJoin": "a full outer",
    "LeftSemiJoin": "a semi (IN, EXISTS)",
    "LeftAntiJoin": "an anti (NOT IN, NOT EXISTS)",
}
_RANKS = re.compile(r"rankStart=1, rankEnd=1\b")
_WORD = re.compile(r"[\w$]+")
_UNIQUE = "JoinKeyContainsUniqueKey"

STATE_TTL = "table.exec.state.ttl"
NEVER = "36500 d"
"""With a state TTL, also one that nobody lives to see, Flink's aggregates give unchanged results, too."""

_ZERO = re.compile(r"0+\s*\w*")
_COLUMN = (
    "Give every row, let a column of it be NULL where the row shall go (LEFT JOIN, CASE WHEN … END), and "
    "name that column in the table: 'deleteWhenNull'='column'"
)
_KEY = "Group and key by columns that a row has of its own"


@dataclass(frozen=True)
class Untold:
    """The operator that may leave rows behind, why (the end of a sentence), and what to do (a sentence)."""

    kind: str
    why: str
    cure: str = _COLUMN


def untold(last: Operator, key: Sequence[str] = ()) -> Untold | None:
    """Give what may leave rows behind, None where all is told.

    `last` is the operator that feeds the sink, `key` those of its columns that are the sink's key.
    """
    found: list[Untold] = []
    own = _own(last, found)
    if not found:
        found += _foreign("Sink", "keyed", key, own)
    return found[0] if found else None


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
        f"{table} for ever if the job begins again there. {found.cure}; or take such rows: "
        "'acceptLeftovers'='true'"
    )


def _own(operator: Operator, found: list[Untold]) -> set[str]:
    """Give the columns whose values a row has in any order, and add to `found` what may leave rows behind.

    A row's own columns come from the one row of a topic that it is made of: not from the partner of a join,
    not from what a group has in common, both of which may be another or none when the row comes.
    """
    if _inserts_only(operator) or _is_latest(operator):
        return set(operator.columns)  # a replay gives each of these rows again, in the same order of a key
    inputs = [_own(each, found) for each in operator.inputs]
    if operator.kind == "Join":
        found += _join(operator)
        return _joined(operator, inputs)
    if operator.kind in _GROUPS:
        columns = operator.attribute(_GROUPS[operator.kind])
        if operator.kind == "Rank" and not _RANKS.search(operator.text):
            why = "keeps more than the first row of a group: in another order a row may never be among them"
            found.append(Untold(operator.kind, why))
        found += _foreign(operator.kind, "grouped", columns, inputs[0])
        return set(columns)
    if operator.kind not in _PASSING:
        why = f"has a {operator.kind}, of which is not known whether it tells all rows in any order"
        found.append(Untold(operator.kind, why))
    return _passed(operator, inputs, found)


def _passed(operator: Operator, inputs: Sequence[set[str]], found: list[Untold]) -> set[str]:
    columns = operator.columns
    if not inputs:
        return set(columns)
    below = operator.inputs[0].columns
    if len(inputs) > 1:  # a union: by place
        each_own = [
            [name in own for name in each.columns] for each, own in zip(operator.inputs, inputs, strict=True)
        ]
        return {name for name, owns in zip(columns, zip(*each_own, strict=True), strict=True) if all(owns)}
    foreign = set(below) - inputs[0]
    if not foreign:
        return set(columns)
    if foreign.intersection(_words(operator.attribute("where"))):
        why = "keeps rows of a join or a group by a condition: in another order a row may never fulfil it"
        found.append(Untold(operator.kind, why))
    if operator.kind in ("Correlate", "PythonCorrelate"):
        return inputs[0]
    given = operator.attribute("select")
    if not given:
        return inputs[0]
    return {
        name
        for name, text in zip(columns, given, strict=True)
        if not foreign.intersection(_words([text.rpartition(" AS ")[0] or text]))
    }


def _join(operator: Operator) -> list[Untold]:
    match = _JOIN_TYPE.search(operator.text)
    kind = match[1] if match else "?"
    other = {"LeftOuterJoin": "right", "RightOuterJoin": "left"}.get(kind)
    if other is None:
        words = _JOINS.get(kind, f"a {kind}")
        return [
            Untold("Join", f"is {words} join of rows that change: in another order the two may never meet")
        ]
    if f"{other}InputSpec=[{_UNIQUE}]" not in operator.text:
        why = f"is an outer join with several rows of its {other} side: in another order they may never meet"
        return [Untold("Join", why)]
    return []


def _joined(operator: Operator, inputs: Sequence[set[str]]) -> set[str]:
    """The own columns of an outer join: those of the side whose rows are all kept; by place, names change."""
    left, right = (each.columns for each in operator.inputs)
    kept = [name in inputs[0] for name in left] + [False] * len(right)
    if "joinType=[RightOuterJoin]" in operator.text:
        kept = [False] * len(left) + [name in inputs[1] for name in right]
    return {name for name, own in zip(operator.columns, kept, strict=False) if own}


def _foreign(kind: str, verb: str, columns: Iterable[str], own: set[str]) -> list[Untold]:
    missing = [name for name in columns if name not in own]
    if not missing:
        return []
    why = (
        f"is {verb} by {missing[0]}, which a row has from the partner of a join or from a group: in another "
        "order it may never have had that value"
    )
    return [Untold(kind, why, _KEY)]


def _words(texts: Iterable[str]) -> set[str]:
    return {word for text in texts for word in _WORD.findall(text)}


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
