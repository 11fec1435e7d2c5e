"""Functions that return something else at each call: where their values may go, and where not."""

from __future__ import annotations

import pytest

from streamjobs.job.checks.non_deterministic import NonDeterministic, rekeyed, unsteady
from streamjobs.job.flink_plan.physical import Condition, Field, Operator

CHANGES = "I,UB,UA,D"
LATEST = Operator("Rank", (Field("id"), Field("v")), CHANGES, first_only=True)
PLAIN = (Field("id", frozenset({0}), 0), Field("v", frozenset({1}), 1))


def calc(*fields: Field, below: Operator = LATEST, condition: Condition | None = None) -> Operator:
    return Operator("Calc", fields, CHANGES, (below,), condition=condition)


CHANCE = calc(PLAIN[0], Field("x", frozenset(), None, "RAND"))


def test_a_plain_column_of_the_sink_may_be_anything() -> None:
    assert unsteady(CHANCE, [0]) is None


def test_rows_that_only_come_may_have_anything() -> None:
    rows = Operator("TableSourceScan", (Field("id"), Field("v")))
    once = Operator("Calc", (PLAIN[0], Field("x", frozenset(), None, "RAND")), inputs=(rows,))
    grouped = Operator("GroupAggregate", (Field("x", frozenset({1}), 1),), CHANGES, (once,), groups=(1,))
    assert unsteady(grouped, [0]) is None


@pytest.mark.parametrize(
    ("last", "key", "why"),
    [
        (CHANCE, [1], "is keyed by"),
        (calc(*PLAIN, condition=Condition(frozenset({0}), "RAND")), [0], "keeps rows by a condition on"),
        (
            calc(*PLAIN, below=CHANCE, condition=Condition(frozenset({1}))),
            [0],
            "keeps rows by a condition on",
        ),
        (calc(PLAIN[0], Field("y", frozenset({1})), below=CHANCE), [1], "is keyed by"),
        (
            Operator("GroupAggregate", (Field("x", frozenset({1}), 1),), CHANGES, (CHANCE,), groups=(1,)),
            [0],
            "is grouped by",
        ),
        (
            Operator("GroupAggregate", PLAIN, CHANGES, (CHANCE,), groups=(0,), reads=frozenset({1})),
            [0],
            "sums up or sorts by",
        ),
        (Operator("Rank", PLAIN, CHANGES, (CHANCE,), groups=(0,)), [0], "ranks rows with a value of"),
        (Operator("Match", PLAIN, CHANGES, (CHANCE,)), [0], "has a Match of rows with a value of"),
    ],
)
def test_what_must_find_a_row_again_may_not_use_it(last: Operator, key: list[int], why: str) -> None:
    assert unsteady(last, key) == NonDeterministic("RAND", why)


@pytest.mark.parametrize(
    ("keyed", "groups", "why"),
    [
        ((True, True), (0, 2), None),
        ((True, True), (1, 2), "joins rows by"),
        ((False, True), (0, 2), "joins rows without a key that have a value of"),
        ((True, False), (0, 2), None),
    ],
)
def test_a_join_finds_rows_by_key_and_condition(
    keyed: tuple[bool, bool], groups: tuple[int, ...], why: str | None
) -> None:
    fields = tuple(Field(str(place), frozenset({place}), place) for place in range(4))
    last = Operator("Join", fields, CHANGES, (CHANCE, LATEST), join="LEFT", keyed=keyed, groups=groups)
    assert unsteady(last, [0]) == (None if why is None else NonDeterministic("RAND", why))


def test_a_count_of_rows_needs_none_of_their_values() -> None:
    counted = Operator("GroupAggregate", (PLAIN[0], Field("n")), CHANGES, (CHANCE,), groups=(0,))
    assert unsteady(counted, [0]) is None


ONCE = Operator("TableSourceScan", (Field("id"), Field("v")))
MARKED = Operator("Calc", (PLAIN[0], Field("x", frozenset(), None, "UUID")), inputs=(ONCE,))


@pytest.mark.parametrize(
    ("last", "key", "function"),
    [
        (MARKED, [0], ""),
        (MARKED, [0, 1], "UUID"),
        (Operator("Calc", (Field("y", frozenset({0, 1})),), inputs=(MARKED,)), [0], "UUID"),
        (Operator("GroupAggregate", (PLAIN[1], Field("n")), CHANGES, (MARKED,), groups=(1,)), [0], "UUID"),
        (Operator("GroupAggregate", (PLAIN[0], Field("n")), CHANGES, (MARKED,), groups=(0,)), [0, 1], ""),
        (Operator("Rank", (*PLAIN, Field("n", frozenset({0, 1}))), inputs=(MARKED,), groups=(0,)), [2], ""),
        (
            Operator("Rank", (*PLAIN, Field("n")), inputs=(MARKED,), groups=(0,), reads=frozenset({1})),
            [2],
            "UUID",
        ),
        (Operator("WindowTableFunction", (*PLAIN, Field("w")), inputs=(MARKED,), times=(1,)), [2], "UUID"),
        (Operator("WindowTableFunction", (*PLAIN, Field("w")), inputs=(MARKED,), times=(0,)), [2], ""),
        (Operator("GroupWindowAggregate", (PLAIN[0], Field("w")), inputs=(ONCE,)), [1], "PROCTIME"),
        (Operator("GroupWindowAggregate", (PLAIN[0], Field("w")), inputs=(ONCE,), times=(1,)), [1], ""),
        (
            Operator("Calc", (PLAIN[0], Field("x", frozenset({0}), None, "__lookup_d")), inputs=(ONCE,)),
            [1],
            "",
        ),
    ],
)
def test_a_key_is_the_same_when_a_row_is_read_again(last: Operator, key: list[int], function: str) -> None:
    assert rekeyed(last, key) == function
