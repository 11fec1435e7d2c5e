"""Outer joins of a file that may pad too late: which they are, what they reach, and which one is told of."""

from __future__ import annotations

import pytest

from streamjobs.dialect.statements import parse_script
from streamjobs.job.explained import sinks
from streamjobs.job.padding import OuterJoin, outer_joins, padded_too_late, refusal

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
EXPLAINED = """\
== Abstract Syntax Tree ==
LogicalSink(table=[*anonymous*])

== Optimized Physical Plan ==
Sink(table=[default_catalog.default_database.o], fields=[k, n], changelogMode=[NONE])
+- GroupWindowAggregate(groupBy=[k], window=[TumblingGroupWindow('w$, t, 1000)], select=[k, COUNT(c) AS n], changelogMode=[I])
   +- Exchange(distribution=[hash[k]], changelogMode=[I])
      +- Calc(select=[id AS k, event_time AS t, c, _UTF-16LE'it''s ] AS t,' AS word], changelogMode=[I])
         +- IntervalJoin(joinType=[LeftOuterJoin], windowBounds=[isRowTime=true, leftLowerBound=-60000, leftUpperBound=0, leftTimeIndex=1, rightTimeIndex=0], where=[AND(=(id, click_of), >=(event_time0, event_time))], select=[id, event_time, event_time0, c, click_of], changelogMode=[I])
            :- TableSourceScan(table=[[a]], fields=[id, event_time], changelogMode=[I])
            +- TableSourceScan(table=[[b]], fields=[event_time, c, click_of], changelogMode=[I])

Sink(table=[default_catalog.default_database.p], fields=[k], changelogMode=[NONE])
+- TableSourceScan(table=[[a]], fields=[k], changelogMode=[I])

== Optimized Execution Plan ==
Sink(table=[default_catalog.default_database.o], fields=[k, n])
"""  # noqa: E501 - as Flink prints it


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


def test_a_plan_is_read_as_a_tree() -> None:
    late, plain = sinks(EXPLAINED)
    kinds = []
    operator = late
    while operator.inputs:
        kinds.append(operator.kind)
        operator = operator.inputs[0]
    assert kinds == ["Sink", "GroupWindowAggregate", "Exchange", "Calc", "IntervalJoin"]
    calc = late.inputs[0].inputs[0].inputs[0]
    assert calc.columns == ["k", "t", "c", "word"]
    assert len(calc.inputs[0].inputs) == 2
    assert [each.kind for each in plain.inputs] == ["TableSourceScan"]


def test_the_likeliest_join_is_told_with_what_to_write_instead() -> None:
    (padded,) = padded_too_late(EXPLAINED)
    assert (padded.sink, padded.join.kind, padded.behind.kind) == (
        "o",
        "IntervalJoin",
        "GroupWindowAggregate",
    )
    joins = (
        OuterJoin("LEFT", 10, frozenset({"p"}), frozenset({"id", "click_of"})),
        OuterJoin("FULL", 20, frozenset({"o"}), frozenset({"id", "click_of"})),
        OuterJoin("LEFT", 30, frozenset({"o"}), frozenset({"id"})),
        OuterJoin("LEFT", 40, frozenset({"o"}), frozenset({"a", "id", "b", "click_of"})),
    )
    message, offset = refusal(padded, joins)
    assert offset == 40
    assert message.startswith(
        "this LEFT JOIN within a span of event time has a window on t behind it, on the way to o."
    )
    assert "UNION ALL an inner JOIN on the same condition" in message
