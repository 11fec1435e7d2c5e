"""Flink's optimized physical plan as plain data: operators, and where the values of their columns come from.

Columns are numbers, never names: a name may hold commas, brackets, line breaks, or stand there twice.
`rel_nodes.py` reads the planner's own objects into this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

INSERTS_ONLY = "I"


@dataclass(frozen=True)
class Field:
    """A column that an operator gives.

    `uses` are the columns of the operator's inputs that its value is made of, counted from 0 over all inputs
    from left to right. `copy_of` is the one that it is an unchanged copy of, None for anything else.
    `unsteady` is the name of a function in it that returns something else at each call, "" for none.
    """

    name: str
    uses: frozenset[int] = frozenset()
    copy_of: int | None = None
    unsteady: str = ""


@dataclass(frozen=True)
class Condition:
    """What rows must fulfil: the input columns that it reads; `unsteady` as in a Field."""

    uses: frozenset[int]
    unsteady: str = ""


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator of the plan.

    `kind`: the planner's word, such as `IntervalJoin`. `mode`: the changes that it gives, `I` or
    `I,UB,UA,D`; "" for a sink. `inputs`: the operators that feed it.
    `table`: the table that a sink writes, "" for others.
    `groups`: the input columns that it groups, partitions or is keyed by, in the planner's order.
    `reads`: other input columns whose values it compares, sorts or adds up.
    `times`: the input columns by whose time it works; `on_event_time` is what an interval join's bounds are.
    `join`: INNER, LEFT, RIGHT, FULL, SEMI or ANTI, "" for what is no join. For its left and its right side,
    `one_partner` is whether a row can meet one row of that side at most, `keyed` whether that side has a key.
    `first_only`: a rank that keeps the first row of each group. `by_time`: it is ordered by a time attribute
    and nothing else. `by_session`: its windows are sessions.
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
        """Whether it never takes back or changes a row."""
        return self.mode == INSERTS_ONLY

    @property
    def input_fields(self) -> tuple[Field, ...]:
        """The columns of all inputs, as `uses` counts them."""
        return tuple(field for each in self.inputs for field in each.fields)


def operators(root: Operator) -> Iterator[Operator]:
    """Give the operator and all that feed it; one that feeds several stands there once."""
    seen: set[int] = set()
    todo = [root]
    while todo:
        operator = todo.pop()
        if id(operator) not in seen:
            seen.add(id(operator))
            yield operator
            todo += operator.inputs
