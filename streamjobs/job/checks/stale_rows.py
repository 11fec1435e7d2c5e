"""Queries whose rows a replay may never make again: what they wrote before a crash would stay for ever.

Sinks are at-least-once: after a restart the query runs again from the last checkpoint, and meets its inputs
in another order. A query is safe if each key that it may have written since is written once more, whatever
that order is (docs/decisions/0029 and 0050). Read from the plan: pure, no Flink.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from streamjobs.job.flink_plan.physical import Field, Operator

_PASSING = frozenset(
    {
        "Calc", "PythonCalc", "Correlate", "PythonCorrelate", "Exchange", "ChangelogNormalize", "Union",
        "DropUpdateBefore", "WatermarkAssigner", "MiniBatchAssigner", "TableSourceScan", "DataStreamScan",
        "Values", "Expand",
    }
)  # fmt: skip
"""Operators that give, for each row that comes, what they give for it in any order."""

_AGGREGATES = frozenset(
    {"GroupAggregate", "PythonGroupAggregate", "LocalGroupAggregate", "GlobalGroupAggregate"}
)
_GROUPS = _AGGREGATES | {"Rank"}
"""Operators that give one row a group, or the best ones of it."""

_JOINS = {
    "INNER": "an inner",
    "FULL": "a full outer",
    "SEMI": "a semi (IN, EXISTS)",
    "ANTI": "an anti (NOT IN, NOT EXISTS)",
}
_OTHER_SIDE = {"LEFT": 1, "RIGHT": 0}
"""Outer joins -> the side whose rows may be missing, counted from the left."""

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


def untold(last: Operator, key: Sequence[int] = ()) -> Untold | None:
    """Give what may leave rows behind, None where all is told.

    `last` is the operator that feeds the sink, `key` those of its columns that are the sink's key.
    """
    found: list[Untold] = []
    own = _own(last, found)
    if not found:
        found += _foreign("Sink", "keyed", key, own, last.fields)
    return found[0] if found else None


def keeps_silent(last: Operator, *, mini_batch: bool) -> bool:
    """Whether an aggregate may come back to a result and give nothing, as it stays the same on the way.

    Without a state TTL it does: COUNT(DISTINCT …) stays at 1 where one of two equal values goes, a mini-batch
    of +5 and -5 leaves a SUM. In another order what is between is written; after a crash there it would stay.
    """
    if last.inserts_only:
        return False
    if last.kind in _AGGREGATES and (mini_batch or not all(each.inserts_only for each in last.inputs)):
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


def _own(operator: Operator, found: list[Untold]) -> set[int]:
    """Give the columns whose values a row has in any order, and add to `found` what may leave rows behind.

    A row's own columns come from the one row of a topic that it is made of: not from the partner of a join,
    not from what a group has in common, both of which may be another or none when the row comes.
    """
    every = set(range(len(operator.fields)))
    if operator.inserts_only or _is_latest(operator):
        return every  # a replay gives each of these rows again, in the same order of a key
    below, start = set[int](), 0
    for each in operator.inputs:
        below |= {start + column for column in _own(each, found)}
        start += len(each.fields)
    if operator.kind == "Join":
        return _joined(operator, below, found)
    if operator.kind in _GROUPS:
        return _grouped(operator, below, found)
    if operator.kind not in _PASSING:
        why = f"has a {operator.kind}, of which is not known whether it tells all rows in any order"
        found.append(Untold(operator.kind, why))
    condition = operator.condition
    if condition is not None and not condition.uses <= below:
        why = "keeps rows of a join or a group by a condition: in another order a row may never fulfil it"
        found.append(Untold(operator.kind, why))
    return {place for place in every if operator.fields[place].uses <= below}


def _grouped(operator: Operator, below: set[int], found: list[Untold]) -> set[int]:
    if operator.kind == "Rank" and not operator.first_only:
        why = "keeps more than the first row of a group: in another order a row may never be among them"
        found.append(Untold(operator.kind, why))
    found += _foreign(operator.kind, "grouped", operator.groups, below, operator.input_fields)
    return {place for place, field in enumerate(operator.fields) if field.copy_of in operator.groups}


def _joined(operator: Operator, below: set[int], found: list[Untold]) -> set[int]:
    """The own columns of an outer join: those of the side whose rows are all kept."""
    other = _OTHER_SIDE.get(operator.join)
    if other is None:
        words = _JOINS.get(operator.join, f"a {operator.join.lower()}")
        why = f"is {words} join of rows that change: in another order the two may never meet"
        found.append(Untold("Join", why))
        return set()
    if not operator.one_partner[other]:
        side = ("left", "right")[other]
        why = f"is an outer join with several rows of its {side} side: in another order they may never meet"
        found.append(Untold("Join", why))
    right = len(operator.inputs[0].fields)
    kept = range(right) if other == 1 else range(right, len(operator.input_fields))
    return {place for place, f in enumerate(operator.fields) if f.copy_of in below and f.copy_of in kept}


def _foreign(
    kind: str, verb: str, columns: Iterable[int], own: set[int], fields: Sequence[Field]
) -> list[Untold]:
    missing = [fields[column].name for column in columns if column not in own]
    if not missing:
        return []
    why = (
        f"is {verb} by {missing[0]}, which a row has from the partner of a join or from a group: in another "
        "order it may never have had that value"
    )
    return [Untold(kind, why, _KEY)]


def _is_latest(operator: Operator) -> bool:
    """Whether it is the latest row of each key of one topic ('ingest'='upsert', or by hand).

    A key's changes have one place in the log, and so one order.
    """
    if operator.kind != "Rank" or not operator.first_only:
        return False
    while operator.inputs:
        if len(operator.inputs) > 1 or not operator.inputs[0].inserts_only:
            return False
        (operator,) = operator.inputs
    return True
