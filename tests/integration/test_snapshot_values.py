"""The same row by SELECT and by the log: every type, the same bytes, the same schema; keys of every type."""

from __future__ import annotations

import pytest

from connectors.mysql.binlog.stream import open_stream
from connectors.mysql.events import BadRow, Heartbeat
from connectors.mysql.rows.table_plan import schema_of
from connectors.mysql.schema.history import Catalog
from connectors.mysql.schema.information_schema import read_definition
from connectors.mysql.server.log_position import place_now
from connectors.mysql.server.session import Login, Session
from connectors.mysql.snapshot.chunk_query import Key, split_key
from connectors.mysql.snapshot.reader import TableReader
from streamjobs.capture.config.file import parse_config
from streamjobs.capture.config.routes import Routes
from streamjobs.capture.config.settings import SnapshotSettings
from streamjobs.capture.source.mysql import MySqlSource
from streamjobs.capture.source.mysql_chunks import MySqlChunks
from streamjobs.capture.state import TablePart
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import Row, TableId, TableSchema
from streamjobs.errors import SystemicError
from streamjobs.local.mariadb import MariaDbServer
from streamjobs.options.options import Secret

pytestmark = pytest.mark.services

COLUMNS = {
    "TINYINT": ("-128", "127"),
    "TINYINT UNSIGNED": ("255",),
    "SMALLINT UNSIGNED": ("65535",),
    "MEDIUMINT": ("-8388608", "8388607"),
    "INT(8) UNSIGNED ZEROFILL": ("17", "4294967295"),
    "BIGINT UNSIGNED": ("18446744073709551615", "0"),
    "DECIMAL(65,30)": ("-12345678901234567890123456789012345.000000000000000000000000000001", "0.5"),
    "DECIMAL(10,2) ZEROFILL": ("1.5", "0"),
    "FLOAT": ("1.1", "16777217", "-1e-38", "3.4028234e38"),
    "FLOAT(10,2)": ("5.61", "1234567.89"),
    "DOUBLE": ("0.1", "1e22", "-2.2250738585072014e-308", "9007199254740993"),
    "BIT(1)": ("1",),
    "BIT(64)": ("18446744073709551615", "5"),
    "DATE": ("'0000-00-00'", "'2024-02-00'", "'9999-12-31'"),
    "DATETIME": ("'0000-00-00'", "'1000-01-01 00:00:00'"),
    "DATETIME(6)": ("'2024-02-29 23:59:59.000001'", "'2024-02-29 00:00:00.500000'"),
    "TIMESTAMP NULL": ("'0000-00-00'", "'2038-01-19 03:14:07'"),
    "TIMESTAMP(3) NULL": ("'2024-03-31 02:30:00.120'",),
    "TIME": ("'-838:59:59'", "'00:00:00'"),
    "TIME(6)": ("'-00:00:00.500001'", "'-12:34:56.123456'", "'838:59:58.999999'"),
    "YEAR": ("0", "1901", "2155"),
    "CHAR(10) CHARACTER SET utf16": ("'é  '", "''"),
    "VARCHAR(20) CHARACTER SET latin1": ("x'81e9'", "'a '"),
    "VARCHAR(20) CHARACTER SET gbk": ("'测试'", "x'a2e361'", "''"),
    "VARCHAR(20) CHARACTER SET sjis": ("'ひびぴ'", "x'8740'"),
    "CHAR(9) CHARACTER SET gbk": ("'测试 '", "x'a2e320'", "''"),
    "TEXT CHARACTER SET cp932": ("x'878a'", "' a '"),
    "CHAR(5) CHARACTER SET ucs2": ("'é '", "x'00200061'"),
    "VARCHAR(20) COMPRESSED CHARACTER SET koi8r": ("REPEAT('ж', 15)", "''"),
    "TEXT CHARACTER SET greek": ("x'e1b4'", "'α'"),
    "TEXT CHARACTER SET utf8mb4": ("'😀'", "REPEAT('x', 60000)"),
    "ENUM('', 'a,b', 'it''s', 'é') CHARACTER SET latin1": ("'it''s'", "''", "0", "'é'"),
    "SET('x', 'y', 'ü') CHARACTER SET latin1": ("'x,ü'", "''"),
    "BINARY(5)": ("x'0100'", "x'00'", "''"),
    "VARBINARY(9)": ("x'ff010000'", "''"),
    "LONGBLOB": ("REPEAT(x'00ff', 40000)",),
    "JSON": ("'{\"a\":  [1, null]}'", "'null'"),
    "POINT": ("ST_GeomFromText('POINT(1 2)', 4326)",),
    "GEOMETRY": ("ST_GeomFromText('LINESTRING(0 0, 1 1)')",),
    "UUID": ("'123e4567-e89b-12d3-a456-426655440000'",),
    "INET4": ("'10.0.0.1'",),
    "INET6": ("'::ffff:1.2.3.4'", "'2001:db8::1'"),
    "VARCHAR(100) COMPRESSED": ("REPEAT('long ', 20)", "''"),
}
KEYS = {
    "INT": ("-5", "0", "7", "9", "100"),
    "BIGINT UNSIGNED": ("0", "9223372036854775808", "18446744073709551615"),
    "DECIMAL(10,2)": ("-1.5", "0", "2.25", "100"),
    "DOUBLE": ("0.1", "1e22", "-3"),
    "FLOAT": ("1.1", "-2.5", "16777216"),
    "DATETIME(3)": ("'0000-00-00'", "'2024-01-01 00:00:00.120'", "'2024-01-01 00:00:00.121'"),
    "TIME(2)": ("'-12:34:56.12'", "'00:00:00'", "'100:00:00'"),
    "VARCHAR(20) CHARACTER SET latin1": ("'a'", "'É'", "'z'", "x'81'", "''"),
    "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin": ("'Z'", "'a'", "'😀'", "'it''s'"),
    "VARCHAR(20) CHARACTER SET utf16": ("'a'", "'é'", "'z'"),
    "VARBINARY(9)": ("x'00'", "x'0001'", "x'ff'", "''"),
    "BINARY(2)": ("x'0001'", "x'ff'", "x'01'"),
    "ENUM('z', 'a', 'm')": ("'z'", "'a'", "'m'"),
    "SET('z', 'a')": ("'z'", "'a'", "'z,a'", "''"),
    "BIT(9)": ("0", "5", "511"),
    "YEAR": ("0", "1999", "2155"),
    "UUID": ("'123e4567-e89b-12d3-a456-426655440000'", "'023e4567-e89b-12d3-a456-426655440009'"),
    "INET6": ("'::1'", "'2001:db8::1'"),
}


@pytest.fixture(scope="module")
def login(own_mariadb: MariaDbServer) -> Login:
    made = Login("127.0.0.1", own_mariadb.port, "root", Secret(""), tls=False)
    with Session(made) as session:
        session.execute("CREATE DATABASE v")
    return made


def logged(login: Login, session: Session, table: TableId, statements: list[str]) -> list[RowBatch | BadRow]:
    """The rows that the log has of some statements."""
    begin = place_now(session)
    catalog = Catalog([read_definition(session, table)], mariadb=True)
    for statement in statements:
        session.execute(statement)
    end = place_now(session).place
    found: list[RowBatch | BadRow] = []
    with open_stream(
        login, place=begin.place, gtids=begin.gtids, server_id=99, wanted=lambda one: one == table,
        catalog=catalog, heartbeat_s=0.05,
    ) as reader:  # fmt: skip
        for event in reader:
            if isinstance(event, RowBatch | BadRow):
                found.append(event)
            elif isinstance(event, Heartbeat) and event.place >= end:
                return found
    raise AssertionError


def selected(
    session: Session, table: TableId, limit: int, part: tuple[Key | None, Key | None] = (None, None)
) -> tuple[TableSchema, list[Row]]:
    """A table in chunks of `limit` rows."""
    reader = TableReader(session, read_definition)
    rows: list[Row] = []
    after, until = part
    while True:
        chunk = reader.chunk(table, after, until, limit)
        for batch in chunk.batches:
            rows += batch.rows
        if chunk.complete():
            return schema_of(chunk.definition), rows
        after = chunk.last_key()


@pytest.mark.parametrize("declared", COLUMNS)
def test_every_type_has_the_same_bytes_both_ways(login: Login, declared: str) -> None:
    table = TableId("v", f"t{list(COLUMNS).index(declared)}")
    with Session(login) as session:
        session.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, v {declared}) DEFAULT CHARSET = utf8mb4")
        values = [*COLUMNS[declared], "NULL"]
        batches = logged(
            login, session, table, [f"INSERT INTO {table} VALUES ({n}, {v})" for n, v in enumerate(values)]
        )
        schema, rows = selected(session, table, 2)
    assert rows == [image for batch in batches if isinstance(batch, RowBatch) for image in batch.images]
    assert len(rows) == len(values)
    assert {batch.schema for batch in batches} == {schema}


@pytest.mark.parametrize("declared", KEYS)
def test_chunks_find_every_row_by_keys_of_every_type(login: Login, declared: str) -> None:
    table = TableId("v", f"k{list(KEYS).index(declared)}")
    with Session(login) as session:
        session.execute(f"CREATE TABLE {table} (a INT, k {declared}, PRIMARY KEY (k, a))")
        for number in (1, 2):
            rows = ", ".join(f"({number}, {value})" for value in KEYS[declared])
            session.execute(f"INSERT INTO {table} VALUES {rows}")
        whole = selected(session, table, 1000)[1]
        assert len(whole) == 2 * len(KEYS[declared])
        for limit in (1, 2, 3):
            assert selected(session, table, limit)[1] == whole
        parts = split_key(session, read_definition(session, table), 3)
        assert [row for part in parts for row in selected(session, table, 1, part)[1]] == whole


def test_a_text_that_is_none_is_set_aside_both_ways(login: Login) -> None:
    table = TableId("v", "bad")
    with Session(login) as session:
        session.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, v VARCHAR(9) CHARACTER SET ucs2)")
        statement = f"INSERT INTO {table} VALUES (1, 'a'), (2, x'd800'), (3, 'c')"
        first, bad, last = logged(login, session, table, [statement])
        chunk = TableReader(session, read_definition).chunk(table, None, None, 10)
        (read,) = chunk.batches
    assert isinstance(first, RowBatch)
    assert isinstance(bad, BadRow)
    assert isinstance(last, RowBatch)
    assert read.rows == [*first.images, *last.images] == [(b"1", b"a"), (b"3", b"c")]
    assert [(chunk.definition.columns[one.column].name, one.data, one.reason) for one in read.bad] == [
        (bad.column, bad.data, bad.reason)
    ]
    assert (chunk.rows(), chunk.complete(), chunk.last_key()) == (3, True, ("3",))


def test_a_chunk_ends_where_its_bytes_do(login: Login) -> None:
    table = TableId("v", "growing")
    with Session(login) as session:
        session.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, v LONGTEXT)")
        for rows, size in (("1_to_3000", 10), ("3001_to_3400", 50_000)):
            session.execute(f"INSERT INTO {table} SELECT seq, REPEAT('x', {size}) FROM v.seq_{rows}")
        reader, after, chunks = TableReader(session, read_definition), None, []
        while True:
            chunk = reader.chunk(table, after, None, 3200, max_bytes=2_000_000)
            chunks.append([row for batch in chunk.batches for row in batch.rows])
            if chunk.complete():
                break
            after = chunk.last_key()
    assert [row[0] for rows in chunks for row in rows] == [b"%d" % key for key in range(1, 3401)]
    assert len(chunks[0]) > 3000
    assert max(len(rows) for rows in chunks[1:]) < 200
    assert max(len(repr(rows)) for rows in chunks) < 12_000_000


def test_a_table_without_a_key_is_read_as_one(login: Login) -> None:
    table = TableId("v", "keyless")
    with Session(login) as session:
        session.execute(f"CREATE TABLE {table} (a INT)")
        session.execute(f"INSERT INTO {table} SELECT seq FROM v.seq_1_to_3000")
        assert len(selected(session, table, 10)[1]) == 3000


def test_a_table_that_may_not_be_read_is_no_table_that_is_gone(login: Login) -> None:
    table, part = TableId("v", "hidden"), TablePart()
    reader = Login(login.host, login.port, "reader", Secret(""), tls=False)
    with Session(login) as root:
        root.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY)")
        root.execute("CREATE USER reader")
        root.execute("GRANT BINLOG MONITOR ON *.* TO reader")
        root.execute("GRANT SELECT ON v.* TO reader")
        chunks = MySqlChunks(reader, SnapshotSettings(), 0)
        try:
            gone = chunks.read(TableId("v", "gone"), part, (0, 0), lambda _: None)
            assert gone.rest(part).done
            root.execute("REVOKE SELECT ON v.* FROM reader")
            with pytest.raises(SystemicError, match=r"SELECT command denied to user 'reader'"):
                chunks.read(table, part, (0, 0), lambda _: None)
        finally:
            chunks.close()


def test_only_tables_that_are_there_are_read_whole(login: Login) -> None:
    config = parse_config(
        f'[source]\nname = "v"\nurl = "mysql://root@127.0.0.1:{login.port}"\ntls = "off"\n'
        '[broker]\nbootstrap = "127.0.0.1:9"\n[[tables]]\nmatch = "v.*"\n',
        "v.toml",
        {},
    )
    with Session(login) as session:
        session.execute("CREATE TABLE v.there (id INT PRIMARY KEY)")
        session.execute("CREATE VIEW v.view AS SELECT * FROM v.there")
        session.execute("CREATE SEQUENCE v.numbers")
    source = MySqlSource(config, Routes(config.routes))
    try:
        asked = [TableId("v", name) for name in ("there", "view", "numbers", "typo")]
        assert source.parts(asked) == {"v.there": (TablePart(),)}
    finally:
        source.close()


@pytest.mark.parametrize(
    ("declared", "numbers", "kept"),
    [
        ("ENUM('a', '')", (0, 1, 2), {b"a", b""}),
        ("ENUM('a', 'b')", (0, 1, 2), {b"", b"a", b"b"}),
        ("ENUM('a', 'b', 'a')", (1, 2, 3), {b"a", b"b"}),
        ("SET('a', '')", (0, 1, 2, 3), {b"", b"a", b"a,"}),
    ],
)
def test_keys_that_read_alike_are_set_aside(
    login: Login, declared: str, numbers: tuple[int, ...], kept: set[bytes]
) -> None:
    table = TableId("v", "alike")
    with Session(login) as session:
        session.execute(f"CREATE OR REPLACE TABLE {table} (k {declared} PRIMARY KEY)")
        rows = ", ".join(f"({number})" for number in numbers)
        found = logged(login, session, table, [f"INSERT INTO {table} VALUES {rows}", f"DELETE FROM {table}"])
        session.execute(f"INSERT INTO {table} VALUES {rows}")
        chunk = TableReader(session, read_definition).chunk(table, None, None, 2)
        last, batches = chunk.last_key(), list(chunk.batches)
        batches += TableReader(session, read_definition).chunk(table, last, None, 9).batches
    aside = len(numbers) - len(kept)
    logged_rows = [row for one in found if isinstance(one, RowBatch) for row in one.images]
    assert sorted(logged_rows) == sorted((key,) for key in [*kept, *kept])
    bad = [one for one in found if isinstance(one, BadRow)]
    assert len(bad) == 2 * aside
    assert [row for batch in batches for row in batch.rows] == [(key,) for key in _by_number(declared, kept)]
    assert [(one.column, one.reason) for batch in batches for one in batch.bad] == [
        (0, one.reason) for one in bad[:aside]
    ]


def _by_number(declared: str, texts: set[bytes]) -> list[bytes]:
    """The texts as the server sorts them: the invalid value, or no label, first; '' where it is a label."""
    if declared == "ENUM('a', '')":
        return [b"a", b""]
    return sorted(texts)
