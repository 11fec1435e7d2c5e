"""Outer joins of a file that may pad too late: which they are, what they reach, and which one is told of."""

from __future__ import annotations

import pytest

from streamjobs.dialect.statements import parse_script
from streamjobs.job.flink_plan.physical import Condition, Field, Operator
from streamjobs.job.plan.outer_interval_joins import OuterJoin, outer_joins, padded_too_late, refusal

FILE = """\
CREATE TABLE a (id BIGINT) WITH (type='metaq', topic='a', 'table'='d.a', 'ingest'='append');
CREATE TABLE o (id BIGINT) WITH (type='blackhole');
CREATE TABLE p (id BIGINT) WITH (type='blackhole');
CREATE VIEW v AS {view};
CREATE VIEW w AS SELECT id FROM v;
BEGIN STATEMENT SET;
INSERT INTO o SELECT id FROM w;
INSERT INTO p {query};
END;
"""


def scan(*names: str) -> Operator:
    """Give an operator that brings these columns."""
    return Operator("TableSourceScan", tuple(Field(name) for name in names))


def copies(*columns: tuple[str, int]) -> tuple[Field, ...]:
    """Give columns that are copies of an input's."""
    return tuple(Field(name, frozenset({place}), place) for name, place in columns)


def joined(join: str = "LEFT", *, on_event_time: bool = True) -> Operator:
    """Give an interval join of (id, event_time) and (event_time, c, click_of) on id and a span of time."""
    names = ("id", "event_time", "event_time0", "c", "click_of")
    fields = copies(*((name, place) for place, name in enumerate(names)))
    sides = (scan(*names[:2]), scan("event_time", "c", "click_of"))
    return Operator(
        "IntervalJoin", fields, inputs=sides, join=join, on_event_time=on_event_time, times=(1, 2),
        condition=Condition(frozenset({0, 1, 2, 4})),
    )  # fmt: skip


def sunk(operator: Operator, table: str = "o") -> Operator:
    """Give the sink that an operator feeds."""
    return Operator("Sink", operator.fields, "", (operator,), table)


def windowed(below: Operator, time: int) -> Operator:
    """Give a window over its input by that column."""
    return Operator("GroupWindowAggregate", copies(("k", 0)), inputs=(below,), groups=(0,), times=(time,))


def found(view: str, query: str = "SELECT id FROM a") -> list[tuple[str, str, set[str]]]:
    """Give each join's kind, the text at its place, and its targets."""
    text = FILE.format(view=view, query=query)
    joins = outer_joins(parse_script(text, "job.sql"))
    return [(join.kind, text[join.offset :].split(" ON ")[0], set(join.targets)) for join in joins]


@pytest.mark.parametrize(
    ("view", "joins"),
    [
        ("SELECT 1 FROM a LEFT JOIN a AS b ON TRUE", [("LEFT", "LEFT JOIN a AS b", {"o"})]),
        ("SELECT 1 FROM a full outer join a AS b ON TRUE", [("FULL", "full outer join a AS b", {"o"})]),
        ("SELECT 1 FROM a RIGHT JOIN (SELECT 1 FROM a) AS b ON TRUE", 1),
        ("SELECT 1 FROM (SELECT 1 FROM a LEFT JOIN a AS b ON TRUE) AS c LEFT JOIN a AS d ON TRUE", 2),
        ("SELECT 1 FROM a LEFT JOIN a FOR SYSTEM_TIME AS OF a.id AS b ON TRUE", []),
        ("SELECT 1 FROM a LEFT JOIN LATERAL TABLE(f(id)) AS t (x) ON TRUE", []),
        ("SELECT LEFT(id, 1), RIGHT(id, 1) FROM a JOIN a AS b ON TRUE", []),
    ],
)
def test_outer_joins_are_found_where_they_stand(
    view: str, joins: list[tuple[str, str, set[str]]] | int
) -> None:
    assert (found(view) if isinstance(joins, list) else len(found(view))) == joins


def test_a_join_in_a_view_reaches_all_that_reads_the_view() -> None:
    view = "SELECT id FROM a LEFT JOIN a AS b ON TRUE"
    assert found(view, "SELECT id FROM v")[0][2] == {"o", "p"}
    assert found("SELECT id FROM a", view)[0][2] == {"p"}


def behind(root: Operator) -> list[tuple[str, str]]:
    """Give what is found in front of a sink: the sink, and what works on the time of padded rows."""
    return [(each.sink, each.behind.kind) for each in padded_too_late([root])]


def test_a_time_is_followed_by_its_place_whatever_it_is_called() -> None:
    odd = Operator("Calc", copies(("a, b AS t]", 0), ("[t", 1), ("t", 4)), inputs=(joined(),))
    assert behind(sunk(windowed(odd, 1))) == [("o", "GroupWindowAggregate")]
    assert behind(sunk(windowed(odd, 2))) == []


def test_a_time_that_is_computed_anew_is_none() -> None:
    computed = Operator("Calc", (*copies(("id", 0)), Field("t", frozenset({1}))), inputs=(joined(),))
    assert behind(sunk(windowed(computed, 1))) == []


def test_in_a_union_the_time_of_any_part_counts() -> None:
    times = Operator("Calc", copies(("t", 1)), inputs=(joined(),))
    union = Operator("Union", (Field("t", frozenset({0, 1})),), inputs=(scan("t"), times))
    assert behind(sunk(windowed(union, 0))) == [("o", "GroupWindowAggregate")]


@pytest.mark.parametrize(("join", "on_event_time"), [("INNER", True), ("LEFT", False)])
def test_no_other_interval_join_pads_too_late(join: str, on_event_time: bool) -> None:
    assert behind(sunk(windowed(joined(join, on_event_time=on_event_time), 1))) == []


def test_a_python_sink_is_told_by_its_own_name() -> None:
    assert behind(sunk(windowed(joined(), 2), "__done_p")) == [("p", "GroupWindowAggregate")]


def test_the_likeliest_join_is_told_with_what_to_write_instead() -> None:
    renamed = Operator("Calc", copies(("k", 0), ("t", 1)), inputs=(joined(),))
    (padded,) = padded_too_late([sunk(windowed(renamed, 1))])
    joins = (
        OuterJoin("LEFT", 10, frozenset({"p"}), frozenset({"id", "click_of"})),
        OuterJoin("FULL", 20, frozenset({"o"}), frozenset({"id", "click_of"})),
        OuterJoin("LEFT", 30, frozenset({"o"}), frozenset({"id"})),
        OuterJoin("LEFT", 40, frozenset({"o"}), frozenset({"a", "id", "b", "click_of"})),
    )
    message, offset = refusal(padded, joins)
    assert offset == 40
    assert message.startswith(
        "this LEFT JOIN within a span of event time is followed by a window on t, on the way to o."
    )
    assert "UNION ALL an inner JOIN on the same condition" in message
