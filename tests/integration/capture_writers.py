"""Writers of random transactions, as an application under load makes them."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType

import pymysql

from connectors.mysql.server.session import Session
from streamjobs.errors import RetriableError, SystemicError
from tests.integration.capture_rig import Rig
from tests.patience import limit_s

ITEMS = """
    CREATE TABLE {database}.items (
        id INT PRIMARY KEY, name VARCHAR(40) CHARACTER SET latin1, price DECIMAL(10,2), weight FLOAT,
        changed TIMESTAMP(6) NULL, at DATETIME(3), took TIME(2), flags BIT(9), kind ENUM('a','it''s'),
        tags SET('x','y','z'), code BINARY(4), text_ TEXT, version INT NOT NULL
    )
"""
COLUMNS = "id, name, price, weight, changed, at, took, flags, kind, tags, code, text_, version"


class Writers:
    """Some threads that insert, update, delete and change keys until the block ends or `count` is reached.

    Each transaction has 1 to 5 statements, on one table of `ITEMS` unless `write` gives others; some are
    rolled back. `pause_s` is how long a thread rests after each.
    """

    def __init__(
        self,
        rig: Rig,
        database: str,
        *,
        threads: int = 3,
        seed: int = 0,
        count: int = 10**9,
        pause_s: float = 0.0,
        write: Callable[[random.Random], str] | None = None,
    ) -> None:
        self._rig = rig
        self._write = write or partial(statement, f"{database}.items")
        self._pause_s = pause_s
        self._seed = seed
        self._left = count
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._failures: list[BaseException] = []
        self.committed = 0
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(threads)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Let all end what they are at; rows stay as they are from then on."""
        self._stop.set()
        self.join()

    def join(self) -> None:
        """Wait until all have done their part."""
        for thread in self._threads:
            thread.join(limit_s(60))
        assert not self._failures, self._failures

    def _run(self, number: int) -> None:
        chance = random.Random(self._seed * 1000 + number)
        session: Session | None = None
        while not self._stop.is_set() and self._take():
            try:
                session = session or self._rig.session()
                self._transaction(session, chance)
                self._stop.wait(self._pause_s)
            except (RetriableError, SystemicError, pymysql.err.Error) as exc:
                if "Duplicate entry" not in str(exc) and not isinstance(exc, RetriableError):
                    self._failures.append(exc)
                    return
                if session is not None:  # a deadlock, a taken key, or the server is away for a moment
                    session.close()
                    session = None
                self._stop.wait(0.01)
        if session is not None:
            session.close()

    def _take(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left >= 0

    def _transaction(self, session: Session, chance: random.Random) -> None:
        session.execute("START TRANSACTION")
        for _ in range(chance.randint(1, 5)):
            session.execute(self._write(chance))
        session.execute("ROLLBACK" if chance.random() < 0.05 else "COMMIT")
        with self._lock:
            self.committed += 1


def statement(table: str, chance: random.Random) -> str:
    """One random statement on a table of ITEMS."""
    key = chance.randrange(200)
    newer = "version = version + 1"
    match chance.choices(("insert", "update", "delete", "move", "many"), (4, 4, 2, 1, 1))[0]:
        case "insert":
            return f"REPLACE INTO {table} ({COLUMNS}) VALUES {row(key, chance)}"
        case "update":
            price = chance.randrange(10**6) / 100
            return f"UPDATE {table} SET price = {price}, {newer} WHERE id = {key}"
        case "delete":
            return f"DELETE FROM {table} WHERE id = {key}"
        case "move":
            return f"UPDATE IGNORE {table} SET id = {chance.randrange(200)}, {newer} WHERE id = {key}"
        case _:
            return f"UPDATE {table} SET weight = 2.5, {newer} WHERE id BETWEEN {key} AND {key + 20}"


EDGES = (
    ("'é ü'", "''", "_latin1 x'81'"),
    ("0", "-0.01", "99999999.99", "12.50"),
    ("1.1", "16777216", "-3.4e38", "0"),
    ("'2024-03-31 01:30:00.123456'", "'1970-01-01 00:00:01'"),
    ("'2024-02-29 23:59:59.999'", "'0000-00-00 00:00:00'", "'1000-01-01 00:00:00'"),
    ("'-12:34:56.12'", "'838:59:59'", "'-00:00:00.50'"),
    ("0", "511", "5"),
    ("'a'", "'it''s'"),
    ("''", "'x,z'", "'x,y,z'"),
    ("x'0102'", "x'00000000'", "x'ffffffff'"),
    ("'😀 text'", "''", "REPEAT('long ', 200)"),
)


def row(key: int, chance: random.Random) -> str:
    """VALUES of one row with edge values."""
    values = [chance.choice([*edges, "NULL"]) for edges in EDGES]
    return f"({key}, {', '.join(values)}, {chance.randrange(1000)})"
