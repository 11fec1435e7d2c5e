"""Snapshots of tables, read in chunks: each chunk has the table's rows at one exact log position."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from connectors.mysql.position import LogPosition
from connectors.mysql.schema.definitions import TableDefinition
from connectors.mysql.server.log_position import (
    begins_file,
    is_written,
    mariadb_view,
    mysql_place,
    server_clock_ms,
)
from connectors.mysql.server.session import Session, TextRow, table_name
from connectors.mysql.snapshot.chunk_query import ChunkQuery, Key, SelectedRows
from streamjobs.changes.row_change import TableId
from streamjobs.errors import RetriableError

_LOCK_WAIT_S = 3
_VIEW_WAIT_S = 10.0
_VIEW_POLL_S = 0.01
_BATCH_ROWS = 500
_FIRST_STEP, _GROWTH = 100, 8


@dataclass(frozen=True)
class Chunk:
    """Rows of one table as they were at `place`: they contain all changes before it and none after it.

    `last_key` is where the next chunk starts, None for a table without primary key. `complete`: no row is
    left in the range. `batches` must be read once, before the session is used again.
    """

    definition: TableDefinition
    place: LogPosition
    at_ms: int
    batches: Iterator[SelectedRows]
    last_key: Callable[[], Key | None]
    complete: Callable[[], bool]
    rows: Callable[[], int]


class TableReader:
    """Reads one table's rows as of exact log positions; one session, one thread.

    Promise: MariaDB needs no lock: each chunk has its own view, and the server reports the log position of
    the view. The view may lack the end of the file before if the position begins a log file (decision 0047);
    then it is used only if uncommitted reads see the same rows. On MySQL the one table is locked against
    writers while the view is opened. That takes milliseconds; it raises RetriableError if it waits 3 s for a
    long transaction.
    """

    def __init__(
        self, session: Session, definition_of: Callable[[Session, TableId], TableDefinition]
    ) -> None:
        self._session = session
        self._definition_of = definition_of

    def chunk(
        self,
        table: TableId,
        after: Key | None,
        until: Key | None,
        limit: int,
        opened: Callable[[LogPosition], bool] = lambda _: True,
        max_bytes: int | None = None,
    ) -> Chunk:
        """Read up to `limit` rows with a key above `after`, up to and including `until`, in order of the key.

        It stops earlier at about `max_bytes`. `opened` is called with the log position before the rows are
        read; another view is opened if it returns False. A table without primary key is read as one chunk,
        whatever the limits; its rows are streamed.
        Raises: RetriableError when the table was altered meanwhile, and as Session does.
        """
        definition = self._definition_of(self._session, table)
        query = ChunkQuery(definition)

        def rows(session: Session) -> tuple[list[TextRow], bool]:
            return self._rows(session, query, after, until, limit, max_bytes)

        def digest(session: Session) -> bytes:
            return _digest(session.batches(query.sql(None, None, None), _BATCH_ROWS))

        seen_by = rows if definition.primary_key else digest
        place, at_ms = self._open_view(table, seen_by)
        while not opened(place):
            self._session.execute("COMMIT")
            place, at_ms = self._open_view(table, seen_by)
        try:
            return self._read(definition, place, at_ms, (after, until), (limit, max_bytes))
        except BaseException:
            self._session.close()
            raise

    def _read(
        self,
        definition: TableDefinition,
        place: LogPosition,
        at_ms: int,
        bounds: tuple[Key | None, Key | None],
        most: tuple[int, int | None],
    ) -> Chunk:
        query = ChunkQuery(definition)
        if not definition.primary_key:
            stream = _KeylessRows(self._session, query, self._close_view, definition)
            return Chunk(
                definition, place, at_ms, stream.read(), lambda: None, lambda: True, lambda: stream.rows
            )
        found, complete = self._rows(self._session, query, *bounds, *most)
        self._close_view(definition)
        selected_rows = query.read(found)
        last = query.key(found[-1]) if found else bounds[0]
        return Chunk(
            definition,
            place,
            at_ms,
            iter([selected_rows] if found else []),
            lambda: last,
            lambda: complete,
            lambda: len(found),
        )

    def _rows(
        self,
        session: Session,
        query: ChunkQuery,
        after: Key | None,
        until: Key | None,
        limit: int,
        max_bytes: int | None,
    ) -> tuple[list[TextRow], bool]:
        """Read the rows that a session sees, in steps that grow with the size left; return if none remain."""
        found: list[TextRow] = []
        step, size = limit if max_bytes is None else min(limit, _FIRST_STEP), 0
        while True:
            part = session.rows(query.sql(after, until, step))
            found += part
            if len(part) < step:
                return found, True
            if max_bytes is None or len(found) >= limit:
                return found, False
            after = query.key(part[-1])
            size += sum(len(value) for row in part for value in row if value)
            if size >= max_bytes:
                return found, False
            rows_left = (max_bytes - size) * len(found) // max(size, 1)
            step = min(limit - len(found), max(rows_left, 1), step * _GROWTH)

    def _open_view(self, table: TableId, seen_by: Callable[[Session], object]) -> tuple[LogPosition, int]:
        """Open a view in which the session sees exactly the state at the view's log position."""
        session = self._session
        if session.is_mariadb:
            place = self._complete_view(table, seen_by)
            return place, server_clock_ms(session)
        session.execute(f"SET lock_wait_timeout = {_LOCK_WAIT_S}")
        session.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with Session(session.login) as locker:
            locker.execute(f"SET lock_wait_timeout = {_LOCK_WAIT_S}")
            locker.execute(f"LOCK TABLES {table_name(table)} READ")
            session.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            place = mysql_place(locker).place
            locker.execute("UNLOCK TABLES")
        return place, server_clock_ms(session)

    def _complete_view(self, table: TableId, seen_by: Callable[[Session], object]) -> LogPosition:
        """Open a view of MariaDB that contains everything before its log position."""
        session, deadline_s = self._session, time.monotonic() + _VIEW_WAIT_S
        place = mariadb_view(session)
        while not is_written(session, place) or (
            begins_file(session, place) and not self._is_complete(seen_by)
        ):
            session.execute("COMMIT")
            if time.monotonic() > deadline_s:
                message = (
                    f"{session.login}: an uncommitted transaction has changed rows of {table}, and nothing "
                    f"was committed for {_VIEW_WAIT_S:g} s since the log file {place.file} began"
                )
                raise RetriableError(message)
            time.sleep(_VIEW_POLL_S)
            place = mariadb_view(session)
        return place

    def _is_complete(self, seen_by: Callable[[Session], object]) -> bool:
        """Return whether the open view contains every change, committed or not."""
        with Session(self._session.login, timeout_s=600.0) as uncommitted:
            uncommitted.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED")
            return seen_by(self._session) == seen_by(uncommitted)

    def _close_view(self, definition: TableDefinition) -> None:
        """End the view. Raises RetriableError if the table has been altered since it was opened."""
        self._session.execute("COMMIT")
        if self._definition_of(self._session, definition.table) != definition:
            message = f"{definition.table} was altered while a chunk of it was read; reading it again"
            raise RetriableError(message)


def _digest(batches: Iterable[Sequence[TextRow]]) -> bytes:
    """Return a digest of the rows in their order."""
    digest = hashlib.blake2b()
    for batch in batches:
        digest.update(repr(batch).encode())
    return digest.digest()


class _KeylessRows:
    """Streams a table without primary key."""

    def __init__(
        self,
        session: Session,
        query: ChunkQuery,
        close_view: Callable[[TableDefinition], None],
        definition: TableDefinition,
    ) -> None:
        self._session = session
        self._query = query
        self._close_view = close_view
        self._definition = definition
        self.rows = 0

    def read(self) -> Iterator[SelectedRows]:
        for batch in self._session.batches(self._query.sql(None, None, None), _BATCH_ROWS):
            self.rows += len(batch)
            yield self._query.read(batch)
        self._close_view(self._definition)
