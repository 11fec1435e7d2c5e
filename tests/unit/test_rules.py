"""What the checks refuse and what they only warn of; every refusal has a legal sibling."""

from __future__ import annotations

import pytest

from streamjobs.dialect.connectors import FlinkTable, Ingest, MetaqTable
from streamjobs.dialect.findings import Severity
from streamjobs.dialect.job_parameters import BLINK_PARAMETERS
from streamjobs.dialect.rules import Checked, check
from streamjobs.dialect.scan_start import ScanStart, StartKind
from streamjobs.dialect.statements import parse_script
from streamjobs.errors import SqlError

ROWTIME = "et TIMESTAMP_LTZ(3) METADATA FROM 'event_time', WATERMARK FOR et AS et - INTERVAL '5' SECOND"
IMP = f"CREATE TABLE imp (id BIGINT, k BIGINT, {ROWTIME}) WITH (type='metaq', topic='i', 'table'='a.i');\n"
ITEM = (
    f"CREATE TABLE item (k BIGINT PRIMARY KEY NOT ENFORCED, p INT, {ROWTIME}) "
    "WITH (type='metaq', topic='s', 'table'='a.s', 'ingest'='versioned');\n"
)
USERS = "CREATE TABLE users (k BIGINT PRIMARY KEY, p INT) WITH (type='metaq', topic='u', 'table'='a.u');\n"
OUT = "CREATE TABLE o (id BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH (type='rocksdb');\n"
HOLE = "CREATE TABLE hole (id BIGINT) WITH (type='blackhole');\n"
WRITE = "INSERT INTO hole SELECT id FROM imp;\n"
AS_OF = "FOR SYSTEM_TIME AS OF i.et AS x ON i.k = x.k;\n"


def _check(text: str) -> Checked:
    return check(parse_script(text), {"PASSWORD": "hidden"})


def _found(text: str) -> list[tuple[str, str]]:
    """The code of each finding and the text at its place."""
    return [(each.code, each.span.of(text)) for each in _check(text).findings]


def _metaq(options: str, columns: str = "id BIGINT") -> str:
    return f"CREATE TABLE imp ({columns}) WITH (type='metaq', topic='i'{options});\n{HOLE}{WRITE}"


def test_a_right_job_has_no_findings() -> None:
    text = IMP + ITEM + OUT + f"INSERT INTO o SELECT i.id FROM imp AS i LEFT JOIN item {AS_OF}"
    checked = _check(text)
    assert checked.findings == ()
    checked.raise_errors()
    assert list(checked.connectors) == ["imp", "item", "o"]
    assert checked.connectors["item"] == MetaqTable(
        topic="s",
        table="a.s",
        ingest=Ingest.VERSIONED,
        consumer_group=None,
        start=ScanStart(StartKind.EARLIEST),
        broker="default",
        tag=None,
        pull_interval_ms=None,
        casts=frozenset(),
        skip_all_exception=False,
    )


def test_the_errors_of_the_file_are_raised_in_its_order() -> None:
    text = (
        f"SET 'a.b' = 'c';\nSET 'pipeline.jars' = 'x.jar';\n{IMP}{HOLE}{WRITE}INSERT INTO nothing SELECT 1;"
    )
    with pytest.raises(SqlError) as caught:
        _check(text).raise_errors()
    assert str(caught.value) == (
        "<sql>:2:5: pipeline.jars is set by streamjobs itself, in the same way for every job: remove it\n"
        "  SET 'pipeline.jars' = 'x.jar';\n"
        "      ^\n"
        "<sql>:6:13: cannot write to nothing: it is not declared before this INSERT\n"
        "  INSERT INTO nothing SELECT 1;\n"
        "              ^"
    )


@pytest.mark.parametrize(
    ("setting", "code", "severity"),
    [
        ("SET 'table.exec.state.ttl' = '1 d';", "global-ttl", Severity.ERROR),
        ("blink.state.ttl.ms=129600000\n", "global-ttl", Severity.ERROR),
        ("state.backend.niagara.ttl.ms=129600000\n", "global-ttl", Severity.ERROR),
        ("state.backend.rocksdb.ttl.ms=129600000\n", "global-ttl", Severity.ERROR),
        ("SET 'table.exec.source.idle-timeout' = '10 s';", "idle-timeout", Severity.WARNING),
        ("sql.exec.source.idle.timeout.ms=10000\n", "idle-timeout", Severity.WARNING),
        ("SET 'python.executable' = '/bin/python';", "setting-owned", Severity.ERROR),
        ("SET 'python.files' = 'a.zip';", "setting-owned", Severity.ERROR),
        ("SET 'taskmanager.memory.process.size' = '9g';", "setting-owned", Severity.ERROR),
        ("blink.miniBatch.join.enabled=true\n", "setting-ignored", Severity.WARNING),
        ("SET 'table.exec.mini-batch.enable' = 'true';", "setting-unknown", Severity.ERROR),
    ],
)
def test_settings_that_break_promises(setting: str, code: str, severity: Severity) -> None:
    findings = _check(f"{setting}\n{IMP}{HOLE}{WRITE}").findings
    assert [(each.code, each.severity) for each in findings] == [(code, severity)]


@pytest.mark.parametrize(
    "setting",
    ["SET 'parallelism.default' = '2';", "sql.exec.source.idle.timeout.ms=-1\n",
     "SET 'my.own.parameter' = 'x';", "blink.miniBatch.size=1000\n",
     "SET 'python.fn-execution.bundle.size' = '100000';"],
)  # fmt: skip
def test_settings_that_are_fine(setting: str) -> None:
    assert _found(f"{setting}\n{IMP}{HOLE}{WRITE}") == []


@pytest.mark.parametrize(
    ("table", "found"),
    [
        (_metaq(", 'table'='a.i', topc='x'"), ("option-unknown", "topc")),
        (_metaq(", 'table'='a.i', ingest='upsrt'"), ("option-value", "'upsrt'")),
        (_metaq(", 'table'='a.i', ingest='changelog'"), ("ingest-changelog", "'changelog'")),
        (_metaq(", 'table'='a.i', ingest='upsert'"), ("key-missing", "'upsert'")),
        (_metaq(", 'table'='a.i', ingest='append'", "id BIGINT PRIMARY KEY"), ("append-key", "'append'")),
        (_metaq(", 'table'='i'"), ("table-name", "'i'")),
        (_metaq(", 'table'='a.i', startMessageOffset='newest'"), ("option-value", "'newest'")),
        (_metaq(", 'table'='a.i', startTime='yesterday'"), ("option-value", "'yesterday'")),
        (_metaq(", 'table'='a.i', 'cast.idd'='true'"), ("cast-unknown", "'cast.idd'")),
        (_metaq(", 'table'='a.i'", "id BIGINT, __x INT"), ("reserved-name", "__x")),
        (_metaq(", 'table'='a.i'", "id BIGINT, x ARRAY<INT>"), ("column-type", "x ARRAY<INT>")),
        (_metaq(", 'table'='a.i'", "id BIGINT, x INT METADATA FROM 'ofset'"),
         ("metadata-unknown", "x INT METADATA FROM 'ofset'")),
        (_metaq(", 'table'='a.i'", "id BIGINT, x INT METADATA FROM 'seq'"),
         ("metadata-type", "x INT METADATA FROM 'seq'")),
        (_metaq(", 'table'='a.i'", "id BIGINT, t TIMESTAMP_LTZ(3), WATERMARK FOR t AS t"),
         ("rowtime", "WATERMARK FOR t AS t")),
        (_metaq(", 'table'='a.i'",
                "id BIGINT, t TIMESTAMP_LTZ(3) METADATA FROM 'event_time', WATERMARK FOR t AS t + a"),
         ("watermark", "WATERMARK FOR t AS t + a")),
    ],
)  # fmt: skip
def test_wrong_metaq_tables_are_refused_at_the_place(table: str, found: tuple[str, str]) -> None:
    assert _found(table) == [found]


def test_a_versioned_table_needs_key_and_rowtime() -> None:
    text = _metaq(", 'table'='a.i', ingest='versioned'")
    assert _found(text) == [("key-missing", "'versioned'"), ("watermark-missing", "'versioned'")]


def test_raw_messages_are_one_binary_column() -> None:
    time = "ts TIMESTAMP_LTZ(3) METADATA FROM 'timestamp', WATERMARK FOR ts AS ts - INTERVAL '1' SECOND"
    raw = f"x VARBINARY, {time}"
    assert _found(_metaq("", raw)) == []
    assert _found(_metaq("", "id BIGINT")) == [("table-missing", "WITH (type='metaq', topic='i')")]
    assert _found(_metaq(", ingest='append'", raw)) == [("option-unknown", "ingest")]


def test_the_ingest_follows_the_key() -> None:
    connectors = _check(IMP + USERS).connectors
    modes = [each.ingest for each in connectors.values() if isinstance(each, MetaqTable)]
    assert modes == [Ingest.APPEND, Ingest.UPSERT]


@pytest.mark.parametrize(
    ("options", "start"),
    [
        ("startMessageOffset='LATEST'", ScanStart(StartKind.LATEST)),
        ("startMessageOffset='17'", ScanStart(StartKind.OFFSET, 17)),
        ("startTime='20260131 08:00:00'", ScanStart(StartKind.TIME, 1_769_817_600_000)),
        ("startTime='2026-01-31T00:00:00Z'", ScanStart(StartKind.TIME, 1_769_817_600_000)),
    ],
)
def test_where_reading_starts(options: str, start: ScanStart) -> None:
    text = "blink.job.timeZone=Asia/Shanghai\n" + _metaq(f", 'table'='a.i', {options}")
    connector = _check(text).connectors["imp"]
    assert isinstance(connector, MetaqTable)
    assert connector.start == start


def test_two_starts_are_refused() -> None:
    text = _metaq(", 'table'='a.i', startMessageOffset='1', startTime='20260131 08:00:00'")
    assert _found(text) == [("option-value", "'1'")]


@pytest.mark.parametrize(
    ("sink", "found"),
    [
        ("(id BIGINT) WITH (type='rocksdb')", ("key-missing", "hole")),
        ("(id BIGINT, x AS id, PRIMARY KEY (id)) WITH (type='rocksdb')", ("column-type", "x AS id")),
        ("(id BIGINT) WITH (type='reddis')", ("type-unknown", "'reddis'")),
        ("(id BIGINT) WITH ('topic'='x')", ("option-missing", "WITH ('topic'='x')")),
        ("(id BIGINT) WITH (type='print', 'connector'='print')", ("option-unknown", "type")),
        ("(id BIGINT) WITH (type='kafka', topic='x')", ("option-missing", "WITH (type='kafka', topic='x')")),
        (
            "(id BIGINT) WITH (type='kafka', topic='x', format='json', delivery='once')",
            ("option-value", "'once'"),
        ),
        (
            "(id BIGINT) WITH (type='kafka', topic='x', format='csv', 'json.a'='b')",
            ("option-unknown", "'json.a'"),
        ),
    ],
)  # fmt: skip
def test_wrong_sink_tables_are_refused(sink: str, found: tuple[str, str]) -> None:
    assert _found(f"{IMP}CREATE TABLE hole {sink};\n{WRITE}") == [found]


@pytest.mark.parametrize(
    ("join", "code"),
    [
        ("JOIN item", "as-of-inner"),
        ("RIGHT JOIN item", "as-of-inner"),
        ("LEFT JOIN users", "as-of-versions"),
        ("LEFT JOIN cheap", "as-of-view"),
        ("LEFT JOIN newest", "as-of-view"),
        ("LEFT JOIN plain", None),
        ("LEFT JOIN item", None),
    ],
)
def test_joins_as_of_a_time(join: str, code: str | None) -> None:
    views = (
        "CREATE VIEW plain AS SELECT k, p, et FROM item;\n"
        "CREATE VIEW cheap AS SELECT * FROM plain WHERE p < 10;\n"
        "CREATE VIEW newest AS SELECT k, et FROM "
        "(SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY et DESC) AS rn FROM item) WHERE rn = 1;\n"
    )
    text = IMP + ITEM + USERS + HOLE + views + f"INSERT INTO hole SELECT i.id FROM imp AS i {join} {AS_OF}"
    errors = [(each.code, each.span.of(text)) for each in _check(text).errors]
    assert errors == ([(code, join.rsplit(maxsplit=1)[-1])] if code else [])


@pytest.mark.parametrize(
    ("selected", "where", "found"),
    [
        ("x.k", "", ["x.k"]),
        ("i.id, x.*", "", ["x.*"]),
        ("COALESCE(x.`k`, 0)", "", ["x.`k`"]),
        ("x.p", " WHERE x.k IS NOT NULL", ["x.k"]),
        ("i.k, x.p, x.et", "", []),
        ("*", " WHERE i.id = 3 AND x.p > 1", []),
    ],
)
def test_the_key_of_a_versioned_row_tells_nothing(selected: str, where: str, found: list[str]) -> None:
    as_of = AS_OF.removesuffix(";\n")
    text = (
        IMP
        + ITEM
        + HOLE
        + f"INSERT INTO hole SELECT {selected} FROM imp AS i LEFT JOIN item {as_of}{where};\n"
    )
    assert _found(text) == [("as-of-key", each) for each in found]


def test_a_join_as_of_processing_time_is_refused() -> None:
    query = "SELECT i.id FROM imp i LEFT JOIN item FOR SYSTEM_TIME AS OF PROCTIME() x ON i.k = x.k;"
    assert _found(IMP + ITEM + HOLE + f"INSERT INTO hole {query}") == [("as-of-proctime", "item")]


def test_a_join_as_of_a_common_table_expression_is_refused() -> None:
    query = f"WITH c AS (SELECT * FROM item WHERE p < 10) SELECT i.id FROM imp i LEFT JOIN c {AS_OF}"
    assert _found(IMP + ITEM + HOLE + f"INSERT INTO hole {query}") == [("as-of-view", "c")]


def test_a_plain_join_of_a_versioned_table_is_warned_of() -> None:
    checked = _check(IMP + ITEM + HOLE + "INSERT INTO hole SELECT i.id FROM imp i JOIN item x ON i.k = x.k;")
    assert [each.code for each in checked.warnings] == ["versioned-join"]
    assert checked.errors == ()


@pytest.mark.parametrize(
    ("job", "found"),
    [
        (IMP + HOLE + WRITE + "INSERT INTO hole SELECT id FROM impp;", ("undeclared", "impp")),
        (IMP + HOLE + WRITE + "INSERT INTO holle SELECT id FROM imp;", ("undeclared", "holle")),
        (IMP + USERS + "INSERT INTO users SELECT id, 1 FROM imp;", ("source-only", "users")),
        (IMP + HOLE + WRITE + "INSERT INTO hole SELECT id FROM hole;", ("sink-only", "hole")),
        (IMP + IMP + HOLE + WRITE, ("duplicate-name", "imp")),
        (IMP + HOLE + "INSERT INTO hole SELECT id FROM imp ON CONFLICT DO ERROR;", ("conflict-key", "hole")),
        (IMP + OUT + 2 * "INSERT INTO o SELECT id FROM imp;", ("two-writers", "o")),
        (IMP + HOLE + "INSERT INTO hole SELECT id FROM imp /*+ OPTIONS('a'='b') */;",
         ("options-hint", "/*+ OPTIONS('a'='b') */")),
        (IMP + HOLE + "INSERT INTO hole SELECT id FROM imp /*+options ('a'='b')*/ AS i;",
         ("options-hint", "/*+options ('a'='b')*/")),
        (IMP + HOLE + WRITE + USERS, ("unused", "users")),
        (2 * "CREATE FUNCTION f AS 'a.b';" + IMP + HOLE + WRITE, ("duplicate-name", "f")),
        (IMP + HOLE + WRITE + "CREATE VIEW v (__a) AS SELECT id FROM imp;INSERT INTO hole SELECT * FROM v;",
         ("reserved-name", "__a")),
    ],
)  # fmt: skip
def test_names_and_roles(job: str, found: tuple[str, str]) -> None:
    assert _found(job) == [found]


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ("(k, v, w, n)", []),
        ("(n, k)", []),
        ("(v, n)", [("insert-column", "v")]),
        ("(k, v)", [("insert-column", "k")]),
        ("(k, n, v, n)", [("insert-column", "n")]),
        ("(k, n, N)", [("insert-column", "N")]),
        ("(x, v)", [("insert-column", "x"), ("insert-column", "x"), ("insert-column", "x")]),
    ],
)
@pytest.mark.parametrize("type_", ["type='rocksdb'", "'connector'='upsert-kafka'"])
def test_the_column_list_of_an_insert_is_checked(
    type_: str, columns: str, found: list[tuple[str, str]]
) -> None:
    columns_ = "k BIGINT, v INT, w INT, n INT NOT NULL, PRIMARY KEY (k) NOT ENFORCED"
    table = f"CREATE TABLE kv ({columns_}) WITH ({type_});"
    selected = ", ".join(["1"] * len(columns.split(",")))
    assert _found(f"{IMP}{table}INSERT INTO kv {columns} SELECT {selected} FROM imp;") == found


def test_each_missing_column_is_named() -> None:
    columns = "k BIGINT, v INT, n INT NOT NULL, PRIMARY KEY (k) NOT ENFORCED"
    table = f"CREATE TABLE kv ({columns}) WITH (type='rocksdb');"
    checked = _check(f"{IMP}{table}INSERT INTO kv (v, v, `a b`) SELECT 1, 1, 1 FROM imp;")
    assert [each.message for each in checked.errors] == [
        "the key column k of kv is not given: it would be NULL; add it to the list",
        "the NOT NULL column n of kv is not given: it would be NULL; add it to the list",
        "column v is given twice",
        "kv has no column a b; it has k, v, n",
    ]


def test_a_function_may_not_take_a_name_of_ours() -> None:
    function = "CREATE FUNCTION `__write_hole` AS 'a.b';\n"
    assert _found(f"{IMP}{HOLE}{function}{WRITE}") == [("reserved-name", "`__write_hole`")]


def test_all_errors_of_a_file_are_told_at_once() -> None:
    text = f"{IMP}{HOLE}INSERT INTO nothing SELECT 1;\nINSERT INTO hole SELECT id FROM impp;"
    with pytest.raises(SqlError) as caught:
        _check(text).raise_errors()
    assert str(caught.value) == (
        "<sql>:3:13: cannot write to nothing: it is not declared before this INSERT\n"
        "  INSERT INTO nothing SELECT 1;\n              ^\n"
        "<sql>:4:33: impp is not declared before this query, did you mean imp?\n"
        "  INSERT INTO hole SELECT id FROM impp;\n                                  ^"
    )


def test_statements_that_cannot_be_read_are_told_at_once() -> None:
    with pytest.raises(SqlError) as caught:
        parse_script(
            "CREATE TABLE a (x DATETIME) WITH (type='print');\nDROP TABLE b;\nSET 'a' = 'b';\nUSE c;"
        )
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in lines[::3]] == ["<sql>:1:19", "<sql>:2:1", "<sql>:4:1"]
    assert (caught.value.line, caught.value.column) == (1, 19)


def test_a_job_that_writes_nothing_is_refused() -> None:
    assert ("no-insert", "") in _found(IMP)


def test_flink_tables_pass_through() -> None:
    table = (
        "CREATE TABLE gen (id BIGINT) WITH ('connector'='datagen', 'Rows-Per-Second'='1', 'any'='thing');\n"
    )
    checked = _check(table + HOLE + "INSERT INTO hole SELECT id FROM gen;")
    assert checked.findings == ()
    connector = checked.connectors["gen"]
    assert isinstance(connector, FlinkTable)
    assert connector.connector == "datagen"


@pytest.mark.parametrize(
    "parameter", [key for key in BLINK_PARAMETERS if not key.endswith("sink.parallelism")]
)
def test_blink_parameters_become_settings_that_flink_has(parameter: str) -> None:
    value = {"blink.checkpoint.mode": "EXACTLY_ONCE", "blink.job.timeZone": "Asia/Shanghai"}.get(
        parameter, "1"
    )
    value = "true" if parameter.endswith(("enabled", "reuse", "error")) else value
    codes = [each.code for each in _check(f"{parameter}={value}\n{IMP}{HOLE}{WRITE}").findings]
    assert "setting-unknown" not in codes
