"""Finds functions that return another value at each call where a row must be found again.

Over rows that change: a retraction runs through the query like the row that it retracts. If a function
returns another value then, a group, a join or a key gets a retraction of a row that it never had, and the row
stays (decision 0081). After a restart: a row that is read again would be written under another key, and be in
the store twice (decision 0082). A plain column of the sink may use such a function: the row of a key is
written or deleted as a whole. Pure, no Flink.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from streamjobs.job.flink_plan.physical import Field, Operator

_PASSING = frozenset(
    {
        "Calc", "PythonCalc", "Correlate", "PythonCorrelate", "Exchange", "ChangelogNormalize", "Union",
        "DropUpdateBefore", "WatermarkAssigner", "MiniBatchAssigner", "Expand", "Sink",
    }
)  # fmt: skip
"""Operators that keep no rows."""
_PLACING = frozenset(
    {
        "Rank", "WindowRank", "WindowDeduplicate", "OverAggregate", "PythonOverAggregate",
        "WindowTableFunction",
    }
)  # fmt: skip
"""Operators whose own columns depend only on an order, a group or a time, not on other columns of a row."""
_PROCESSING_TIME = "PROCTIME"


@dataclass(frozen=True)
class NonDeterministic:
    """A function that returns another value at each call, and its use (`why`, the part of a sentence)."""

    function: str
    why: str


def unsteady(last: Operator, key: Sequence[int]) -> NonDeterministic | None:
    """Return the first such use, or None; `key` are the columns of `last` that are the sink's key."""
    found: list[NonDeterministic] = []
    tainted = _tainted(last, found)
    _use(tainted, key, "is keyed by", found)
    return found[0] if found else None


def rekeyed(last: Operator, key: Sequence[int]) -> str:
    """Return a function that gives a row another key when it is read again, or ""."""
    return _first(_made(last), key)


def rekeyed_refusal(function: str, table: str) -> str:
    """Return the error text for the function that `rekeyed` found."""
    return (
        f"{table} is keyed by {function}, which returns another value at each call. When the job restarts "
        "from a checkpoint, the rows since then are read again and have another key: they would be in "
        f"{table} twice. Key and group by columns that a row has of its own (an id, an event time)"
    )


def refusal(found: NonDeterministic, table: str) -> str:
    """Return the error text for the use that `unsteady` found."""
    return (
        f"this query {found.why} {found.function}, which returns another value at each call. When a row "
        "changes, it is retracted with the value of that moment, which differs from the one that it was "
        f"inserted with: stale rows would stay in {table}, and sums would be wrong. Use a time that the row "
        f"itself has (an event time, a column), or use {found.function} only for columns of {table} that are "
        "not in its key"
    )


def _tainted(operator: Operator, found: list[NonDeterministic]) -> dict[int, str]:
    """Return the columns that have another value when their row is retracted, each with the function."""
    below: dict[int, str] = {}
    start = 0
    for each in operator.inputs:
        below |= {start + column: name for column, name in _tainted(each, found).items()}
        start += len(each.fields)
    if all(each.inserts_only for each in operator.inputs):
        return {}  # each row arrives once; an operator that keeps it keeps the value
    condition = operator.condition
    if condition is not None:
        name = condition.unsteady or _first(below, condition.uses)
        if name:
            found.append(
                NonDeterministic(name, "joins rows by" if operator.join else "keeps rows by a condition on")
            )
    if operator.kind == "Join":
        _joined(operator, below, found)
    elif operator.kind not in _PASSING:
        _use(below, operator.groups, "is grouped by", found)
        _use(below, sorted(operator.reads), "sums up or sorts by", found)
        if operator.kind == "Rank":
            _use(below, sorted(below), "ranks rows with a value of", found)
        elif "Aggregate" not in operator.kind:
            _use(below, sorted(below), f"has a {operator.kind} of rows with a value of", found)
    return _values(operator.fields, below)


def _made(operator: Operator) -> dict[int, str]:
    """Return the columns that depend on such a function in any operator, each with the function.

    Our own functions, whose names start with __, do not count: they are lookups (see decision 0082).
    """
    below: dict[int, str] = {}
    start = 0
    for each in operator.inputs:
        below |= {start + column: name for column, name in _made(each).items()}
        start += len(each.fields)
    placed = frozenset(operator.groups) | operator.reads | frozenset(operator.times)
    made = {}
    for column, field in enumerate(operator.fields):
        uses = field.uses
        if field.copy_of is None and operator.kind in _PLACING:
            uses = placed
        elif field.copy_of is None and "Window" in operator.kind:
            uses = field.uses | frozenset(operator.times)
        name = field.unsteady or _first(below, uses)
        if not name and field.copy_of is None and "GroupWindow" in operator.kind and not operator.times:
            name = _PROCESSING_TIME  # the plan no longer has the name of its column
        if name and not name.startswith("__"):
            made[column] = name
    return made


def _joined(operator: Operator, below: Mapping[int, str], found: list[NonDeterministic]) -> None:
    _use(below, operator.groups, "joins rows by", found)
    right = len(operator.inputs[0].fields)
    for side, columns in enumerate((range(right), range(right, len(operator.input_fields)))):
        if not operator.keyed[side]:
            _use(below, columns, "joins rows without a key that have a value of", found)


def _values(fields: Sequence[Field], below: Mapping[int, str]) -> dict[int, str]:
    named = {column: field.unsteady or _first(below, field.uses) for column, field in enumerate(fields)}
    return {column: name for column, name in named.items() if name}


def _use(below: Mapping[int, str], columns: Iterable[int], why: str, found: list[NonDeterministic]) -> None:
    name = _first(below, columns)
    if name:
        found.append(NonDeterministic(name, why))


def _first(below: Mapping[int, str], columns: Iterable[int]) -> str:
    return next((below[column] for column in sorted(columns) if column in below), "")
