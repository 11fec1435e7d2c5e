"""What the contract suite needs of a store: connector, real service, and a reader that is not ours."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Protocol

from streamjobs.sinks.contract import Attempt, Record, RecordKind, Sink, SinkColumn, SinkTable
from tests.patience import limit_s

COLUMNS = (
    SinkColumn("id", "BIGINT NOT NULL", nullable=False),
    SinkColumn("name", "STRING"),
    SinkColumn("price", "DECIMAL(10, 2)"),
    SinkColumn("big", "BIGINT"),
    SinkColumn("share", "DOUBLE"),
    SinkColumn("flag", "BOOLEAN"),
    SinkColumn("at", "TIMESTAMP_LTZ(3)"),
    SinkColumn("local_at", "TIMESTAMP(6)"),
    SinkColumn("day", "DATE"),
    SinkColumn("clock", "TIME(3)"),
    SinkColumn("raw", "BYTES"),
)
NULLS = dict.fromkeys((column.name for column in COLUMNS), None)
FULL: Mapping[str, Any] = {
    "name": "Überraschung\x00 🦊",
    "price": Decimal("12345678.90"),
    "big": 2**63 - 1,
    "share": 0.1 + 0.2,
    "flag": True,
    "at": datetime(2026, 11, 23, 7, 20, 25, 123000, tzinfo=timezone.utc),
    "local_at": datetime(9999, 12, 31, 23, 59, 59, 999999),  # noqa: DTZ001
    "day": date(1, 1, 1),
    "clock": time(23, 59, 59, 999000),
    "raw": bytes(range(256)),
}
LEAST: Mapping[str, Any] = {
    "name": "",
    "price": Decimal("-0.01"),
    "big": -(2**63),
    "share": -1.7976931348623157e308,
    "flag": False,
    "at": datetime(1970, 1, 2, tzinfo=timezone.utc),
    "local_at": datetime(1000, 1, 1),  # noqa: DTZ001
    "day": date(9999, 12, 31),
    "clock": time(0, 0),
    "raw": b"",
}
"""The other ends of the types, and the empty text and bytes, which are no NULLs."""

POISON_ID = 437
"""The row of a thousand that a store must refuse."""

TEXT_COLUMNS = (SinkColumn("a", "STRING"), SinkColumn("b", "STRING"))
TEXT_KEYS = (
    ("", ""),
    ("", "\x00"),
    ("\x00", ""),
    ("a\x00", "b"),
    ("a", "\x00b"),
    ("a:", "b"),
    ("a", ":b"),
    ("a\\", ":b"),
    ("A", "b"),
    ("a", "b"),
    ("a", "b'\"`;--{x}\r\n"),
    ("ä", "🦊"),
    ("a\u0308", "🦊"),
)
"""Keys that must stay apart, in every store that takes them."""

Row = dict[str, Any]
Rows = dict[tuple[Any, ...], Row]


class Store(ABC):
    """One store: makes tables and sinks, and reads with a client or a protocol that is not ours.

    A session starts it once; each test has tables of its own.
    """

    poison: ClassVar[Mapping[str, Any]]
    """Values that make the row POISON_ID unfit for the store (other rows never hold them)."""
    biggest_text: ClassVar[int]
    """Characters (ASCII) of the longest text that a row of COLUMNS may hold."""
    too_big_text: ClassVar[int]
    """Characters of a text that the store, or its connector, must refuse."""
    fences: ClassVar[bool] = True
    """Whether a write of an older attempt raises, or else is ignored."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._numbers = itertools.count(1)

    def start(self) -> None:  # noqa: B027 - an embedded store has nothing to start
        """Bring the service up; raises ServiceError when it does not come."""

    def stop(self) -> None:  # noqa: B027
        """End it."""

    def next_name(self) -> str:
        """Give a table name that no other test has."""
        return f"t{next(self._numbers)}"

    @abstractmethod
    def table(self, columns: Sequence[SinkColumn] = COLUMNS, key: tuple[str, ...] = ("id",)) -> SinkTable:
        """A new table, empty, ready to be written; its options bound each request to a second or two."""

    @abstractmethod
    def sink(self, table: SinkTable) -> Sink:
        """A new sink of the table."""

    @abstractmethod
    def rows(self, table: SinkTable) -> Rows:
        """Everything in the table as a plain reader sees it, typed as in FULL, by key."""

    def text_keys(self) -> Sequence[tuple[str, str]]:
        """The keys over TEXT_COLUMNS that the store takes."""
        return TEXT_KEYS


class Server(Protocol):
    """What a `Service` is, or several of them together."""

    @property
    def alive(self) -> bool: ...
    def kill(self) -> None: ...
    def restart(self) -> None: ...
    def freeze(self) -> None: ...
    def thaw(self) -> None: ...


def patient(table: SinkTable) -> SinkTable:
    """Return the table with time for its requests: those of a store are short, so that faults are found soon.

    For tests of sizes, which take a busy machine seconds.
    """
    if "requestTimeout" not in table.options:
        return table
    return replace(table, options={**table.options, "requestTimeout": f"{round(limit_s(30))} s"})


class ServerStore(Store):
    """A store that is a process of its own, which can be killed, frozen and locked."""

    @property
    @abstractmethod
    def service(self) -> Server:
        """The process: kill, restart, freeze, thaw."""

    @abstractmethod
    def wrong_password(self, table: SinkTable) -> SinkTable | None:
        """The same table with credentials that the service refuses; None where it knows none."""

    @abstractmethod
    def broken_targets(self) -> Mapping[str, SinkTable]:
        """Tables whose target is not there or does not fit, by what `open` must say of them (a regex)."""


def upsert(key: int, counter: int = 1, **values: Any) -> Record:
    """A whole row of COLUMNS."""
    return Record((key,), {**NULLS, "id": key, **values}, RecordKind.UPSERT, counter)


def delete(key: int, counter: int = 1) -> Record:
    """A delete that knows the key only."""
    return Record((key,), {"id": key}, RecordKind.DELETE, counter)


def row(key: int, **values: Any) -> Row:
    """What `upsert` of the same leaves."""
    return {**NULLS, "id": key, **values}


def attempt(number: int = 0, *, subtask: int = 0, parallelism: int = 1, run: str = "run") -> Attempt:
    """An attempt of a run."""
    return Attempt(run, subtask, parallelism, number)
