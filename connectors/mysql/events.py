"""What a binlog reader gives: transactions, their rows, statements and signs of life, in log order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from connectors.mysql.position import LogPlace
from connectors.mysql.schema.definitions import TableChange
from streamjobs.changes.position import Half, Position
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ChangeKind, TableId, TableSchema


@dataclass(frozen=True)
class Begin:
    """A transaction starts. `place` is its first event: never start reading behind it and before its Commit.

    `gtid`: `uuid:7`, `0-1-7`, or "" when the log has none. `committed_at_ms`: commit time where the server
    logs it (MySQL 8), else the time of this event in whole seconds; all rows of the transaction carry it.
    """

    place: LogPlace
    gtid: str
    committed_at_ms: int


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be decoded; the rows around it are good. Its other columns are not given.

    `data` is what `column` holds in the log, `reason` says why it has no value. `row` of the position counts
    on over it, so the rows behind it keep their seq.
    """

    schema: TableSchema
    kind: ChangeKind
    position: Position
    column: str
    data: bytes
    reason: str
    half: Half = Half.ONLY

    def __str__(self) -> str:
        return (
            f"{self.schema.table}.{self.column} in a row of an {self.kind.name} at {self.position}: "
            f"{self.reason}; the bytes are {self.data[:64].hex(' ')}{'…' if len(self.data) > 64 else ''}"
        )


@dataclass(frozen=True)
class Commit:
    """A transaction ends: the only place from which reading may start again.

    `place` is where the next read starts. The reader's `gtids` already holds `gtid`.
    """

    place: LogPlace
    gtid: str
    committed_at_ms: int


@dataclass(frozen=True)
class Ddl:
    """A statement that may concern a table's shape, outside or inside of a transaction.

    `changes` is what it does to tables, already applied to the reader's catalog; empty: it concerns no table.
    An `Unknown` among them was not understood. `place` is behind it. `gtid` as in Begin. A Begin precedes and
    a Commit follows it, as with rows.
    """

    place: LogPlace
    gtid: str
    committed_at_ms: int
    database: str
    statement: str
    changes: tuple[TableChange, ...]


@dataclass(frozen=True)
class Rotate:
    """The log goes on in another file; `place` is its first event."""

    place: LogPlace


@dataclass(frozen=True)
class Heartbeat:
    """The server has nothing new: a sign of life. Streams only; `place` is the end of what it has sent."""

    place: LogPlace
    received_at_ms: int


@dataclass(frozen=True)
class Receiving:
    """A long transaction is being received, and nothing of it may be used yet; `place` is before it."""

    place: LogPlace


BinlogEvent = Begin | RowBatch | BadRow | Commit | Ddl | Rotate | Heartbeat | Receiving
"""Between Begin and Commit come RowBatch, BadRow and Ddl; the others only outside."""


class Wanted(Protocol):
    """Says which tables are decoded; asked once for each table map, and remembered."""

    def __call__(self, table: TableId, /) -> bool:
        """Whether changes of this table are wanted."""


class BinlogReader(Protocol):
    """An open log. One thread; iterate once.

    Promise: every event in log order, rows exact or BadRow, nothing skipped but tables that are not wanted.
    Memory is bounded by the largest single event, never by a transaction.
    Raises, while it is iterated: BinlogError and its kinds, ConnectionLostError (streams).
    """

    @property
    def place(self) -> LogPlace:
        """The end of the last transaction: where to read on from."""

    @property
    def gtids(self) -> str:
        """The set of all transactions so far in the server's own spelling; "" when the log has no GTIDs."""

    @property
    def file_made_at_s(self) -> int:
        """When the log's file was begun, by the server's clock in epoch seconds; 0: not known."""

    @property
    def undecided(self) -> tuple[str, ...]:
        """XA transactions that are prepared and not decided: their rows would be lost after this place."""

    def __iter__(self) -> Iterator[BinlogEvent]: ...

    def __enter__(self) -> BinlogReader: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def close(self) -> None:
        """Free the file or the connection; the iteration ends. Safe to call twice."""
