"""Snapshots inside the running stream: chunks are read in parallel, and sent at their exact log position.

A snapshot chunk has a table's rows as of a log position P. It is sent when the stream has sent every change
before P and none after it; changes are never held back or dropped because of a chunk. So each row of a chunk
equals the result of the changes before it, and the changes after it continue from there: no gap, no overlap,
and no need to compare keys (only the server knows their order).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol

from connectors.mysql.events import BadRow
from streamjobs.capture.state import TablePart, table_id
from streamjobs.capture.status.progress import SnapshotProgress
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import TableId
from streamjobs.retry import Clock

Place = tuple[int, int]
"""A log position that can be compared: file number, offset."""


class PartChunk(Protocol):
    """The next rows of a part, as of one log position."""

    def batches(self) -> Iterator[RowBatch | BadRow]:
        """Return the rows; read them once, in the thread of the stream."""

    def rest(self, part: TablePart) -> TablePart:
        """Return the rest of the part, once all batches are read."""


class PartReader(Protocol):
    """Reads chunks; called from several threads, but from one at a time for each table part."""

    def read(
        self, table: TableId, part: TablePart, at_least: Place, opened: Callable[[Place], None], /
    ) -> PartChunk:
        """Read the next chunk, at a position not before `at_least`; pass it to `opened` once it is fixed.

        A commit can be in the log before it is visible in the tables: a view opened then is older than the
        stream.
        """

    def close(self) -> None:
        """Close the connections of all reads, also while one runs."""


class _Running:
    """A chunk that is being read; `place` is None if the read failed before it had a position."""

    def __init__(self, table: TableId, number: int) -> None:
        self.table = table
        self.number = number
        self.place: Place | None = None
        self.chunk: Future[PartChunk] = Future()
        self.known = threading.Event()

    def opened(self, place: Place) -> None:
        self.place = place
        self.known.set()


class Handoff:
    """The running snapshots; all methods except the reads run in the stream's thread.

    `parts` is the rest of each table; it is stored with the position. A part that is not done when the
    capture ends continues after its last sent key at the next start.
    """

    def __init__(
        self,
        reader: PartReader,
        parts: Mapping[str, Sequence[TablePart]],
        *,
        readers: int,
        max_rows_per_second: int | None,
        clock: Clock,
    ) -> None:
        self._reader = reader
        self._readers = readers
        self._pace = _Pace(max_rows_per_second, clock)
        self._pool = ThreadPoolExecutor(readers, thread_name_prefix="snapshot")
        self._parts: dict[TableId, list[TablePart]] = {table_id(name): list(of) for name, of in parts.items()}
        self._again: dict[TableId, list[TablePart]] = {}
        self._running: list[_Running] = []

    @property
    def active(self) -> bool:
        """Return whether any snapshot is running."""
        return bool(self._parts)

    @property
    def parts(self) -> dict[str, tuple[TablePart, ...]]:
        """The rest of each table, by its name."""
        return {str(table): tuple(self._again.get(table, parts)) for table, parts in self._parts.items()}

    @property
    def tables(self) -> list[TableId]:
        """The tables that are being read."""
        return list(self._parts)

    def progress(self, expected: Mapping[TableId, int]) -> list[SnapshotProgress]:
        """Return the progress of each table."""
        return [
            SnapshotProgress(table, sum(part.rows for part in parts), expected.get(table, 0))
            for table, parts in self._parts.items()
        ]

    def begin(self, table: TableId, parts: Sequence[TablePart]) -> None:
        """Start a snapshot of a table; restart one that is running once no chunk of it is being read."""
        (self._again if self._reads(table) else self._parts)[table] = list(parts)

    def start_reads(self, place: Place) -> None:
        """Start reads of the next chunks on idle readers; the stream is at `place`, between transactions.

        Blocks until each has its position (milliseconds): otherwise, the next changes that the stream sends
        could already be after it.
        """
        busy = {(running.table, running.number) for running in self._running}
        for table, parts in self._parts.items():
            for number, part in enumerate(parts):
                if len(self._running) >= self._readers or not self._pace.allows():
                    return
                if part.done or (table, number) in busy or table in self._again:
                    continue
                running = _Running(table, number)
                running.chunk = self._pool.submit(self._reader.read, table, part, place, running.opened)
                running.chunk.add_done_callback(lambda _, known=running.known: known.set())  # type: ignore[misc]
                self._running.append(running)
                running.known.wait()

    def due(self, place: Place) -> Iterator[RowBatch | BadRow]:
        """Yield the rows of every chunk at or before `place`, where the stream is about to continue.

        Blocks until they are read: the stream cannot continue without them. Raises what a read raised.
        """
        while self._running:
            running = min(self._running, key=lambda one: one.place or (0, 0))
            if running.place is not None and running.place > place:
                return
            chunk = running.chunk.result()
            for batch in chunk.batches():
                self._pace.spend(len(batch) if isinstance(batch, RowBatch) else 1)
                yield batch
            self._running.remove(running)
            self._finish(running, chunk)

    def close(self) -> None:
        """Cancel the running reads; the rest of each table stays in `parts`."""
        self._reader.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _finish(self, running: _Running, chunk: PartChunk) -> None:
        table, parts = running.table, self._parts[running.table]
        parts[running.number] = chunk.rest(parts[running.number])
        if table in self._again:
            if not self._reads(table):
                self._parts[table] = self._again.pop(table)
        elif all(part.done for part in parts):
            del self._parts[table]

    def _reads(self, table: TableId) -> bool:
        return any(running.table == table for running in self._running)


class _Pace:
    """Rows per second, over all readers; a chunk with more rows delays the next."""

    def __init__(self, rows_per_second: int | None, clock: Clock) -> None:
        self._rate = rows_per_second
        self._clock = clock
        self._free_at_s = 0.0

    def allows(self) -> bool:
        return self._rate is None or self._clock.monotonic_s() >= self._free_at_s

    def spend(self, rows: int) -> None:
        if self._rate is not None:
            self._free_at_s = max(self._free_at_s, self._clock.monotonic_s()) + rows / self._rate


def whole(ranges: Sequence[tuple[tuple[str, ...] | None, tuple[str, ...] | None]]) -> tuple[TablePart, ...]:
    """Return the parts of a table at the start of its snapshot: ranges (above, up to) of its key."""
    return tuple(replace(TablePart(), after=after, until=until) for after, until in ranges)
