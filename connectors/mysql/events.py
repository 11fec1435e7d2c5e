"""The events of a binlog reader: transactions, their rows, statements and heartbeats, in log order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from connectors.mysql.position import LogPosition
from connectors.mysql.schema.definitions import TableChange
from streamjobs.changes.position import Half, Position
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ChangeKind, TableId, TableSchema


@dataclass(frozen=True)
class Begin:
    """A transaction starts. `place` is its first event: never start reading between it and the Commit.

    `gtid`: `uuid:7`, `0-1-7`, or "" when the log has none. `committed_at_ms`: commit time if the server
    logs it (MySQL 8), else the time of this event in whole seconds; all rows of the transaction carry it.
    """

    place: LogPosition
    gtid: str
    committed_at_ms: int


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be decoded; the rows around it are good. Its other columns are left out.

    `data` is what `column` holds in the log; `reason` is why that is not a value. The row counts in `row` of
    the position, so the rows after it keep their seq.
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
    """A transaction ends: only here may reading start again.

    `place` is where the next read starts. The reader's `gtids` already contains `gtid`.
    """

    place: LogPosition
    gtid: str
    committed_at_ms: int


@dataclass(frozen=True)
class Ddl:
    """A statement that may change a table's shape, outside or inside a transaction.

    `changes` is what it does to tables, already applied to the reader's catalog; empty: it changes no table.
    An `Unknown` among them was not understood. `place` is the end of the statement. `gtid` as in Begin. A
    Begin comes before it and a Commit after it, as with rows.
    """

    place: LogPosition
    gtid: str
    committed_at_ms: int
    database: str
    statement: str
    changes: tuple[TableChange, ...]


@dataclass(frozen=True)
class Rotate:
    """The log continues in another file; `place` is the first event of that file."""

    place: LogPosition


@dataclass(frozen=True)
class Heartbeat:
    """The server is alive and has nothing new. Streams only; `place` is the end of what it has sent."""

    place: LogPosition
    received_at_ms: int


@dataclass(frozen=True)
class Receiving:
    """A long transaction is being received and may not be used yet; `place` is before it."""

    place: LogPosition


BinlogEvent = Begin | RowBatch | BadRow | Commit | Ddl | Rotate | Heartbeat | Receiving
"""RowBatch, BadRow and Ddl come between Begin and Commit; the others come only outside."""


class Wanted(Protocol):
    """Decides which tables are decoded; called once for each table map, and remembered."""

    def __call__(self, table: TableId, /) -> bool:
        """Return whether changes of this table are wanted."""


class BinlogReader(Protocol):
    """An open log. One thread; iterate once.

    Promise: every event in log order, rows exact or BadRow; only tables that are not wanted are skipped.
    The largest single event bounds the memory, not the transaction.
    Raises, while it is iterated: BinlogError and its subclasses, ConnectionLostError (streams).
    """

    @property
    def place(self) -> LogPosition:
        """The end of the last transaction: where to continue reading."""

    @property
    def gtids(self) -> str:
        """The set of all transactions so far, as the server writes it; "" when the log has no GTIDs."""

    @property
    def file_made_at_s(self) -> int:
        """The creation time of the log file, by the server's clock in epoch seconds; 0: not known."""

    @property
    def undecided(self) -> tuple[str, ...]:
        """XA transactions that are prepared, not decided: a start from `place` would lose their rows."""

    def __iter__(self) -> Iterator[BinlogEvent]: ...

    def __enter__(self) -> BinlogReader: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def close(self) -> None:
        """Free the file or the connection; the iteration ends. May be called twice."""
