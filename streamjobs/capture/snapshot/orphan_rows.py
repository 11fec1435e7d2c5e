"""Orphan rows: rows that a topic still has, but that are missing from a snapshot; found in the topic itself.

A snapshot sends each row that exists. A row that was deleted while nothing followed the log (a purged log, a
table out of the configuration, a statement without row events) can only be found by its absence: its newest
message is older than the snapshot, and is not a DELETE. These rows get their DELETE (docs/decisions/0051).
"""

from __future__ import annotations

import logging
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from streamjobs.changes.position import Half, Position
from streamjobs.changes.row_change import (
    ABSENT,
    ChangeKind,
    Column,
    Row,
    SqlType,
    TableId,
    TableSchema,
    Value,
)
from streamjobs.errors import SystemicError
from thrift_idl.codec import DBMSRowChange, decode_body
from thrift_idl.structs import RowImage

logger = logging.getLogger(__name__)

_LENGTH = struct.Struct(">I")
_NULL, _ABSENT = 0xFFFFFFFF, 0xFFFFFFFE
_TABLES = """
CREATE TABLE newest (
    tab INT, key BLOB, seq BLOB, live INT, shape INT, rest BLOB, PRIMARY KEY (tab, key)
) WITHOUT ROWID
"""
_NOTE = """
INSERT INTO newest VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (tab, key) DO UPDATE SET
    seq = excluded.seq, live = excluded.live, shape = excluded.shape, rest = excluded.rest
WHERE excluded.seq > newest.seq
"""
_GONE = "SELECT key, rest FROM newest WHERE tab = ? AND live AND seq < ? AND shape = ?"
_OTHERS = "SELECT count(*) FROM newest WHERE tab = ? AND live AND seq < ? AND shape <> ?"
_TOGETHER = 2000
_SPELLED_ALIKE = frozenset(
    {SqlType.BOOLEAN, SqlType.TINYINT, SqlType.SMALLINT, SqlType.INT, SqlType.BIGINT, SqlType.UNSIGNED_BIGINT}
)
"""Integers have one text form, whatever their display width is."""

Shape = tuple[tuple[str, int, str], ...]
"""Name, type and native type of the columns that identify a row; keys of two shapes are not comparable."""


@dataclass(frozen=True)
class FinishedSnapshot:
    """A table with a finished snapshot: each of its rows has a message that is not before `since`.

    `needed` are columns besides the key that a DELETE must contain: those of its partition and of its time.
    """

    table: TableId
    since: Position
    needed: tuple[str, ...] = ()


@dataclass(frozen=True)
class OrphanRows:
    """Orphan rows of one table, as images: the key and the needed columns, the rest ABSENT."""

    schema: TableSchema
    images: Iterator[Row]


class NewestRows:
    """The newest message of each row of some tables; use from one thread at a time.

    Only messages of `source` count: another capture may send rows of a table with the same name. What does
    not fit into some megabytes of memory is in a file without a name, which is deleted with the process.
    """

    def __init__(self, source: str, tables: Sequence[FinishedSnapshot]) -> None:
        self._source = source
        self._tables = tables
        self._numbers = {one.table: number for number, one in enumerate(tables)}
        self._shapes: dict[Shape, int] = {}
        self._plans: dict[int, _Plan] = {}
        self._newest: dict[int, tuple[bytes, TableSchema]] = {}
        self._rows: list[tuple[object, ...]] = []
        self._db = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA cache_size = -32768")  # 32 MiB
        self._db.execute(_TABLES)

    def take(self, payload: bytes) -> None:
        """Note the rows of a message. Raises DecodeError."""
        body = decode_body(payload)
        if body.header.source != self._source:
            return
        for change in body.changes:
            plan = self._plan(change)
            if plan is not None:
                self._note(change, plan)

    def gone(self, one: FinishedSnapshot) -> OrphanRows | None:
        """Return the orphan rows of a table; None if the topic has no rows of it.

        None also if the newest message lacks a needed column: then orphan rows are unknown. Rows whose key
        had another shape are not returned.
        """
        self._write()
        number = self._numbers[one.table]
        if number not in self._newest:
            return None
        schema = self._newest[number][1]
        if missing := [name for name in one.needed if name not in schema.names]:
            logger.warning("%s: orphan rows are not deleted downstream: no column %s", one.table, missing[0])
            return None
        bound = (number, one.since.seq(Half.SNAPSHOT), self._shapes[_shape(schema)])
        others: int = self._db.execute(_OTHERS, bound).fetchone()[0]
        if others:
            logger.warning(
                "%s: %d rows of its topic had a key of another type or name: they may be orphan rows, and "
                "stay downstream",
                one.table,
                others,
            )
        image = _image_of(schema, one.needed)
        return OrphanRows(schema, (image(key, rest) for key, rest in self._db.execute(_GONE, bound)))

    def close(self) -> None:
        """Free the memory and the file."""
        self._db.close()

    def _plan(self, change: DBMSRowChange) -> _Plan | None:
        plan = self._plans.get(id(change.schema))
        if plan is None or plan.schema is not change.schema:
            number = self._numbers.get(change.schema.table)
            if number is None:
                return None
            shape = self._shapes.setdefault(_shape(change.schema), len(self._shapes))
            plan = _Plan.of(change.schema, number, shape, self._tables[number].needed)
            self._plans[id(change.schema)] = plan
        return plan

    def _note(self, change: DBMSRowChange, plan: _Plan) -> None:
        last = b""
        for row in change.rows:
            deleted = row.kind == ChangeKind.DELETE
            image = row.before if deleted else row.after
            assert image is not None  # decode_body checks this
            last = max(last, row.seq)
            key, rest = _bytes_of(image, plan.key), _bytes_of(image, plan.needed)
            if row.kind == ChangeKind.UPDATE and row.before is not None and not plan.keyed:
                before = _bytes_of(row.before, plan.key)  # without a key it is another row afterwards
                if before != key:
                    self._rows.append((plan.number, before, row.seq, False, plan.shape, b""))
            self._rows.append((plan.number, key, row.seq, not deleted, plan.shape, rest))
        newest = self._newest.get(plan.number)
        if newest is None or last > newest[0]:
            self._newest[plan.number] = (last, change.schema)
        if len(self._rows) >= _TOGETHER:
            self._write()

    def _write(self) -> None:
        rows, self._rows = self._rows, []
        try:
            self._db.execute("BEGIN")
            self._db.executemany(_NOTE, rows)
            self._db.execute("COMMIT")
        except sqlite3.Error as exc:
            tables = ", ".join(str(one.table) for one in self._tables)
            message = (
                f"cannot store the keys of {tables} to find orphan rows: {exc}; each needs some 50 bytes in "
                "the system's temporary directory (SQLITE_TMPDIR sets another)"
            )
            raise SystemicError(message) from exc


@dataclass(frozen=True)
class _Plan:
    """The indexes of the noted columns in a schema; -1: none. `keyed`: it has a primary key."""

    schema: TableSchema
    number: int
    shape: int
    keyed: bool
    key: tuple[int, ...]
    needed: tuple[int, ...]

    @classmethod
    def of(cls, schema: TableSchema, number: int, shape: int, needed: tuple[str, ...]) -> _Plan:
        indexes = {name: index for index, name in enumerate(schema.names)}
        wanted = tuple(indexes.get(name, -1) for name in needed)
        return cls(schema, number, shape, bool(schema.key_indexes), schema.identity_indexes, wanted)


def _key_columns(schema: TableSchema) -> list[Column]:
    return [schema.columns[index] for index in schema.identity_indexes]


def _shape(schema: TableSchema) -> Shape:
    return tuple(
        (column.name, int(column.type), "" if column.type in _SPELLED_ALIKE else column.native_type)
        for column in _key_columns(schema)
    )


def _bytes_of(image: RowImage, indexes: Iterable[int]) -> bytes:
    parts = b""
    for index in indexes:
        if index < 0 or index in (image.absents or ()):
            parts += _LENGTH.pack(_ABSENT)
        elif index in (image.nulls or ()):
            parts += _LENGTH.pack(_NULL)
        else:
            value = image.values[index]
            parts += _LENGTH.pack(len(value)) + value
    return parts


def _values_of(data: bytes) -> Iterator[Value]:
    at = 0
    while at < len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if length in (_NULL, _ABSENT):
            yield None if length == _NULL else ABSENT
        else:
            yield data[at : at + length]
            at += length


def _image_of(schema: TableSchema, needed: tuple[str, ...]) -> Callable[[bytes, bytes], Row]:
    """Return a function that makes the image of a DELETE; a needed column without a value is NULL."""
    keys = [column.name for column in _key_columns(schema)]

    def image(key: bytes, rest: bytes) -> Row:
        given: dict[str, Value] = dict(zip(needed, _values_of(rest), strict=True))
        given = {name: None if value is ABSENT else value for name, value in given.items()}
        given.update(zip(keys, _values_of(key), strict=True))
        return tuple(given.get(name, ABSENT) for name in schema.names)

    return image
