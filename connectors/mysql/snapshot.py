"""Whole tables, read in chunks: each chunk is the table's rows as of one exact place of the log."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from connectors.mysql.changes import LogPlace
from connectors.mysql.decoders import FAILURES, Undecodable, reason_of
from connectors.mysql.server_places import begins_file, mariadb_view, mysql_place, server_clock_ms
from connectors.mysql.session import Session, TextRow, quoted, table_name
from connectors.mysql.snapshot_values import Converter, key_expression, key_literal, selected
from connectors.mysql.table_changes import TableDefinition
from streamjobs.errors import RetriableError
from streamjobs.rowchange import Row, TableId

Key = tuple[str, ...]
"""Values of the first columns of a primary key, as literals of the server: `("17", "x'6162'")`."""

_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
_LOCK_WAIT_S = 3
_WHOLE_WAIT_S = 10.0
_WHOLE_POLL_S = 0.01
_BATCH_ROWS = 500
_FIRST_STEP, _GROWTH = 100, 8


@dataclass(frozen=True)
class SelectedRows:
    """Some rows of a table in canonical form, and the values for whose sake others are not there."""

    rows: Sequence[Row]
    bad: Sequence[Undecodable] = ()


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
        while begins_file(session, place) and not self._is_whole(seen_by):
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


class ChunkQuery:
    """The SELECT of one table's chunks, and how to read its rows."""

    def __init__(self, definition: TableDefinition) -> None:
        columns = {column.name: column for column in definition.columns}
        self._table = definition.table
        self._keys = [columns[name] for name in definition.primary_key]
        self._compared = [key_expression(column)[0] for column in self._keys]
        chosen = [selected(column) for column in definition.columns]
        self._width = len(chosen)
        self._selected = [column.expression for column in chosen]
        self._selected += [key_expression(column)[1] for column in self._keys]
        self._converters: list[tuple[int, Converter]] = [
            (index, column.convert) for index, column in enumerate(chosen) if column.convert is not None
        ]

    def sql(self, after: Key | None, until: Key | None, limit: int | None) -> str:
        """Give the query of the rows behind `after` up to `until`."""
        conditions = []
        if after is not None:
            conditions.append(self._above(after))
        if until is not None:
            conditions.append(f"NOT ({self._above(until)})")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        order = f" ORDER BY {', '.join(quoted(column.name) for column in self._keys)}" if self._keys else ""
        end = "" if limit is None else f" LIMIT {limit}"
        return f"SELECT {', '.join(self._selected)} FROM {table_name(self._table)}{where}{order}{end}"

    def read(self, found: Sequence[TextRow]) -> SelectedRows:
        """Give the row images in canonical form; a row with a value that has none is set aside."""
        if not self._converters:
            return SelectedRows([row[: self._width] for row in found])
        rows: list[Row] = []
        bad: list[Undecodable] = []
        for row in found:
            try:
                rows.append(self.row(row))
            except FAILURES:
                bad.append(self._first_bad(row))
        return SelectedRows(rows, bad)

    def _first_bad(self, found: TextRow) -> Undecodable:
        for index, convert in self._converters:
            value = found[index]
            try:
                if value is not None:
                    convert(value)
            except FAILURES as exc:
                return Undecodable(index, value or b"", reason_of(exc))
        message = f"a row of {self._table} that could not be read a moment ago"
        raise AssertionError(message)

    def row(self, found: TextRow) -> Row:
        """Give the row image in canonical form. Raises one of FAILURES for bytes without value."""
        if not self._converters:
            return found[: self._width]
        values = list(found[: self._width])
        for index, convert in self._converters:
            value = values[index]
            if value is not None:
                values[index] = convert(value)
        return tuple(values)

    def key(self, found: TextRow) -> Key:
        """Give the row's key as literals."""
        values = found[self._width :]
        return tuple(
            key_literal(column, value or b"") for column, value in zip(self._keys, values, strict=True)
        )

    def _above(self, key: Key) -> str:
        """A condition for keys above this one, or above all that begin with it; usable by the index."""
        parts = []
        for count in range(1, len(key) + 1):
            same = [
                f"{name} = {value}" for name, value in zip(self._compared, key[: count - 1], strict=False)
            ]
            parts.append(" AND ".join([*same, f"{self._compared[count - 1]} > {key[count - 1]}"]))
        if len(key) == 1:
            return parts[0]
        return f"{self._compared[0]} >= {key[0]} AND ({' OR '.join(f'({part})' for part in parts)})"


def split_key(
    session: Session, definition: TableDefinition, parts: int
) -> list[tuple[Key | None, Key | None]]:
    """Give up to `parts` ranges (above, up to) of the first key column that together hold every row.

    One range unless that column is a whole number: only those can be cut without reading the table.
    """
    key = definition.primary_key
    first = next((column for column in definition.columns if key and column.name == key[0]), None)
    if parts < 2 or first is None or first.type not in _INTEGERS:
        return [(None, None)]
    name = quoted(first.name)
    rows = session.rows(f"SELECT MIN({name}), MAX({name}) FROM {table_name(definition.table)}")
    low, high = rows[0]
    if low is None or high is None or int(high) - int(low) < parts:
        return [(None, None)]
    least, step = int(low), (int(high) - int(low)) // parts
    cuts = [(str(least + step * number),) for number in range(1, parts)]
    return list(zip([None, *cuts], [*cuts, None], strict=True))
