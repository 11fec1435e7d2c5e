"""Whole tables, read in chunks: each chunk is the table's rows as of one exact place of the log."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from connectors.mysql.position import LogPlace
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
_WHOLE_WAIT_S = 10.0
_WHOLE_POLL_S = 0.01
_BATCH_ROWS = 500
_FIRST_STEP, _GROWTH = 100, 8


@dataclass(frozen=True)
class Chunk:
    """Rows of one table as they were at `place`: all changes before it are in them, none behind it is.

    `last_key` is where the next chunk starts, None for a table without primary key. `complete`: no row is
    left in the range. `batches` is read once, before the session is used again.
    """

    definition: TableDefinition
    place: LogPlace
    at_ms: int
    batches: Iterator[SelectedRows]
    last_key: Callable[[], Key | None]
    complete: Callable[[], bool]
    rows: Callable[[], int]


class TableReader:
    """Reads one table's rows as of exact places; one session, one thread.

    Promise: on MariaDB no lock is taken: each chunk has a view of its own, and the server tells its place in
    the log. Where that place begins a log file, the view may lack what the file before has last (decision
    0047): it is used when its rows are those that uncommitted reads see. On MySQL the one table is locked
    against writers while the view is opened (milliseconds; given up after 3 s behind somebody's long
    transaction, as a RetriableError).
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
        opened: Callable[[LogPlace], bool] = lambda _: True,
        max_bytes: int | None = None,
    ) -> Chunk:
        """Read up to `limit` rows with a key above `after`, up to and with `until`, in order of the key.

        Fewer when they have about `max_bytes`. `opened` is told the place before the rows are read; when it
        says False another view is opened. A table without primary key is read as one, whatever the limits;
        its rows come while they are read.
        Raises: RetriableError when the table changed its shape meanwhile, and as Session does.
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
        place: LogPlace,
        at_ms: int,
        bounds: tuple[Key | None, Key | None],
        most: tuple[int, int | None],
    ) -> Chunk:
        query = ChunkQuery(definition)
        if not definition.primary_key:
            whole = _Whole(self._session, query, self._close_view, definition)
            return Chunk(
                definition, place, at_ms, whole.read(), lambda: None, lambda: True, lambda: whole.rows
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
        """Rows that a session sees, in steps that grow as their size allows; whether no more are left."""
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

    def _open_view(self, table: TableId, seen_by: Callable[[Session], object]) -> tuple[LogPlace, int]:
        """Open a view in which what the session sees is exactly that of its place."""
        session = self._session
        if session.is_mariadb:
            place = self._whole_view(table, seen_by)
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

    def _whole_view(self, table: TableId, seen_by: Callable[[Session], object]) -> LogPlace:
        """Open a view of MariaDB that lacks nothing of what the log has before its place."""
        session, deadline_s = self._session, time.monotonic() + _WHOLE_WAIT_S
        place = mariadb_view(session)
        while not is_written(session, place) or (begins_file(session, place) and not self._is_whole(seen_by)):
            session.execute("COMMIT")
            if time.monotonic() > deadline_s:
                message = (
                    f"{session.login}: a transaction that is not committed has changed rows of {table}, and "
                    f"for {_WHOLE_WAIT_S:g} s none was since the log file {place.file} began"
                )
                raise RetriableError(message)
            time.sleep(_WHOLE_POLL_S)
            place = mariadb_view(session)
        return place

    def _is_whole(self, seen_by: Callable[[Session], object]) -> bool:
        """Tell whether the open view lacks no change, committed or not."""
        with Session(self._session.login, timeout_s=600.0) as uncommitted:
            uncommitted.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED")
            return seen_by(self._session) == seen_by(uncommitted)

    def _close_view(self, definition: TableDefinition) -> None:
        """End the view; refuse what was read if the table has another shape by now."""
        self._session.execute("COMMIT")
        if self._definition_of(self._session, definition.table) != definition:
            message = f"{definition.table} was altered while a chunk of it was read; reading it again"
            raise RetriableError(message)


def _digest(batches: Iterable[Sequence[TextRow]]) -> bytes:
    """A digest of rows in their order."""
    digest = hashlib.blake2b()
    for batch in batches:
        digest.update(repr(batch).encode())
    return digest.digest()


class _Whole:
    """A table without key, as it streams in."""

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
