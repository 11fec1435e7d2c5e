"""Parsers by hand: aggregates that count a row with each of its changes, and options of Blink's for texts."""

from __future__ import annotations

import pytest

from streamjobs.dialect.rules import Checked, check
from streamjobs.dialect.statements import parse_script

HOLE = "CREATE TABLE hole (id BIGINT) WITH (type='blackhole');\n"
RAW = "CREATE TABLE raw (m VARBINARY) WITH (type='metaq', topic='r');\n"
PARSED = "CREATE VIEW p AS SELECT k, v, kind FROM raw, LATERAL TABLE(f(m)) AS t (k, v, kind, seq);\n"


def _check(text: str) -> Checked:
    return check(parse_script(text), {})


def _found(text: str) -> list[tuple[str, str]]:
    """The code of each finding and the text at its place."""
    return [(each.code, each.span.of(text)) for each in _check(text).findings]


@pytest.mark.parametrize(
    ("queries", "found"),
    [
        (PARSED + "INSERT INTO hole SELECT SUM(v) FROM p GROUP BY k;", ["SUM"]),
        ("INSERT INTO hole SELECT COUNT(*) FROM raw, LATERAL TABLE(f(m)) AS t (k, v);", ["COUNT"]),
        (
            PARSED + "CREATE VIEW q AS SELECT k, v FROM p WHERE v > 1;\n"
            "INSERT INTO hole SELECT avg (v) FROM q;", ["avg"],
        ),
        (PARSED + "INSERT INTO hole SELECT LISTAGG(v) FROM (SELECT v FROM p) AS x;", ["LISTAGG"]),
        (PARSED + "INSERT INTO hole SELECT SUM(v) FROM p WHERE kind <> 'DELETE';", ["SUM"]),
        (PARSED + "INSERT INTO hole SELECT SUM(v) FROM p WHERE kind NOT IN ('DELETE');", ["SUM"]),
        (PARSED + "INSERT INTO hole SELECT SUM(v) FROM p WHERE kind IN ('INSERT', 'UPDATE');", ["SUM"]),
        (PARSED + "INSERT INTO hole SELECT SUM(v), 'insert' FROM p;", ["SUM"]),
        (PARSED + "INSERT INTO hole SELECT COUNT(DISTINCT k) FROM p;", ["COUNT"]),
        (PARSED + "INSERT INTO hole SELECT SUM(DISTINCT v) FROM p;", ["SUM"]),
        (PARSED + "INSERT INTO hole SELECT MAX(v) FROM p GROUP BY k;", ["MAX"]),
        (PARSED + "INSERT INTO hole SELECT SUM(v) FROM p WHERE kind = 'INSERT';", []),
        (PARSED + "INSERT INTO hole SELECT SUM(v) FROM p WHERE kind IN ('INSERT', 'SNAPSHOT');", []),
        (PARSED + "INSERT INTO hole SELECT SUM(CASE WHEN kind = 'DELETE' THEN -v ELSE v END) FROM p;", []),
        (PARSED + "INSERT INTO hole SELECT v FROM p;", []),
        (
            PARSED + "CREATE VIEW q AS SELECT * FROM (SELECT *, "
            "ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC) AS n FROM p) WHERE n = 1;\n"
            "INSERT INTO hole SELECT SUM(v) FROM q;", [],
        ),
    ],
)  # fmt: skip
def test_an_aggregate_over_all_changes_is_warned_of(queries: str, found: list[str]) -> None:
    warned = [(code, text) for code, text in _found(RAW + HOLE + queries) if code == "raw-aggregate"]
    assert warned == [("raw-aggregate", text) for text in found]


def test_a_warning_of_an_aggregate_says_what_to_do() -> None:
    checked = _check(RAW + HOLE + PARSED + "INSERT INTO hole SELECT SUM(v) FROM p;")
    assert [each.message for each in checked.findings] == [
        "SUM over all changes of a topic: your parser returns a row for each INSERT, UPDATE, DELETE and "
        "snapshot, so a row that has changed counts again. Choose the latest row of each key first "
        "(ROW_NUMBER() … "
        "ORDER BY seq DESC = 1, without DELETE), or declare the table with 'ingest'='upsert'"
    ]


def test_a_warning_of_a_value_that_was_says_so() -> None:
    checked = _check(RAW + HOLE + PARSED + "INSERT INTO hole SELECT COUNT(DISTINCT v) FROM p;")
    (found,) = checked.findings
    assert (
        "DELETE and snapshot, so a value that a row had before still counts. Choose the latest"
        in found.message
    )


def test_an_option_for_lines_of_text_says_the_way_out() -> None:
    table = "CREATE TABLE raw (m VARBINARY) WITH (type='metaq', topic='r', lineDelimiter='x');\n"
    checked = _check(table + HOLE + "INSERT INTO hole SELECT 1 FROM raw;")
    assert [each.message for each in checked.errors] == [
        "option 'lineDelimiter' is Blink's, for messages that are lines of text: declare the table with "
        "one VARBINARY "
        "column and without 'table', and cut its messages by a function: LATERAL TABLE(f(message))"
    ]
