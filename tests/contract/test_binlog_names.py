"""Names in a live server's log: compared as that server compares them, whatever else the statement holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

from connectors.mysql.binlog.stream import open_stream
from connectors.mysql.events import Ddl, Heartbeat
from connectors.mysql.schema.definitions import Altered, TableChange, Truncated
from connectors.mysql.schema.history import Catalog
from connectors.mysql.schema.information_schema import read_definition
from connectors.mysql.server.log_position import place_now
from connectors.mysql.server.session import Login, Session
from connectors.mysql.server.table_names import ServerNames
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import Row, TableId
from streamjobs.local.mariadb import USER, MariaDbOptions, MariaDbServer
from streamjobs.options.options import Secret

pytestmark = pytest.mark.services
SETTINGS = {"binlog-row-metadata": "NO_LOG", "lower-case-table-names": "1"}


@pytest.fixture(scope="module")
def mariadb_options(mariadb_root: Path | None) -> MariaDbOptions:
    return MariaDbOptions(settings=SETTINGS, root=mariadb_root)


@pytest.fixture(scope="module")
def login(own_mariadb: MariaDbServer) -> Login:
    return Login(own_mariadb.host, own_mariadb.port, USER, Secret(""), tls=False)


@pytest.fixture
def writer(login: Login) -> Iterator[Session]:
    with Session(login) as opened:
        opened.execute("CREATE DATABASE Shop CHARACTER SET utf8mb4")
        opened.execute("USE Shop")
        yield opened
        opened.execute("DROP DATABASE Shop")


def run(login: Login, table: TableId, statements: list[bytes]) -> tuple[list[TableChange], list[Row]]:
    """What bytes that a client sends as they are do to a table, and its rows."""
    with Session(login) as session:
        names = ServerNames(int(session.variable("lower_case_table_names") or 0))
        catalog = Catalog([read_definition(session, table)], mariadb=True, names=names)
        place = place_now(session).place
    with pymysql.connect(host=login.host, port=login.port, user=USER, charset="utf8mb4") as client:
        client.select_db("Shop")
        for statement in statements:
            client.query(statement)
        client.commit()
    changes: list[TableChange] = []
    rows: list[Row] = []
    with open_stream(
        login, place=place, gtids="", server_id=4714, wanted=lambda one: one == table, catalog=catalog,
        heartbeat_s=0.1, silence_s=20,
    ) as reader:  # fmt: skip
        for event in reader:
            if isinstance(event, Heartbeat):
                return changes, rows
            if isinstance(event, Ddl):
                changes += event.changes
            elif isinstance(event, RowBatch):
                rows += event.images
    message = "the stream ended without a sign of life"
    raise AssertionError(message)


def test_names_are_the_same_in_any_case(login: Login, writer: Session) -> None:
    items = TableId("shop", "items")
    writer.execute("CREATE TABLE Items (id INT PRIMARY KEY)")
    changes, rows = run(
        login,
        items,
        [
            b"TRUNCATE TABLE SHOP.ITEMS",
            b"ALTER TABLE ITEMS ADD X INT FIRST",
            b"INSERT INTO Items VALUES (7, 1)",
        ],
    )
    assert [
        (type(change), change.table) for change in changes if isinstance(change, Altered | Truncated)
    ] == [
        (Truncated, items),
        (Altered, items),
    ]
    assert rows == [(b"7", b"1")]


def test_a_table_may_be_named_by_digits(login: Login, writer: Session) -> None:
    digits = TableId("shop", "2024")
    writer.execute("CREATE TABLE `2024` (id INT PRIMARY KEY)")
    changes, rows = run(
        login,
        digits,
        [
            b"TRUNCATE TABLE shop.2024",
            b"ALTER TABLE shop.2024 ADD x INT FIRST",
            b"INSERT INTO shop.2024 VALUES (7, 1)",
        ],
    )
    assert changes[0] == Truncated(digits)
    assert rows == [(b"7", b"1")]


def test_a_comment_of_other_bytes_spoils_no_name(login: Login, writer: Session) -> None:
    named = TableId("shop", "größe")
    writer.execute("CREATE TABLE `größe` (id INT PRIMARY KEY)")
    changes, rows = run(
        login,
        named,
        ["TRUNCATE TABLE `größe` /* f".encode() + b"\xfcr */", "INSERT INTO `größe` VALUES (7)".encode()],
    )
    assert changes == [Truncated(named)]
    assert rows == [(b"7",)]
