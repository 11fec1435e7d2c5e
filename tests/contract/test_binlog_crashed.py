"""A MariaDB that was killed while it wrote its log: what is whole is read, what is torn never was."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from connectors.mysql.binlog.file import open_file
from connectors.mysql.binlog.stream import open_stream
from connectors.mysql.codec.framing import HEADER_BYTES, EventType, read_header
from connectors.mysql.errors import BinlogError, PositionLostError
from connectors.mysql.events import Heartbeat
from connectors.mysql.schema.history import Catalog
from connectors.mysql.schema.information_schema import read_definition
from connectors.mysql.server.log_position import ServerPosition, place_now
from connectors.mysql.server.session import Login, Session
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import TableId
from streamjobs.local.mariadb import USER, MariaDbServer
from streamjobs.options.options import Secret

pytestmark = pytest.mark.services
TABLE = TableId("torn", "t")
_NUMBERS = count(1)


@pytest.fixture(scope="module")
def server(own_mariadb: MariaDbServer) -> MariaDbServer:
    with Session(login(own_mariadb)) as session:
        session.execute(f"CREATE DATABASE {TABLE.database}")
        session.execute(f"CREATE TABLE {TABLE} (id INT PRIMARY KEY AUTO_INCREMENT, v LONGTEXT)")
    return own_mariadb


def login(server: MariaDbServer) -> Login:
    return Login(server.host, server.port, USER, Secret(""), tls=False)


def insert(session: Session, rows: int, size: int = 1) -> list[bytes]:
    """Insert rows in one transaction; gives what they hold."""
    values = [f"{next(_NUMBERS)}".ljust(size, "x") for _ in range(rows)]
    session.execute(f"INSERT INTO {TABLE} (v) VALUES " + ", ".join(f"('{value}')" for value in values))
    return [value.encode() for value in values]


def events(log: Path, behind: int) -> list[tuple[int, int, int]]:
    """Give type, start and end of each event behind an offset."""
    data, found, at = log.read_bytes(), [], behind
    while at < len(data):
        header = read_header(data[at : at + HEADER_BYTES], "")
        found.append((header.type, at, at + header.size))
        at += header.size
    return found


def read(server: MariaDbServer, start: ServerPosition, *, by_gtids: bool = False) -> list[bytes]:
    """Give the texts of all rows behind a place, to the end of the log."""
    with Session(login(server)) as session:
        catalog = Catalog([read_definition(session, TABLE)], mariadb=True)
    found: list[bytes] = []
    with open_stream(
        login(server), place=None if by_gtids else start.place, gtids=start.gtids, server_id=4711,
        wanted=lambda table: table == TABLE, catalog=catalog, heartbeat_s=0.1, silence_s=20,
    ) as reader:  # fmt: skip
        for event in reader:
            if isinstance(event, RowBatch):
                found += [bytes(row[1] or b"") for row in event.images]  # type: ignore[arg-type]
            if isinstance(event, Heartbeat) and event.place.file != start.place.file:
                return found
    raise AssertionError(found)


def cut_at(log: Path, behind: int, where: str) -> int:
    """Give where the log is cut: within the transaction that begins at `behind`."""
    by_type = {kind: (start, end) for kind, start, end in reversed(events(log, behind))}
    rows = by_type.get(EventType.WRITE_ROWS_V1) or by_type[EventType.WRITE_ROWS_COMPRESSED_V1]
    return {
        "in its first event": by_type[EventType.MARIA_GTID][0] + 7,
        "behind its first event": by_type[EventType.MARIA_GTID][1],
        "in its rows": rows[1] - 100,
        "behind its rows": rows[1],
        "in the header of its commit": by_type[EventType.XID][0] + HEADER_BYTES - 1,
        "in its commit": by_type[EventType.XID][1] - 1,
        "behind its commit": by_type[EventType.XID][1],
    }[where]


@pytest.mark.parametrize("by_gtids", [False, True])
@pytest.mark.parametrize("megabytes", [0.01, 20])
@pytest.mark.parametrize(
    "where",
    [
        "in its first event", "behind its first event", "in its rows", "behind its rows",
        "in the header of its commit", "in its commit", "behind its commit",
    ],
)  # fmt: skip
def test_a_torn_transaction_was_none(
    server: MariaDbServer, where: str, megabytes: float, *, by_gtids: bool
) -> None:
    with Session(login(server)) as session:
        start = place_now(session)
        before = insert(session, 3)
        place = place_now(session).place
        torn = insert(session, 10, int(megabytes * 100_000))
    log = next(server.data_dir.parent.rglob(place.file))
    server.kill()
    cut = cut_at(log, place.offset, where)
    with log.open("r+b") as opened:
        opened.truncate(cut)
    server.restart()
    with Session(login(server)) as session:
        after = insert(session, 2)
    whole = torn if where == "behind its commit" else []
    assert read(server, start, by_gtids=by_gtids) == [*before, *whole, *after]


def test_a_file_that_lacks_more_than_its_last_transaction_is_not_passed_over(server: MariaDbServer) -> None:
    with Session(login(server)) as session:
        start = place_now(session)
        insert(session, 3)
        place = place_now(session).place
        insert(session, 3)
        insert(session, 3)
    log = next(server.data_dir.parent.rglob(place.file))
    server.kill()
    whole = log.read_bytes()
    server.restart()
    log.write_bytes(whole[: place.offset + 50])
    with pytest.raises(PositionLostError, match=r"2 transactions are missing before bin\.\d+ begins"):
        read(server, start)
    log.write_bytes(whole)


def test_a_file_alone_that_is_torn_is_refused(server: MariaDbServer, tmp_path: Path) -> None:
    with Session(login(server)) as session:
        place = place_now(session).place
        insert(session, 3)
        catalog = Catalog([read_definition(session, TABLE)], mariadb=True)
    log = next(server.data_dir.parent.rglob(place.file))
    torn = tmp_path / log.name
    torn.write_bytes(log.read_bytes()[: cut_at(log, place.offset, "behind its rows")])
    with (
        open_file(torn, wanted=lambda table: table == TABLE, catalog=catalog) as reader,
        pytest.raises(BinlogError, match="the log ends in the middle of the transaction"),
    ):
        list(reader)
