"""Snapshot chunks: each is read in its own session, which reports its log position before the first row."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from connectors.mysql.events import BadRow
from connectors.mysql.position import LogPosition
from connectors.mysql.rows.table_plan import schema_of
from connectors.mysql.schema.information_schema import read_definition
from connectors.mysql.server.session import Login, NoSuchTableError, Session
from connectors.mysql.snapshot.reader import Chunk, TableReader
from streamjobs.capture.config.settings import SnapshotSettings
from streamjobs.capture.snapshot.handoff import PartChunk, Place
from streamjobs.capture.state import TablePart
from streamjobs.changes.position import Half
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ChangeKind, TableId, TableSchema
from streamjobs.errors import RetriableError

_CATCH_UP_S = 10.0
_CATCH_UP_POLL_S = 0.002


class MySqlChunks:
    """Reads chunks of any table; implements `handoff.PartReader`.

    Promise: a chunk has exactly the rows of its log position.
    """

    def __init__(self, login: Login, settings: SnapshotSettings, epoch: int) -> None:
        self._login = login
        self._settings = settings
        self._epoch = epoch
        self._schemas: dict[TableId, tuple[object, TableSchema]] = {}
        self._idle: list[Session] = []
        self._busy: set[Session] = set()
        self._lock = threading.Lock()
        self._closed = False

    def read(
        self, table: TableId, part: TablePart, at_least: Place, opened: Callable[[Place], None]
    ) -> PartChunk:
        """Read the part's next chunk; no rows if the table was dropped meanwhile."""
        session = self._take()
        limit, max_bytes = self._settings.chunk_rows, self._settings.chunk_bytes
        reader = TableReader(session, read_definition)
        deadline_s = time.monotonic() + _CATCH_UP_S

        def fresh(place: LogPosition) -> bool:
            here = (place.number, place.offset)
            if here >= at_least:
                opened(here)
                return True
            if time.monotonic() > deadline_s:
                message = f"{self._login}: the tables lag behind the log for over {_CATCH_UP_S:g} s"
                raise RetriableError(message)
            time.sleep(_CATCH_UP_POLL_S)
            return False

        try:
            chunk = reader.chunk(table, part.after, part.until, limit, fresh, max_bytes)
        except NoSuchTableError:
            self._give_back(session)
            opened(at_least)
            return NoRows()
        return PartRows(chunk, self._schema(chunk), self._epoch, lambda: self._give_back(session))

    def close(self) -> None:
        """Close all sessions; a running read then raises."""
        with self._lock:
            self._closed = True
            sessions = [*self._idle, *self._busy]
        for session in sessions:
            session.close()

    def _take(self) -> Session:
        with self._lock:
            session = self._idle.pop() if self._idle else None
        session = session or Session(self._login, timeout_s=600.0)
        with self._lock:
            if self._closed:
                session.close()
                message = "the capture is closing"
                raise RetriableError(message)
            self._busy.add(session)
        return session

    def _give_back(self, session: Session) -> None:
        with self._lock:
            self._busy.discard(session)
            if session.connection.open:
                self._idle.append(session)

    def _schema(self, chunk: Chunk) -> TableSchema:
        """Return the same schema object while the definition is the same: producers compare by identity."""
        known = self._schemas.get(chunk.definition.table)
        if known is None or known[0] != chunk.definition:
            known = self._schemas[chunk.definition.table] = (chunk.definition, schema_of(chunk.definition))
        return known[1]


class PartRows:
    """A chunk's rows as row batches; implements `handoff.PartChunk`."""

    def __init__(self, chunk: Chunk, schema: TableSchema, epoch: int, give_back: Callable[[], None]) -> None:
        self._chunk = chunk
        self._schema = schema
        self._epoch = epoch
        self._give_back = give_back

    def batches(self) -> Iterator[RowBatch | BadRow]:
        """Yield the rows; snapshot rows sort before every change that starts at their position."""
        sent = 0
        for found in self._chunk.batches:
            rows, at_ms = found.rows, self._chunk.at_ms
            if rows:
                place = self._chunk.place.position(self._epoch, sent)
                yield RowBatch(self._schema, ChangeKind.SNAPSHOT, rows, (), place, at_ms, "", Half.SNAPSHOT)
                sent += len(rows)
            for bad in found.bad:
                place = self._chunk.place.position(self._epoch, sent)
                column = self._schema.columns[bad.column].name
                yield BadRow(
                    self._schema, ChangeKind.SNAPSHOT, place, column, bad.data, bad.reason, Half.SNAPSHOT
                )
                sent += 1

    def rest(self, part: TablePart) -> TablePart:
        """Return the rest of the part."""
        self._give_back()
        return replace(
            part,
            after=self._chunk.last_key() or part.after,
            done=self._chunk.complete(),
            rows=part.rows + self._chunk.rows(),
        )


class NoRows:
    """The empty chunk of a dropped table; implements `handoff.PartChunk`."""

    def batches(self) -> Iterator[RowBatch | BadRow]:
        """Return no rows."""
        return iter(())

    def rest(self, part: TablePart) -> TablePart:
        """Return the part as done."""
        return replace(part, done=True)
