"""Whole tables into the running stream: chunks are read beside it and sent at their exact place in the log.

A chunk is a table's rows as of a place P. It is sent when the stream has sent every change before P and none
behind it; changes are never held back or dropped, chunk or not. So each row that a chunk sends equals what
the changes before it have made of that row, and the changes behind it start from there: no gap, no overlap,
and no keys to compare (whose order only the server knows).
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
"""A place of the log that can be compared: file number, offset."""


class PartChunk(Protocol):
    """The next rows of a part, as of one place of the log."""

    def batches(self) -> Iterator[RowBatch | BadRow]:
        """Give the rows; read it once, in the thread of the stream."""

    def rest(self, part: TablePart) -> TablePart:
        """Give what is left of the part, once all batches were read."""


class PartReader(Protocol):
    """Reads chunks; called from several threads, for each table part by one at a time."""

    def read(
        self, table: TableId, part: TablePart, at_least: Place, opened: Callable[[Place], None], /
    ) -> PartChunk:
        """Read the next chunk, of a place not before `at_least`; tell `opened` its place once it is fixed.

        The log may show a commit before the tables do: a view opened then is older than the stream.
        """

    def close(self) -> None:
        """Free what the reads hold, also while one runs."""


class _Running:
    """A chunk that is being read; `place` is None when the read failed before it had one."""

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
    """The tables that are being read whole; all methods but the reads run in the stream's thread.

    `parts` is what is left of each table; it is stored with the position. A part that is not done when the
    capture ends goes on behind its last sent key at the next start.
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
        """Whether any table is being read."""
        return bool(self._parts)

    @property
    def parts(self) -> dict[str, tuple[TablePart, ...]]:
        """What is left, by table."""
        return {str(table): tuple(self._again.get(table, parts)) for table, parts in self._parts.items()}

    @property
    def tables(self) -> list[TableId]:
        """The tables that are being read."""
        return list(self._parts)

    def progress(self, expected: Mapping[TableId, int]) -> list[SnapshotProgress]:
        """Tell how far each table is."""
        return [
            SnapshotProgress(table, sum(part.rows for part in parts), expected.get(table, 0))
            for table, parts in self._parts.items()
        ]

    def begin(self, table: TableId, parts: Sequence[TablePart]) -> None:
        """Read one more table whole, or the same again from its start once no chunk of it is being read."""
        (self._again if self._reads(table) else self._parts)[table] = list(parts)

    def start_reads(self, place: Place) -> None:
        """Let idle readers open their next chunks; the stream is at `place`, between transactions.

        Blocks until each has its own place (milliseconds): whatever the stream sends afterwards could
        otherwise already be behind it.
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
        """Give the rows of every chunk that stands at or before `place`, where the stream is about to go on.

        Blocks until they are read: the stream may go no further without them. Raises what a read raised.
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
        """Give up what is being read; what is left stays in `parts`."""
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
    """Rows a second, over all readers; a chunk that takes more makes the next wait."""

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
    """Give the parts of a table that has not been begun: ranges (above, up to) of its key."""
    return tuple(replace(TablePart(), after=after, until=until) for after, until in ranges)
