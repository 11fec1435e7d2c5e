"""A live server whose log names no columns: statements are followed as the server does them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.mysql.binlog.stream import open_stream
from connectors.mysql.events import BadRow, Ddl, Heartbeat
from connectors.mysql.position import LogPosition
from connectors.mysql.rows.table_plan import schema_of
from connectors.mysql.schema.definitions import Unknown
from connectors.mysql.schema.history import Catalog
from connectors.mysql.schema.information_schema import read_definition
from connectors.mysql.server.foreign_keys import read_silent_keys
from connectors.mysql.server.log_position import place_now, sequences
from connectors.mysql.server.session import Login, Session
from connectors.mysql.snapshot.chunk_query import ChunkQuery
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ChangeKind, Row, TableId, Value
from streamjobs.errors import SystemicError
from streamjobs.local.mariadb import USER, MariaDbOptions, MariaDbServer
from streamjobs.options.options import Secret

pytestmark = pytest.mark.services
TABLE = TableId("shop", "t")
BASE = "CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT)"


@pytest.fixture(scope="module")
def mariadb_options(mariadb_root: Path | None) -> MariaDbOptions:
    return MariaDbOptions(root=mariadb_root, settings={"binlog-row-metadata": "NO_LOG"})


@pytest.fixture(scope="module")
def login(own_mariadb: MariaDbServer) -> Login:
    return Login(own_mariadb.host, own_mariadb.port, USER, Secret(""), tls=False)


@pytest.fixture
def writer(login: Login) -> Iterator[Session]:
    with Session(login) as opened:
        opened.execute("CREATE DATABASE shop CHARACTER SET utf8mb4")
        opened.execute("USE shop")
        yield opened
        opened.execute("DROP DATABASE shop")


def followed(login: Login, writer: Session, statements: list[str]) -> tuple[Catalog, list[RowBatch]]:
    """Run statements; give the catalog behind them, and the rows of TABLE."""
    with Session(login) as session:
        tables = [TABLE] if session.rows("SHOW TABLES FROM shop LIKE 't'") else []
        catalog = Catalog(
            [read_definition(session, table) for table in tables],
            mariadb=True,
            database_charsets={"shop": "utf8mb4"},
        )
        place = place_now(session).place
    for statement in statements:
        writer.execute(statement)
    return catalog, rows_since(login, place, catalog)


def rows_since(login: Login, place: LogPosition, catalog: Catalog) -> list[RowBatch]:
    """The rows of TABLE behind a place; the catalog follows."""
    found: list[RowBatch] = []
    with open_stream(
        login, place=place, gtids="", server_id=4712, wanted=lambda table: table == TABLE, catalog=catalog,
        heartbeat_s=0.1, silence_s=20,
    ) as reader:  # fmt: skip
        for event in reader:
            assert not isinstance(event, BadRow), event
            assert not isinstance(event, Ddl) or not any(isinstance(one, Unknown) for one in event.changes), (
                event
            )
            if isinstance(event, RowBatch):
                found.append(event)
            elif isinstance(event, Heartbeat):
                return found
    message = "the stream ended without a sign of life"
    raise AssertionError(message)


def shown(session: Session) -> list[Row]:
    query = ChunkQuery(read_definition(session, TABLE))
    return [query.row(row) for row in session.rows(query.sql(None, None, None))]


def same_as_the_server(login: Login, writer: Session, statements: list[str]) -> None:
    """The last statement inserts the table's only rows."""
    catalog, batches = followed(login, writer, statements)
    truth, known = read_definition(writer, TABLE), catalog.table(TABLE)
    assert known is not None
    assert [column.name for column in known.columns] == [column.name for column in truth.columns]
    assert known.primary_key == truth.primary_key
    names = [column.name for column in truth.columns]
    found: list[dict[str, Value]] = [
        dict(zip(batch.schema.names, image, strict=True)) for batch in batches for image in batch.images
    ]
    assert found == [dict(zip(names, row, strict=True)) for row in shown(writer)]
    assert {column.name for batch in batches for column in batch.schema.columns if column.key} == set(
        truth.primary_key
    )


@pytest.mark.parametrize(
    "statements",
    [
        ["ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO a"],
        ["ALTER TABLE t CHANGE a b INT, CHANGE b a INT"],
        ["ALTER TABLE t CHANGE id a INT, CHANGE a id INT"],
        ["ALTER TABLE t ADD COLUMN a2 INT AFTER a3, CHANGE a a3 INT"],
        ["ALTER TABLE t ADD COLUMN a BIGINT, DROP COLUMN a"],
        ["ALTER TABLE t MODIFY a INT AFTER b, ADD COLUMN x INT AFTER a, MODIFY id INT FIRST"],
        [
            "SET STATEMENT max_statement_time = 9 FOR ALTER TABLE t CHANGE a c INT",
            "CREATE INDEX i ON t (b)",
            "DROP INDEX i ON t",
        ],
        ["ALTER TABLE t NOWAIT RENAME COLUMN a TO c", "ALTER TABLE t WAIT 5 ADD COLUMN x INT"],
        ["ALTER TABLE t DROP INDEX `PRIMARY`, ADD PRIMARY KEY (B)"],
        ["DROP INDEX `PRIMARY` ON t", "ALTER TABLE t MODIFY a INT PRIMARY KEY"],
        ["CREATE OR REPLACE TABLE t (id INT UNIQUE KEY, a INT KEY, b INT)"],
    ],
    ids=lambda statements: statements[0],
)
def test_columns_and_key_are_those_of_the_server(
    login: Login, writer: Session, statements: list[str]
) -> None:
    writer.execute(BASE)
    count = 3 + sum("ADD COLUMN x" in statement or "a2" in statement for statement in statements)
    values = ", ".join(f"seq * 10 + {number}" for number in range(count))
    last = f"INSERT INTO t SELECT {values} FROM seq_1_to_3"
    same_as_the_server(login, writer, [*statements, last])


def test_labels_of_enum_and_set_are_read_as_the_server_means_them(login: Login, writer: Session) -> None:
    labels = r"'a\\b', 'x\ny', 'c''d', 'e\"f', '\r', '\\', 'nul\0', '\\n', 'g\\''h'"
    writer.execute(f"CREATE TABLE t (id INT PRIMARY KEY, e ENUM({labels}), s SET({labels}))")
    same_as_the_server(
        login, writer, ["INSERT INTO t SELECT seq, seq, 1 << (seq - 1) | 1 FROM seq_1_to_9 ORDER BY seq"]
    )


def test_text_has_the_character_set_that_the_server_gives_it(login: Login, writer: Session) -> None:
    """It is the database's, not the session's; a new database has the server's, as the session sees it."""
    same_as_the_server(
        login,
        writer,
        [
            "SET collation_database = latin1_swedish_ci",
            "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(20))",
            "INSERT INTO t VALUES (1, 'é')",
        ],
    )
    same_as_the_server(
        login,
        writer,
        [
            "ALTER DATABASE COLLATE greek_general_ci",
            "CREATE DATABASE IF NOT EXISTS shop CHARACTER SET cp1251",
            "CREATE OR REPLACE TABLE t (id INT PRIMARY KEY, a VARCHAR(20))",
            "INSERT INTO t VALUES (1, 'αβγ')",
        ],
    )
    same_as_the_server(
        login,
        writer,
        [
            "SET collation_server = cp1251_general_ci",
            "CREATE OR REPLACE DATABASE shop",
            "CREATE TABLE shop.t (id INT PRIMARY KEY, a VARCHAR(20))",
            "INSERT INTO shop.t VALUES (1, 'Ж')",
        ],
    )


def test_a_unique_key_is_no_primary_key_in_the_log_either(login: Login, writer: Session) -> None:
    """Full metadata name the first UNIQUE key without NULLs where there is no primary key."""
    writer.execute("SET GLOBAL binlog_row_metadata = 'FULL'")
    writer.execute("CREATE TABLE t (a INT NOT NULL UNIQUE, b INT)")
    try:
        _, (batch,) = followed(login, writer, ["INSERT INTO t VALUES (1, 2)"])
    finally:
        writer.execute("SET GLOBAL binlog_row_metadata = 'NO_LOG'")
    assert batch.schema == schema_of(read_definition(writer, TABLE))
    assert batch.schema.key_indexes == ()


def test_an_alteration_in_two_phases_counts_when_it_is_done(login: Login, writer: Session) -> None:
    """MariaDB logs its text when it starts, and again when it is done or has failed."""
    writer.execute("CREATE TABLE t (id INT PRIMARY KEY, a INT, b INT)")
    writer.execute("INSERT INTO t VALUES (1, 7, 1), (2, 7, 2)")
    with Session(login) as session:
        place = place_now(session).place
        catalog = Catalog([read_definition(session, TABLE)], mariadb=True)
    writer.execute("SET binlog_alter_two_phase = 1")
    with pytest.raises(SystemicError, match="Duplicate entry"):
        writer.execute("ALTER TABLE t CHANGE a c INT, ADD UNIQUE (c)")
    writer.execute("ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO a, ADD INDEX (a)")
    writer.execute("INSERT INTO t (id, a, b) VALUES (3, 4, 5)")
    (batch,) = rows_since(login, place, catalog)
    assert batch.schema.names == ("id", "b", "a")
    assert list(batch.images) == [(b"3", b"5", b"4")]


def test_cascades_of_innodb_are_not_in_the_log_and_told_by_the_check(login: Login, writer: Session) -> None:
    writer.execute("CREATE TABLE parent (id INT PRIMARY KEY)")
    writer.execute(
        "CREATE TABLE t (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)"
    )
    writer.execute("INSERT INTO parent VALUES (1)")
    _, batches = followed(login, writer, ["INSERT INTO t VALUES (1, 1)", "DELETE FROM parent"])
    assert [batch.kind for batch in batches] == [ChangeKind.INSERT]
    assert shown(writer) == []
    assert [key.table for key in read_silent_keys(writer)] == [TABLE]


def test_a_sequence_is_no_table(login: Login, writer: Session) -> None:
    """Its numbers stand in the log as rows, of columns that no definition names."""
    writer.execute("CREATE SEQUENCE old")
    place = place_now(writer).place
    catalog = Catalog(mariadb=True, sequences=sequences(writer))
    for statement in (
        "SELECT NEXT VALUE FOR old",
        "RENAME TABLE old TO t",
        "SELECT SETVAL(t, 5000)",
        "DROP SEQUENCE t",
        "CREATE SEQUENCE IF NOT EXISTS shop.t",
        "SELECT NEXT VALUE FOR t",
        "DROP SEQUENCE t",
        "CREATE TABLE t (id INT PRIMARY KEY)",
        "INSERT INTO t VALUES (1)",
    ):
        writer.execute(statement)
    (batch,) = rows_since(login, place, catalog)
    assert list(batch.images) == [(b"1",)]
    assert not catalog.sequences
