"""(e) Reading a binlog: rows per CPU second of our reader and of mysql-replication, on the same log."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pymysql
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import UpdateRowsEvent, WriteRowsEvent

from connectors.mysql.binlog.stream import open_stream
from connectors.mysql.position import LogPosition
from connectors.mysql.server.session import Login
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import TableId
from streamjobs.local.mariadb import USER, MariaDbServer
from streamjobs.options.options import Secret

OURS, PEER = "streamjobs", "mysql-replication 1.0.17"
TABLE = TableId("bench", "mixed")
COLUMNS = (
    "id BIGINT PRIMARY KEY, a INT, u INT UNSIGNED, price DECIMAL(12,2), score DOUBLE, at DATETIME(6), "
    "name VARCHAR(60), text VARCHAR(300), flag TINYINT, raw VARBINARY(40)"
)
_BATCH = 1000
_UPDATED = 4
_START = datetime(2024, 1, 1, tzinfo=timezone.utc).replace(tzinfo=None)


@dataclass(frozen=True)
class BinlogRun:
    """One run over the whole log: row changes, and row changes per CPU second of the reader."""

    side: str
    rows: int
    rows_per_cpu_s: float


class BinlogBench:
    """A log of `rows` inserts and a quarter as many updates, ten mixed columns per row."""

    def __init__(self, server: MariaDbServer, rows: int) -> None:
        self._server = server
        self._settings = {"host": server.host, "port": server.port, "user": USER, "password": ""}
        self.changes = rows + rows // _UPDATED
        self._place = self._fill(rows)

    def alternate(self, rounds: int) -> list[BinlogRun]:
        """Read the log with both readers in turn; each round counts the same rows."""
        sides: Sequence[tuple[str, Callable[[], Iterator[int]]]] = ((OURS, self._ours), (PEER, self._peer))
        return [self._run(side, read) for _ in range(rounds) for side, read in sides]

    def _run(self, side: str, read: Callable[[], Iterator[int]]) -> BinlogRun:
        rows, started = 0, time.process_time()
        for count in read():
            rows += count
            if rows >= self.changes:
                break
        spent = time.process_time() - started
        assert rows == self.changes, f"{side} read {rows} of {self.changes} rows"
        return BinlogRun(side, rows, round(rows / spent))

    def _ours(self) -> Iterator[int]:
        login = Login(self._server.host, self._server.port, USER, Secret(""), tls=False)
        with open_stream(
            login, place=self._place, gtids="", server_id=7001, wanted=lambda table: table == TABLE
        ) as reader:
            for event in reader:
                if isinstance(event, RowBatch):
                    yield len(event)

    def _peer(self) -> Iterator[int]:
        stream = BinLogStreamReader(
            connection_settings=self._settings, server_id=7002, blocking=True, log_file=self._place.file,
            log_pos=self._place.offset, resume_stream=True, only_events=[WriteRowsEvent, UpdateRowsEvent],
        )  # fmt: skip
        try:
            for event in stream:
                yield len(event.rows)
        finally:
            stream.close()

    def _fill(self, rows: int) -> LogPosition:
        rng = random.Random(5)
        connection = pymysql.connect(**self._settings, charset="utf8mb4")
        with connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE OR REPLACE DATABASE {TABLE.database} CHARACTER SET utf8mb4")
            cursor.execute(f"CREATE TABLE {TABLE} ({COLUMNS})")
            cursor.execute("SHOW MASTER STATUS")
            file, offset, *_ = cursor.fetchone()
            for first in range(0, rows, _BATCH):
                batch = [_row(rng, number) for number in range(first, min(first + _BATCH, rows))]
                cursor.executemany(f"INSERT INTO {TABLE} VALUES ({', '.join(['%s'] * 10)})", batch)
                connection.commit()
            cursor.execute(
                f"UPDATE {TABLE} SET flag = flag DIV 2, name = CONCAT(name, 'x') WHERE id < {rows // 4}"
            )
            connection.commit()
        return LogPosition(file, offset)


def _row(rng: random.Random, number: int) -> tuple[object, ...]:
    return (
        number,
        rng.randrange(-(2**31), 2**31),
        rng.randrange(2**32),
        f"{rng.randrange(-(10**9), 10**9) / 100:.2f}",
        rng.random() * 1e6,
        _START + timedelta(microseconds=rng.randrange(10**14)),
        f"name {rng.randrange(10**9)}",
        f"Beschreibung für {rng.randrange(10**9)} " * 3
        if number % 2
        else f"plain text {rng.randrange(10**9)}",
        rng.randrange(-128, 128),
        rng.randbytes(rng.randrange(40)),
    )
