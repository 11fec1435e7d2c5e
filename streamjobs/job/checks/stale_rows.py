"""Finds queries that can leave stale rows: rows written before a crash that a replay may never make again.

Sinks are at-least-once: after a restart the query runs again from the last checkpoint, and reads its inputs
in another order. A query is safe if it writes each key again that it may have written since, in any order of
its inputs (docs/decisions/0029 and 0050). Works on the plan: pure, no Flink.
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
"""Operators whose output for a row does not depend on the order of rows."""

_AGGREGATES = frozenset(
    {"GroupAggregate", "PythonGroupAggregate", "LocalGroupAggregate", "GlobalGroupAggregate"}
)
_GROUPS = _AGGREGATES | {"Rank"}
"""Operators that emit one row per group, or the first ones of it."""

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
"""A state TTL that never expires in practice; with a TTL, Flink's aggregates emit unchanged results, too."""

_ZERO = re.compile(r"0+\s*\w*")
_COLUMN = (
    "Return every row, let a column of it be NULL if the row shall be deleted (LEFT JOIN, CASE WHEN … END), "
    "and name that column in the table: 'deleteWhenNull'='column'"
)
_KEY = "Group and key by columns that a row has of its own"


@dataclass(frozen=True)
class StaleRows:
    """An operator that can leave stale rows, why (the part of a sentence), and what to do (a sentence)."""

    kind: str
    why: str
    cure: str = _COLUMN


def stale_rows(last: Operator, key: Sequence[int] = ()) -> StaleRows | None:
    """Return the first operator that can leave stale rows after a restart, or None.

    `last` is the operator that feeds the sink, `key` are those of its columns that are the sink's key.
    """
    found: list[StaleRows] = []
    own = _own(last, found)
    if not found:
        found += _foreign("Sink", "keyed", key, own, last.fields)
    return found[0] if found else None


def suppresses_updates(last: Operator, *, mini_batch: bool) -> bool:
    """Return whether an aggregate can suppress an update because its value did not change.

    It can if there is no state TTL: COUNT(DISTINCT …) stays at 1 when one of two equal values is deleted, and
    a mini-batch of +5 and -5 does not change a SUM. In another order a value in between is written; after a
    crash at that point it would stay.
    """
    if last.inserts_only:
        return False
    if last.kind in _AGGREGATES and (mini_batch or not all(each.inserts_only for each in last.inputs)):
        return True
    return any(suppresses_updates(each, mini_batch=mini_batch) for each in last.inputs)


def has_ttl(settings: Mapping[str, str]) -> bool:
    """Return whether a job's settings let its state expire."""
    return not _ZERO.fullmatch(settings.get(STATE_TTL, "0"))


def refusal(found: StaleRows, table: str) -> str:
    """Return the error text for a query that can leave stale rows."""
    return (
        f"this query {found.why}. A row that it has written since the last checkpoint would then stay in "
        f"{table} for ever if the job restarts from there. {found.cure}; or accept such rows: "
        "'acceptLeftovers'='true'"
    )


def _own(operator: Operator, found: list[StaleRows]) -> set[int]:
    """Return the columns whose values a row has in any order; add to `found` what can leave stale rows.

    A row's own columns come from the one row of a topic that it is made of. The partner of a join and the
    result of a group do not count: when the row arrives, they may differ or be missing.
    """
    every = set(range(len(operator.fields)))
    if operator.inserts_only or _is_latest(operator):
        return every  # a replay emits each of these rows again, and those of a key in the same order
    below, start = set[int](), 0
    for each in operator.inputs:
        below |= {start + column for column in _own(each, found)}
        start += len(each.fields)
    if operator.kind == "Join":
        return _joined(operator, below, found)
    if operator.kind in _GROUPS:
        return _grouped(operator, below, found)
    if operator.kind not in _PASSING:
        why = f"has a {operator.kind}, and it is unknown whether that emits the same rows in any order"
        found.append(StaleRows(operator.kind, why))
    condition = operator.condition
    if condition is not None and not condition.uses <= below:
        why = "keeps rows of a join or a group by a condition: in another order a row may never fulfil it"
        found.append(StaleRows(operator.kind, why))
    return {column for column in every if operator.fields[column].uses <= below}


def _grouped(operator: Operator, below: set[int], found: list[StaleRows]) -> set[int]:
    if operator.kind == "Rank" and not operator.first_only:
        why = "keeps more than the first row of a group: in another order a row may never be among them"
        found.append(StaleRows(operator.kind, why))
    found += _foreign(operator.kind, "grouped", operator.groups, below, operator.input_fields)
    return {column for column, field in enumerate(operator.fields) if field.copy_of in operator.groups}


def _joined(operator: Operator, below: set[int], found: list[StaleRows]) -> set[int]:
    """Return the own columns of an outer join: those of the side whose rows are all kept."""
    other = _OTHER_SIDE.get(operator.join)
    if other is None:
        words = _JOINS.get(operator.join, f"a {operator.join.lower()}")
        why = f"is {words} join of rows that change: in another order the two may never meet"
        found.append(StaleRows("Join", why))
        return set()
    if not operator.one_partner[other]:
        side = ("left", "right")[other]
        why = f"is an outer join with several rows of its {side} side: in another order they may never meet"
        found.append(StaleRows("Join", why))
    right = len(operator.inputs[0].fields)
    kept = range(right) if other == 1 else range(right, len(operator.input_fields))
    return {column for column, f in enumerate(operator.fields) if f.copy_of in below and f.copy_of in kept}


def _foreign(
    kind: str, verb: str, columns: Iterable[int], own: set[int], fields: Sequence[Field]
) -> list[StaleRows]:
    missing = [fields[column].name for column in columns if column not in own]
    if not missing:
        return []
    why = (
        f"is {verb} by {missing[0]}, which a row has from the partner of a join or from a group: in another "
        "order it may never have had that value"
    )
    return [StaleRows(kind, why, _KEY)]


def _is_latest(operator: Operator) -> bool:
    """Return whether it keeps the latest row of each key of one topic ('ingest'='upsert', or by hand).

    The changes of a key have only one order in the log.
    """
    if operator.kind != "Rank" or not operator.first_only:
        return False
    while operator.inputs:
        if len(operator.inputs) > 1 or not operator.inputs[0].inserts_only:
            return False
        (operator,) = operator.inputs
    return True
