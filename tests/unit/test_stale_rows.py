"""Which queries may leave rows behind, told from operators alone."""

from __future__ import annotations

import pytest

from streamjobs.job.checks.stale_rows import stale_rows
from streamjobs.job.flink_plan.physical import Condition, Field, Operator

CHANGES = "I,UB,UA,D"
SEEN = Operator("TableSourceScan", (Field("id"), Field("shop")))
"""Rows that only come."""
LATEST = Operator("Rank", (Field("id"), Field("shop")), CHANGES, (SEEN,), groups=(0,), first_only=True)
"""The latest row of each key of a topic."""


def copies(*columns: tuple[str, int]) -> tuple[Field, ...]:
    return tuple(Field(name, frozenset({place}), place) for name, place in columns)


def cube(below: Operator) -> Operator:
    """Group by CUBE (id, shop): an Expand with its own column `$e`, and a group over it."""
    fields = (*(Field(name, frozenset({place})) for place, name in enumerate(("id", "shop"))), Field("$e"))
    expanded = Operator("Expand", fields, below.mode, (below,))
    grouped = copies(("id", 0), ("shop", 1), ("$e", 2))
    return Operator("GroupAggregate", (*grouped, Field("n")), CHANGES, (expanded,), groups=(0, 1, 2))


@pytest.mark.parametrize("below", [SEEN, LATEST], ids=["rows that only come", "latest rows"])
def test_a_cube_tells_each_of_its_groups(below: Operator) -> None:
    assert stale_rows(cube(below), [0, 1]) is None


def counted() -> Operator:
    fields = (*copies(("shop", 1)), Field("a, n [", frozenset()))
    return Operator("GroupAggregate", fields, CHANGES, (LATEST,), groups=(1,))


def test_a_group_that_changes_is_own_by_its_groups_only() -> None:
    assert stale_rows(counted(), [0]) is None
    found = stale_rows(counted(), [1])
    assert found is not None
    assert (found.kind, found.why) == (
        "Sink",
        "is keyed by a, n [, which a row has from the partner of a join or from a group: in another order it "
        "may never have had that value",
    )


@pytest.mark.parametrize(
    ("fields", "uses", "kind"),
    [
        (copies(("shop", 0), ("n", 1)), {0}, None),
        (copies(("shop", 0), ("n", 1)), {1}, "Calc"),
        (copies(("n", 1), ("shop", 0)), {0, 1}, "Calc"),
    ],
)
def test_a_condition_counts_by_the_columns_that_it_reads(
    fields: tuple[Field, ...], uses: set[int], kind: str | None
) -> None:
    last = Operator("Calc", fields, CHANGES, (counted(),), condition=Condition(frozenset(uses)))
    found = stale_rows(last, [])
    assert (None if found is None else found.kind) == kind


@pytest.mark.parametrize(
    ("join", "one_partner", "key", "kind"),
    [
        ("LEFT", (True, True), [0], None),
        ("LEFT", (True, True), [3], "Sink"),
        ("LEFT", (True, False), [0], "Join"),
        ("RIGHT", (True, False), [3], None),
        ("RIGHT", (True, False), [0], "Sink"),
        ("RIGHT", (False, True), [3], "Join"),
        ("INNER", (True, True), [0], "Join"),
        ("FULL", (True, True), [0], "Join"),
    ],
)
def test_an_outer_join_keeps_the_columns_of_one_side(
    join: str, one_partner: tuple[bool, bool], key: list[int], kind: str | None
) -> None:
    # Both sides have the same names: only the place tells them apart.
    fields = copies(("id", 0), ("shop", 1), ("id", 2), ("shop", 3))
    last = Operator("Join", fields, CHANGES, (LATEST, LATEST), join=join, one_partner=one_partner)
    found = stale_rows(last, key)
    assert (None if found is None else found.kind) == kind


def test_what_is_not_known_is_refused() -> None:
    last = Operator("MultiJoin", copies(("id", 0)), CHANGES, (LATEST,))
    found = stale_rows(last, [0])
    assert found is not None
    assert found.why == "has a MultiJoin, and it is unknown whether that emits the same rows in any order"
