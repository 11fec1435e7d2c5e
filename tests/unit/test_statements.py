"""Statements keep their places, and a text that is no job is refused, never a crash."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjobs.dialect.lexer import Edit, Span, apply_edits
from streamjobs.dialect.nodes import CreateTable, SetStatement
from streamjobs.dialect.references import AsOf, FunctionReference, JoinKind, TableReference, references
from streamjobs.dialect.rules import check
from streamjobs.dialect.statements import parse_script
from streamjobs.errors import SqlError

TABLE = "CREATE TABLE t (a INT, b VARCHAR(10) NOT NULL, PRIMARY KEY (a) NOT ENFORCED) WITH (type='print')"
KEYWORDS = (
    "CREATE TEMPORARY TABLE VIEW FUNCTION INSERT INTO SELECT FROM JOIN LEFT WITH AS ON CONFLICT DO NOTHING "
    "FOR SYSTEM_TIME OF LATERAL SET BEGIN STATEMENT END PRIMARY KEY WATERMARK METADATA ROW_NUMBER OVER "
    "PARTITION ORDER BY DESC INTERVAL ROW ARRAY INT VARCHAR DECIMAL t u type topic 'x' 'metaq' 1 ( ) < > , ; "
    ". = * -"
).split(" ")
PHRASES = ["`v w`", "blink.miniBatch.size=3\n", "/*+ OPTIONS('a'='b') */", TABLE, "t (a INT)", "\n", "-- c\n",
           "WITH (type='metaq', topic='x', 'table'='a.b')"]  # fmt: skip
WORDS = st.sampled_from([*KEYWORDS, *PHRASES])


@given(st.lists(WORDS, max_size=40))
def test_any_words_are_a_job_or_a_sql_error(words: list[str]) -> None:
    text = " ".join(words)
    try:
        script = parse_script(text)
        checked = check(script, {})
    except SqlError:
        return
    for statement in script.statements:
        assert 0 <= statement.span.start < statement.span.end <= len(text)
    for finding in checked.findings:
        assert finding.span.start <= len(text)


@given(st.lists(WORDS, max_size=12))
def test_a_file_that_is_cut_short_is_a_job_or_a_sql_error(words: list[str]) -> None:
    text = " ".join([TABLE, "; CREATE VIEW v AS SELECT a FROM t; INSERT INTO t SELECT", *words])
    for end in range(0, len(text), 7):
        try:
            check(parse_script(text[:end]), {})
        except SqlError:
            continue


def test_spans_are_the_places_in_the_file() -> None:
    text = (
        f"SET 'a.b' = 'it''s' ;\n{TABLE};\nINSERT INTO t (b, a) SELECT 'x', 1 -- all\n ON CONFLICT DO ERROR;"
    )
    script = parse_script(text)
    (setting,), (table,), (insert,) = script.settings, script.tables, script.inserts
    assert setting == SetStatement("a.b", "it's", "a.b", Span(4, 9), Span(0, 19))
    assert table.span.of(text) == TABLE
    assert [column.span.of(text) for column in table.columns] == ["a INT", "b VARCHAR(10) NOT NULL"]
    assert table.options_span.of(text) == "WITH (type='print')"
    assert table.options.entry("TYPE").value_span.of(text) == "'print'"
    assert (insert.query, insert.on_conflict) == ("SELECT 'x', 1", "ERROR")
    assert insert.span.of(text).endswith("DO ERROR")
    assert [name.span.of(text) for name in insert.columns] == ["b", "a"]


def test_edits_by_spans_leave_all_else_alone() -> None:
    script = parse_script(f"-- note\n{TABLE} ;  -- end")
    edited = apply_edits(script.text, [Edit(script.tables[0].options_span, "WITH ('connector'='print')")])
    assert edited == script.text.replace("WITH (type='print')", "WITH ('connector'='print')")


@pytest.mark.parametrize(
    ("written", "full"),
    [
        ("varchar", "STRING"),
        ("VARCHAR(2147483647)", "STRING"),
        ("VARCHAR(20)", "VARCHAR(20)"),
        ("VARBINARY", "BYTES"),
        ("CHARACTER", "CHAR(1)"),
        ("CHARACTER(3)", "CHAR(3)"),
        ("CHARACTER VARYING(3)", "VARCHAR(3)"),
        ("CHARACTER VARYING", "STRING"),
        ("CHAR VARYING(3)", "VARCHAR(3)"),
        ("BINARY VARYING(9)", "VARBINARY(9)"),
        ("BINARY VARYING", "BYTES"),
        ("ARRAY<CHARACTER VARYING(2)>", "ARRAY<VARCHAR(2)>"),
        ("INTEGER", "INT"),
        ("DOUBLE PRECISION", "DOUBLE"),
        ("DECIMAL", "DECIMAL(10, 0)"),
        ("NUMERIC(5)", "DECIMAL(5, 0)"),
        ("TIMESTAMP(3) WITH LOCAL TIME ZONE", "TIMESTAMP_LTZ(3)"),
        ("TIMESTAMP WITHOUT TIME ZONE", "TIMESTAMP(6)"),
        ("INT ARRAY", "ARRAY<INT>"),
        ("ROW(a INT, `b c` VARCHAR 'note')", "ROW<a INT, `b c` STRING>"),
        ("MAP<STRING,ARRAY<INT NOT NULL>>", "MAP<STRING, ARRAY<INT NOT NULL>>"),
    ],
)
def test_types_get_their_full_spelling(written: str, full: str) -> None:
    (table,) = parse_script(f"CREATE TABLE t (c {written} NOT NULL) WITH (type='print')").tables
    assert (table.columns[0].type, table.columns[0].nullable) == (full, False)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        (
            "CREATE TABLE t LIKE s",
            "1:16: CREATE TABLE … LIKE is not supported: write all columns and options of the table",
        ),
        (
            "CREATE TABLE t (a INT) WITH (type='print') LIKE s",
            "1:44: CREATE TABLE … LIKE is not supported: write all columns and options of the table",
        ),
        (
            "CREATE TABLE t AS SELECT 1",
            "1:16: CREATE TABLE … AS is not supported: declare the table, and INSERT INTO it",
        ),
        (
            "CREATE TABLE t WITH (type='print') AS SELECT 1",
            "1:16: CREATE TABLE … AS is not supported: declare the table, and INSERT INTO it",
        ),
        (
            "INSERT INTO t /*+ OPTIONS('a'='b') */ SELECT 1",
            "1:15: OPTIONS hints are not supported: a table's options belong in its WITH clause",
        ),
        (
            "CREATE TABLE t (a INT, PERIOD FOR SYSTEM_TIME) WITH (type='rds', url='u')",
            "1:24: PERIOD FOR SYSTEM_TIME is Blink's: leave it out. A table in a store is looked up without "
            "it: JOIN … FOR SYSTEM_TIME AS OF PROCTIME()",
        ),
        (
            "CREATE TABLE t (a INT, PERIOD FOR SYSTEM_TIME) WITH (type='metaq')",
            "1:24: PERIOD FOR SYSTEM_TIME is Blink's: declare the table with 'ingest'='versioned'",
        ),
    ],
)
def test_what_is_not_supported_is_named(statement: str, told: str) -> None:
    with pytest.raises(SqlError) as caught:
        parse_script(statement)
    assert str(caught.value).splitlines()[0] == f"<sql>:{told}"


def test_a_type_that_no_column_can_have_is_told() -> None:
    with pytest.raises(SqlError) as caught:
        parse_script("CREATE TABLE t (a INTERVAL DAY) WITH (type='print')")
    assert str(caught.value).startswith(
        "<sql>:1:19: the type INTERVAL, which no column of a job can have; the types are BOOLEAN, "
    )


@pytest.mark.parametrize(
    ("expr", "delay_ms"),
    [
        ("ts", 0),
        ("ts - INTERVAL '5' SECOND", 5000),
        ("ts - INTERVAL '0.5' SECOND", 500),
        ("`ts` - interval '2' minutes", 120_000),
        ("ts - INTERVAL '1' DAY", 86_400_000),
        ("WITHOFFSET(ts, 4000)", 4000),
        ("ts + INTERVAL '5' SECOND", None),
        ("ts - INTERVAL '1' MONTH", None),
        ("SOURCE_WATERMARK()", None),
    ],
)
def test_watermark_delays(expr: str, delay_ms: int | None) -> None:
    text = f"CREATE TABLE t (ts TIMESTAMP(3), WATERMARK FOR ts AS {expr}) WITH (type='print')"
    (table,) = parse_script(text).tables
    assert table.watermark is not None
    assert (table.watermark.expr, table.watermark.delay_ms) == (expr, delay_ms)


def test_a_blink_parameter_does_not_overrule_what_the_file_sets() -> None:
    text = "SET 'table.exec.mini-batch.size' = '7';\nblink.miniBatch.allowLatencyMs=1000\n"
    assert parse_script(text).setting("table.exec.mini-batch.size", "") == "7"
    without = parse_script("blink.miniBatch.allowLatencyMs=1000\n")
    assert without.setting("table.exec.mini-batch.size", "") == "5000"


def test_a_later_setting_wins() -> None:
    script = parse_script("SET 'a.b' = '1'; SET a.b = 2;\n a.b=3 4 -- five\n;")
    assert [setting.value for setting in script.settings] == ["1", "2", "3 4"]
    assert script.setting("a.b", "") == "3 4"


def test_options_are_looked_up_in_any_case() -> None:
    statement = parse_script(
        "CREATE TABLE t (a INT) WITH (Type='x', print-id.9='y', `odd key`='z')"
    ).statements[0]
    assert isinstance(statement, CreateTable)
    assert dict(statement.options) == {"Type": "x", "print-id.9": "y", "odd key": "z"}
    assert (statement.options["TYPE"], statement.options.get("none"), "type" in statement.options) == (
        "x",
        None,
        True,
    )


def _read(query: str) -> tuple[list[tuple[str, str, JoinKind]], list[str]]:
    script = parse_script(f"INSERT INTO t {query}")
    found = references(script, script.inserts[0].query_span)
    tables = [(each.name, each.alias, each.join) for each in found.tables if not each.cte]
    return tables, [each.name for each in found.functions]


@pytest.mark.parametrize(
    ("query", "tables", "functions"),
    [
        ("SELECT * FROM a", [("a", "a", JoinKind.FROM)], []),
        ("SELECT * FROM a x, `b c` AS y", [("a", "x", JoinKind.FROM), ("b c", "y", JoinKind.CROSS)], []),
        ("SELECT EXTRACT(DAY FROM ts), TRIM(BOTH 'x' FROM c) FROM a WHERE c IS NOT DISTINCT FROM d",
         [("a", "a", JoinKind.FROM)], []),
        ("SELECT * FROM a JOIN b ON LEFT(a.x, 2) = b.x RIGHT JOIN c ON TRUE FULL OUTER JOIN d USING (x)",
         [("a", "a", JoinKind.FROM), ("b", "b", JoinKind.INNER), ("c", "c", JoinKind.RIGHT),
          ("d", "d", JoinKind.FULL)], []),
        ("WITH c (x) AS (SELECT x FROM a), d AS (SELECT * FROM c) SELECT * FROM d",
         [("a", "a", JoinKind.FROM)], []),
        ("SELECT * FROM (SELECT * FROM a) AS s LEFT JOIN (b JOIN c ON TRUE) ON EXISTS (SELECT 1 FROM d)",
         [("a", "a", JoinKind.FROM), ("b", "b", JoinKind.LEFT), ("c", "c", JoinKind.INNER),
          ("d", "d", JoinKind.FROM)], []),
        ("(SELECT 1 FROM a) UNION ALL SELECT 1 FROM x.y.b",
         [("a", "a", JoinKind.FROM), ("b", "b", JoinKind.FROM)], []),
        ("SELECT * FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '1' SECOND)) w",
         [("a", "a", JoinKind.ARGUMENT)], ["TUMBLE"]),
        ("SELECT * FROM TO_CHANGELOG(input => TABLE a)", [("a", "a", JoinKind.ARGUMENT)], ["TO_CHANGELOG"]),
        ("SELECT * FROM a, LATERAL TABLE(P(x)) AS T(b, c) CROSS JOIN UNNEST(c) AS u (d)",
         [("a", "a", JoinKind.FROM)], ["P"]),
        ("VALUES (1), (2)", [], []),
    ],
)  # fmt: skip
def test_what_a_query_reads(
    query: str, tables: list[tuple[str, str, JoinKind]], functions: list[str]
) -> None:
    assert _read(query) == (tables, functions)


def test_as_of_joins_name_both_sides() -> None:
    text = (
        "INSERT INTO t SELECT * FROM imp AS i LEFT JOIN item FOR SYSTEM_TIME AS OF i.ts AS it ON i.a = it.a "
        "JOIN users FOR SYSTEM_TIME AS OF PROCTIME() u ON TRUE"
    )
    script = parse_script(text)
    item, users = references(script, script.inserts[0].query_span).tables[1:]
    item_time = Span(text.index("i.ts"), text.index("i.ts") + 4)
    item_span = Span(text.index("item"), text.index("item") + 4)
    assert item == TableReference(
        "item", "it", JoinKind.LEFT, AsOf("i.ts", "imp", item_time), False, item_span
    )
    assert users.as_of is not None
    assert (users.alias, users.join, users.as_of.expr) == ("u", JoinKind.INNER, "PROCTIME()")


def test_a_lateral_function_keeps_its_arguments() -> None:
    text = "INSERT INTO t SELECT * FROM s, LATERAL TABLE(parse(x, 'a,b')) AS p (c)"
    script = parse_script(text)
    (function,) = references(script, script.inserts[0].query_span).functions
    arguments = Span(text.index("x,"), text.index("))"))
    name = Span(text.index("parse"), text.index("parse") + 5)
    assert function == FunctionReference("parse", "p", JoinKind.CROSS, arguments, name)
