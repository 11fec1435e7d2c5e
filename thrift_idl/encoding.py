"""Encodes row changes to payloads: each row, each table once, and the message with its check.

A row is encoded once, when it is added, in Thrift's binary protocol: so its size is exact, and a message is a
join. Thrift's own encoder encodes headers and tables, and in the tests every row.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from crc32c import crc32c
from thrift.protocol import fastbinary

from streamjobs.changes import row_change
from streamjobs.changes.position import Half, Position
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ABSENT, ChangeKind, Row, SqlType, TableSchema
from streamjobs.changes.wire_values import event_time_ms
from streamjobs.errors import ConfigError, SystemicError
from thrift_idl import bounds
from thrift_idl.decoding import FORMAT_VERSION, Header
from thrift_idl.structs import BODY_TYPE, TABLE_TYPE, Body, BodyHeader, DBMSRowChange, WireColumn
from thrift_idl.validation import EVENT_TIME_TYPES

_MESSAGE_HEAD = struct.Struct(">BhiBhiBhi")
_SEQ_PLACE = struct.Struct(">HIQ")
_SEQ_ROW = struct.Struct(">IB")
_STOP = b"\0"
_LENGTH = struct.Struct(">I")
_LENGTHS = tuple(map(_LENGTH.pack, range(4096)))
"""The lengths of most values, packed."""
_LONG = struct.Struct(">q")
_KIND, _BEFORE, _AFTER = b"\x08\x00\x01", b"\x0c\x00\x02", b"\x0c\x00\x03"
_SEQ = b"\x0b\x00\x04" + _LENGTHS[19]
_COMMITTED_AT, _TRANSACTION = b"\x0a\x00\x05", b"\x0b\x00\x06"
_VALUES, _NULLS, _ABSENTS = b"\x0f\x00\x01\x0b", b"\x0f\x00\x02\x08", b"\x0f\x00\x03\x08"
"""The beginnings of fields: type, number, for lists the type of their elements."""
_EMPTY_LIST = _LENGTHS[0] + _STOP
"""The end of a struct whose last field is an empty list."""
_FIELD, _STRING, _LIST = 3, 3 + 4, 3 + 5
_CHANGES_BYTES = _LIST + 1
HEADER_BYTES = 2048
"""Bytes reserved for a header in a message."""
_WRITTEN_OUT = 256
"""Maximum number of columns for which code is generated."""
_SPELL = """
def spell(row, start, end, number, tail):
    try:
        {names}, = row
        return join([start, {parts} end, number, tail])
    except (TypeError, IndexError, ValueError):
        return spell_any(row, start, end, number, tail)
"""
_flat = chain.from_iterable


class RowTooLargeError(SystemicError):
    """A row change that no message can hold; it was not added.

    `index` is its index in its batch, `size` its bytes.
    """

    def __init__(self, message: str, index: int, size: int) -> None:
        self.index = index
        self.size = size
        super().__init__(message)


class PendingRow(NamedTuple):
    """A row change that waits for its message: the image that counts, and the encoded change."""

    table: TableForm
    image: Row
    committed_at_ms: int
    data: bytes


_new_tuple: Callable[[type[PendingRow], tuple[object, ...]], PendingRow] = tuple.__new__
"""Makes a PendingRow in half the time of its constructor."""


class TableForm:
    """The encoded schema of a table, made once; `size` in bytes, without rows.

    Raises: ConfigError when a message cannot hold the schema.
    """

    def __init__(self, schema: TableSchema) -> None:
        self.schema = schema
        self.width = len(schema.columns)
        self.key = schema.identity_indexes
        names = [schema.table.database, schema.table.table]
        names += [name for column in schema.columns for name in (column.name, column.native_type)]
        text = sum(len(name.encode()) for name in names)
        if not 0 < self.width <= bounds.MAX_COLUMNS or text > bounds.MAX_SCHEMA_BYTES:
            message = (
                f"{schema.table} has {self.width} columns and {text} bytes of names and types; "
                f"a message holds 1 to {bounds.MAX_COLUMNS} columns and {bounds.MAX_SCHEMA_BYTES} bytes"
            )
            raise ConfigError(message)
        self.head = _table_head(schema)
        self.size = len(self.head) + len(_EMPTY_LIST)
        self._values = _VALUES + _LENGTH.pack(self.width)
        self._spell = _spell_plain(self.width, self._spell_any)

    def pending(self, change: row_change.RowChange) -> PendingRow:
        """Encode a change. Raises RowTooLargeError; AssertionError for a malformed change."""
        before = change.before if change.kind is ChangeKind.UPDATE else None
        (row,) = self._rows(
            change.kind, (change.image,), () if before is None else (before,), change.position, change.half,
            change.committed_at_ms, change.transaction_id,
        )  # fmt: skip
        return row

    def pending_batch(self, batch: RowBatch) -> Iterator[PendingRow]:
        """Encode a batch: the same result as for its changes one by one, but faster.

        Raises as `pending` does, at the first row that does not fit.
        """
        befores = batch.befores if batch.kind is ChangeKind.UPDATE else ()
        return self._rows(
            batch.kind, batch.images, befores, batch.position, batch.half, batch.committed_at_ms,
            batch.transaction_id,
        )  # fmt: skip

    def _rows(
        self,
        kind: ChangeKind,
        images: Sequence[Row],
        befores: Sequence[Row],
        place: Position,
        half: Half,
        committed_at_ms: int,
        transaction: str,
    ) -> Iterator[PendingRow]:
        head = _KIND + _LENGTH.pack(kind)
        start = head + (_BEFORE if kind is ChangeKind.DELETE else _AFTER) + self._values
        end = _STOP + _SEQ + _SEQ_PLACE.pack(place.epoch, place.file, place.offset)
        tail = _COMMITTED_AT + _LONG.pack(committed_at_ms)
        if transaction:
            text = transaction.encode()
            tail += _TRANSACTION + _LENGTH.pack(len(text)) + text
        tail += _STOP
        half_number, most = int(half), bounds.MAX_MESSAGE_BYTES - self.size - HEADER_BYTES
        spell, pack = self._spell, _SEQ_ROW.pack
        for index, image in enumerate(images, place.row):
            if befores:
                before = spell(befores[index - place.row], head + _BEFORE + self._values, _STOP, b"", b"")
                start = before + _AFTER + self._values
            data = spell(image, start, end, pack(index, half_number), tail)
            if len(data) > most:
                raise self._too_large(kind, place, index - place.row, len(data))
            yield _new_tuple(PendingRow, (self, image, committed_at_ms, data))

    def _too_large(self, kind: ChangeKind, place: Position, index: int, size: int) -> RowTooLargeError:
        message = (
            f"{kind.name} of {self.schema.table} at {place}, row {index}, takes {size} bytes, "
            f"a message at most {bounds.MAX_MESSAGE_BYTES}. Leave the table out of the capture"
        )
        return RowTooLargeError(message, index, size)

    def _spell_any(self, row: Row, *around: bytes) -> bytes:
        """Encode a row with the bytes before and after its values, which may be NULL, ABSENT or long."""
        if len(row) != self.width:
            message = f"a row of {self.schema.table} has {len(row)} values for {self.width} columns"
            raise AssertionError(message)
        values = [b"" if value is None or value is ABSENT else value for value in row]
        spelled = [around[0], *_flat((_LENGTH.pack(len(value)), value) for value in values)]
        for field, hole in ((_NULLS, None), (_ABSENTS, ABSENT)):
            if indexes := [index for index, value in enumerate(row) if value is hole]:
                spelled += [field, _LENGTH.pack(len(indexes)), *map(_LENGTHS.__getitem__, indexes)]
        return b"".join((*spelled, *around[1:]))  # any other value is our TypeError

    def event_time_index(self, header: Header) -> int | None:
        """Return the index of the event-time column; None means the commit time.

        Raises: ConfigError when the table has no such column, or one that cannot hold a time.
        """
        if header.event_time_column is None:
            return None
        for index, column in enumerate(self.schema.columns):
            if column.name == header.event_time_column and column.type in EVENT_TIME_TYPES:
                return index
        legal = [column.name for column in self.schema.columns if column.type in EVENT_TIME_TYPES]
        message = (
            f"{self.schema.table} has no column {header.event_time_column!r} of type BIGINT, TIMESTAMP "
            f"or DATETIME for the event time; it could be one of {legal}"
        )
        raise ConfigError(message)


def _spell_plain(width: int, spell_any: Callable[..., bytes]) -> Callable[..., bytes]:
    """Generate the function that encodes a row if all values are present and shorter than 4096 bytes.

    Code for exactly its width needs a third of the time of a loop. It passes other rows to `spell_any`.
    """
    if width > _WRITTEN_OUT:
        return spell_any
    names = [f"v{index}" for index in range(width)]
    parts = "".join(f"L[len({name})],{name}," for name in names)
    code = _SPELL.format(names=",".join(names), parts=parts)
    scope: dict[str, Any] = {"L": _LENGTHS, "join": b"".join, "spell_any": spell_any}
    exec(code, scope)  # noqa: S102 - numbers are all that is filled in
    made: Callable[..., bytes] = scope["spell"]
    return made


def row_event_time(row: PendingRow, index: int | None) -> int | None:
    """Return a row's event time in epoch ms; None when it has no valid one."""
    if index is None:
        return row.committed_at_ms
    value = row.image[index]
    if value is None or value is ABSENT:
        return None
    try:
        return event_time_ms(row.table.schema.columns[index].type, value)
    except ValueError:
        return None


def frame_bytes(header: Header) -> int:
    """Return the bytes of a message with this header and no changes. Raises ConfigError when too long."""
    size = _MESSAGE_HEAD.size + 1 + _FIELD + _STRING + len(header.source.encode()) + _FIELD + 8 + 1
    if header.event_time_column is not None:
        size += _STRING + len(header.event_time_column.encode())
    if size + _CHANGES_BYTES > HEADER_BYTES:
        message = (
            f"the message header takes {size} bytes, at most {HEADER_BYTES}: source {header.source[:40]!r}…"
        )
        raise ConfigError(message)
    return size + _CHANGES_BYTES


def encode_message(header: Header, time_ms: int, rows: Sequence[PendingRow]) -> bytes:
    """Return the payload of one message; without rows it is a heartbeat."""
    tables: list[tuple[TableForm, list[bytes]]] = []
    table: TableForm | None = None
    for row in rows:
        if row.table is not table:
            table, spelled = row.table, list[bytes]()
            tables.append((table, spelled))
        spelled.append(row.data)
    parts = [_body_head(header, time_ms), _LENGTH.pack(len(tables))]
    for table, spelled in tables:
        parts += [table.head, _LENGTH.pack(len(spelled)), *spelled, _STOP]
    data = b"".join((*parts, _STOP))
    check = crc32c(data, gil_release_mode=0)  # faster than a wait for the lock of other threads
    signed = check - (1 << 32) if check >> 31 else check
    return b"%b%b%b" % (_MESSAGE_HEAD.pack(8, 1, FORMAT_VERSION, 8, 2, signed, 11, 3, len(data)), data, _STOP)


def _body_head(header: Header, time_ms: int) -> bytes:
    """Encode a body up to the number of its tables."""
    body = Body()
    body.header = BodyHeader()
    body.header.source = header.source
    body.header.time_ms = time_ms
    body.header.event_time_column = header.event_time_column
    body.changes = []
    data: bytes = fastbinary.encode_binary(body, BODY_TYPE)
    return data.removesuffix(_EMPTY_LIST)


def _table_head(schema: TableSchema) -> bytes:
    """Encode a table's changes up to the number of its rows."""
    change = DBMSRowChange()
    change.database, change.table = schema.table.database, schema.table.table
    change.columns = [_wire_column(column) for column in schema.columns]  # type: ignore[misc]  # the wire's
    change.rows = []
    data: bytes = fastbinary.encode_binary(change, TABLE_TYPE)
    return data.removesuffix(_EMPTY_LIST)


def _wire_column(column: row_change.Column) -> WireColumn:
    wire = WireColumn()
    wire.name, wire.native_type = column.name, column.native_type
    wire.type = SqlType(column.type)
    if column.key:
        wire.key = True
    if not column.nullable:
        wire.nullable = False
    return wire
