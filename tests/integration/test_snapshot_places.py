"""A chunk has exactly what the log has before its place, also while the server begins new log files."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.mysql.position import LogPosition
from connectors.mysql.schema.information_schema import read_definition
from connectors.mysql.server.log_position import is_written, mariadb_gtids, mysql_place
from connectors.mysql.server.session import Login, Session
from connectors.mysql.snapshot.reader import TableReader
from streamjobs.changes.row_change import TableId
from streamjobs.local.mariadb import MariaDbOptions, MariaDbServer
from streamjobs.options.options import Secret

pytestmark = pytest.mark.services

VIEWS = 150
"""Of each of two readers; a third of the views open where a log file has just begun."""
READER = "reader"


@pytest.fixture(scope="module")
def mariadb_options(mariadb_root: Path | None) -> MariaDbOptions:
    return MariaDbOptions(root=mariadb_root, settings={"max-binlog-size": "4096"})


@pytest.fixture(scope="module")
def root(own_mariadb: MariaDbServer) -> Login:
    made = Login("127.0.0.1", own_mariadb.port, "root", Secret(""), tls=False)
    with Session(made) as session:
        session.execute("CREATE DATABASE p")
        session.execute(f"CREATE USER {READER}")
        session.execute(f"GRANT BINLOG MONITOR ON *.* TO {READER}")
        session.execute(f"GRANT SELECT ON p.* TO {READER}")
    return made


@contextmanager
def counting(login: Login, table: TableId) -> Iterator[None]:
    """Two writers count the table's one number up; each count is a transaction that fills half a log file."""
    stop = threading.Event()

    def write() -> None:
        with Session(login) as session:
            while not stop.is_set():
                session.execute(f"UPDATE {table} SET v = v + 1, pad = REPEAT('x', 1500)")

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write) for _ in range(2)]
        try:
            yield
        finally:
            stop.set()
    for writer in writers:
        writer.result()


def views(login: Login, table: TableId) -> list[tuple[LogPosition, int]]:
    """The place and the number in so many chunks."""
    found = []
    with Session(login) as session:
        reader = TableReader(session, read_definition)
        for _ in range(VIEWS):
            chunk = reader.chunk(table, None, None, 10)
            (row,) = [row for batch in chunk.batches for row in batch.rows]
            assert isinstance(row[1], bytes)
            found.append((chunk.place, int(row[1])))
    return found


def transactions(session: Session, place: LogPosition) -> int:
    return int(mariadb_gtids(session, place).rpartition("-")[2])


@pytest.mark.parametrize("key", ["PRIMARY KEY (id)", "KEY (v)"])
def test_a_view_at_the_start_of_a_log_file_has_all_of_the_file_before(root: Login, key: str) -> None:
    table = TableId("p", key.partition(" ")[0].lower())
    user = Login(root.host, root.port, READER, Secret(""), tls=False)
    with Session(root) as session:
        session.execute(f"CREATE TABLE {table} (id INT, v INT, pad TEXT, {key})")
        session.execute(f"INSERT INTO {table} VALUES (1, 0, '')")
        before = int((session.text("SELECT @@gtid_binlog_pos") or "").rpartition("-")[2])
        with counting(root, table), ThreadPoolExecutor(2) as pool:
            found = [view for each in pool.map(lambda _: views(user, table), range(2)) for view in each]
        assert len({place.file for place, _ in found}) > VIEWS // 10
        wrong = [
            (place, v, true) for place, v in found if v != (true := transactions(session, place) - before)
        ]
    assert wrong == []


def test_a_place_behind_the_end_of_the_log_is_not_written(root: Login) -> None:
    with Session(root) as session:
        end = mysql_place(session).place
        assert is_written(session, end)
        assert not is_written(session, LogPosition(end.file, end.offset + 1))
