"""Flink's optimized physical plan as plain data: operators, and where the values of their columns come from.

Columns are numbers, never names: a name may contain commas, brackets or line breaks, or occur twice.
`rel_nodes.py` reads the planner's own objects into this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

INSERTS_ONLY = "I"


@dataclass(frozen=True)
class Field:
    """A column that an operator emits.

    `uses` are the columns of the operator's inputs that its value depends on, counted from 0 over all inputs
    from left to right. `copy_of` is the input column of which it is an unchanged copy, None if there is none.
    `unsteady` is the name of a function in it that returns another value at each call, "" for none.
    """

    name: str
    uses: frozenset[int] = frozenset()
    copy_of: int | None = None
    unsteady: str = ""


@dataclass(frozen=True)
class Condition:
    """A condition on rows: `uses` are the input columns that it reads, `unsteady` is as in a Field."""

    uses: frozenset[int]
    unsteady: str = ""


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator of the plan.

    `kind`: the planner's name, such as `IntervalJoin`. `mode`: the kinds of changes that it emits, `I` or
    `I,UB,UA,D`; "" for a sink. `inputs`: the operators that feed it.
    `table`: the table that a sink writes, "" for other operators.
    `groups`: the input columns by which it groups, partitions or is keyed, in the planner's order.
    `reads`: other input columns whose values it compares, sorts or adds up.
    `times`: the input columns that contain the time by which it works; `on_event_time`: whether the bounds
    of an interval join are on event time.
    `join`: INNER, LEFT, RIGHT, FULL, SEMI or ANTI, "" for other operators. For its left and its right side,
    `one_partner`: whether a row can match at most one row of that side; `keyed`: whether it has a key.
    `first_only`: a rank that keeps the first row of each group. `by_time`: a rank that is ordered by a time
    attribute and nothing else. `by_session`: its windows are sessions.
    `functions`: the names of the functions that its expressions call.
    """

    kind: str
    fields: tuple[Field, ...]
    mode: str = INSERTS_ONLY
    inputs: tuple[Operator, ...] = ()
    table: str = ""
    condition: Condition | None = None
    groups: tuple[int, ...] = ()
    reads: frozenset[int] = frozenset()
    times: tuple[int, ...] = ()
    on_event_time: bool = False
    join: str = ""
    one_partner: tuple[bool, bool] = (False, False)
    keyed: tuple[bool, bool] = (False, False)
    first_only: bool = False
    by_time: bool = False
    by_session: bool = False
    functions: frozenset[str] = frozenset()

    @property
    def inserts_only(self) -> bool:
        """Return whether it never retracts or changes a row."""
        return self.mode == INSERTS_ONLY

    @property
    def input_fields(self) -> tuple[Field, ...]:
        """Return the columns of all inputs, in the order in which `uses` counts them."""
        return tuple(field for each in self.inputs for field in each.fields)


def operators(root: Operator) -> Iterator[Operator]:
    """Yield the operator and all that feed it, each once, even if it feeds several."""
    seen: set[int] = set()
    todo = [root]
    while todo:
        operator = todo.pop()
        if id(operator) not in seen:
            seen.add(id(operator))
            yield operator
            todo += operator.inputs
