"""Times with fractions as MariaDB 5.3 stores them: the log's rows are what SELECT shows, or are refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.mysql.binlog.stream import open_stream
from connectors.mysql.errors import SchemaMissingError
from connectors.mysql.events import BadRow, Heartbeat
from connectors.mysql.position import LogPosition
from connectors.mysql.schema.definitions import TableDefinition
from connectors.mysql.schema.history import Catalog
from connectors.mysql.schema.information_schema import read_definition
from connectors.mysql.server.log_position import place_now
from connectors.mysql.server.session import Login, Session
from connectors.mysql.snapshot.columns import selected
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import Row, TableId
from streamjobs.local.mariadb import USER, MariaDbServer
from streamjobs.options.options import Secret

pytestmark = pytest.mark.services
TABLE = TableId("old_times", "t")
KINDS = ("TIME", "DATETIME", "TIMESTAMP")
COLUMNS = [f"{kind.lower()}{digits}" for kind in KINDS for digits in range(7)]
CREATE = f"CREATE TABLE {TABLE} (id INT PRIMARY KEY, {{}})".format(
    ", ".join(f"{kind.lower()}{digits} {kind}({digits}) NULL" for kind in KINDS for digits in range(7))
)
VALUES = (
    ("838:59:59.999999", "9999-12-31 23:59:59.999999", "2038-01-19 03:14:07.999999"),
    ("-838:59:59.999999", "0000-00-00 00:00:00", "0000-00-00 00:00:00"),
    ("00:00:00", "1000-01-01 00:00:00.000001", "1970-01-01 00:00:01"),
    ("-00:00:00.123456", "2026-12-01 10:11:12.000001", "2026-12-01 10:11:12.123456"),
    ("-00:00:01", "2026-00-00 00:00:00.5", "2026-02-28 23:59:59.900000"),
    ("24:00:00.5", "0001-01-01 00:00:00", "2000-01-01 00:00:00.000100"),
)
METADATA = ("FULL", "NO_LOG", "MINIMAL")


@pytest.fixture(scope="module")
def login(own_mariadb: MariaDbServer) -> Login:
    return Login(own_mariadb.host, own_mariadb.port, USER, Secret(""), tls=False)


@pytest.fixture
def session(login: Login) -> Iterator[Session]:
    with Session(login) as opened:
        opened.execute(f"CREATE DATABASE {TABLE.database}")
        opened.execute("SET SESSION sql_mode = ''")
        opened.execute("SET GLOBAL mysql56_temporal_format = OFF")
        yield opened
        opened.execute("SET GLOBAL mysql56_temporal_format = ON")
        opened.execute("SET GLOBAL binlog_row_metadata = 'NO_LOG'")
        opened.execute(f"DROP DATABASE {TABLE.database}")


def logged(login: Login, place: LogPosition, catalog: Catalog) -> tuple[list[Row], list[str]]:
    """The rows that the log has inserted since a place, and why others are bad."""
    rows, bad = list[Row](), list[str]()
    with open_stream(
        login, place=place, gtids="", server_id=4715, wanted=lambda one: one == TABLE, catalog=catalog,
        heartbeat_s=0.1, silence_s=20,
    ) as reader:  # fmt: skip
        for event in reader:
            if isinstance(event, Heartbeat):
                return rows, bad
            if isinstance(event, RowBatch):
                rows += event.images
            elif isinstance(event, BadRow):
                bad.append(str(event))
    message = "the stream ended without a sign of life"
    raise AssertionError(message)


def shown(session: Session, definition: TableDefinition) -> list[Row]:
    """All rows by SELECT, in canonical form."""
    columns = [selected(column) for column in definition.columns]
    rows = session.rows(
        f"SELECT {', '.join(column.expression for column in columns)} FROM {TABLE} ORDER BY id"
    )
    return [
        tuple(
            value if value is None or column.convert is None else column.convert(value)
            for column, value in zip(columns, row, strict=True)
        )
        for row in rows
    ]


def insert(session: Session, first: int = 1) -> None:
    """Write each of VALUES in every column that takes its kind, and a row of NULLs."""
    for number, row in enumerate(VALUES, start=first):
        values = [f"'{value}'" for value in row for _ in range(7)]
        session.execute(f"INSERT INTO {TABLE} VALUES ({number}, {', '.join(values)})")
    session.execute(f"INSERT INTO {TABLE} (id) VALUES ({first + len(VALUES)})")


@pytest.mark.parametrize("metadata", METADATA)
def test_the_log_gives_what_select_gives(login: Login, session: Session, metadata: str) -> None:
    session.execute(f"SET GLOBAL binlog_row_metadata = '{metadata}'")
    with Session(login) as writer:
        writer.execute("SET SESSION sql_mode = ''")
        writer.execute(CREATE)
        definition = read_definition(writer, TABLE)
        assert [column.native_type for column in definition.columns[1:]] == [
            name[:-1] + (f"({name[-1]})" if name[-1] != "0" else "") for name in COLUMNS
        ]
        place = place_now(writer).place
        insert(writer)
        catalog = Catalog([definition], mariadb=True)
        rows, bad = logged(login, place, catalog)
        expected = shown(writer, definition)
    assert bad == []
    assert rows == expected
    assert len({value for row in rows for value in row}) > 60, "the values differ between the columns"
    assert catalog.needed == ({TABLE} if metadata == "FULL" else set())


@pytest.mark.parametrize("metadata", METADATA)
def test_a_table_that_comes_to_that_storage_and_leaves_it(
    login: Login, session: Session, metadata: str
) -> None:
    """CREATE in the log, then another storage by FORCE in the middle, and back by the cure that is told."""
    session.execute(f"SET GLOBAL binlog_row_metadata = '{metadata}'")
    place = place_now(session).place
    for number, word in enumerate(("ON", "OFF", "ON")):
        session.execute(f"SET GLOBAL mysql56_temporal_format = {word}")
        with Session(login) as writer:
            writer.execute("SET SESSION sql_mode = ''")
            writer.execute(CREATE if not number else f"ALTER TABLE {TABLE} FORCE")
            insert(writer, number * 100)
    catalog = Catalog(mariadb=True, database_charsets={TABLE.database: "utf8mb4"})
    rows, bad = logged(login, place, catalog)
    assert bad == []
    assert rows == shown(session, read_definition(session, TABLE))
    assert len(rows) == 3 * (len(VALUES) + 1)
    assert catalog.needed == ({TABLE} if metadata == "FULL" else set())
    with Session(login) as after:  # in the storage of today the log tells the digits
        place = place_now(after).place
        insert(after, 300)
    if metadata == "FULL":
        assert len(logged(login, place, Catalog(mariadb=True))[0]) == len(VALUES) + 1


def test_without_its_definition_it_is_refused_by_name(login: Login, session: Session) -> None:
    session.execute("SET GLOBAL binlog_row_metadata = 'FULL'")
    with Session(login) as writer:
        writer.execute("SET SESSION sql_mode = ''")
        writer.execute(f"CREATE TABLE {TABLE} (id INT PRIMARY KEY, at DATETIME(6), day DATE)")
        place = place_now(writer).place
        writer.execute(f"INSERT INTO {TABLE} VALUES (1, '2026-12-01 10:11:12.000001', '2026-12-01')")
    with pytest.raises(SchemaMissingError) as raised:
        logged(login, place, Catalog(mariadb=True))
    assert raised.value.detail == (
        f"{TABLE} stores at in the format of MariaDB 5.3 (mysql56_temporal_format = OFF), for which the log "
        "does not have the number of fraction digits, and its definition is not known. Give the schema; or "
        "SET GLOBAL mysql56_temporal_format = ON, and in a new session ALTER TABLE "
        f"`{TABLE.database}`.`{TABLE.table}` FORCE, then take a new snapshot"
    )
