"""From row changes to payloads: wire rows with their exact sizes, tables once, the checked message."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, cast

from crc32c import crc32c
from thrift.protocol import fastbinary

from streamjobs import rowchange
from streamjobs.errors import ConfigError, SystemicError
from streamjobs.position import Position
from streamjobs.rowbatch import RowBatch
from streamjobs.rowchange import ABSENT, ChangeKind, Row, SqlType, TableSchema
from streamjobs.values import event_time_ms
from thrift_idl import bounds
from thrift_idl.decoding import FORMAT_VERSION, Header
from thrift_idl.structs import BODY_TYPE, Body, BodyHeader, DBMSRowChange, RowImage, WireColumn, WireRowChange
from thrift_idl.validation import EVENT_TIME_TYPES

_MESSAGE_HEAD = struct.Struct(">BhiBhiBhi")
_SEQ_PLACE = struct.Struct(">HIQ")
_SEQ_ROW = struct.Struct(">IB")
_STOP = b"\0"
_WITH_BEFORE = frozenset({ChangeKind.UPDATE, ChangeKind.DELETE})
_FIELD, _STRING, _LIST = 3, 3 + 4, 3 + 5
_CHANGES_BYTES = _LIST + 1
_ROW_BYTES = (_FIELD + 4) + (_STRING + 19) + (_FIELD + 8) + 1
_IMAGE_BYTES = _FIELD + _LIST + 1
HEADER_BYTES = 2048
"""Room that is kept for a header in a message."""


class RowTooLargeError(SystemicError):
    """A row change that no message can hold; it was not added."""


class PendingRow(NamedTuple):
    """A row change on its way into a message: the image that counts, and the bytes that it adds."""

    table: TableForm
    image: Row
    wire: WireRowChange
    size: int


_new_tuple: Callable[[type[PendingRow], tuple[object, ...]], PendingRow] = tuple.__new__
"""Makes a PendingRow in half the time of its own constructor."""


class TableForm:
    """A table's schema as it travels, made once; `size` in bytes, without rows.

    Raises: ConfigError when a message cannot hold the schema.
    """

    def __init__(self, schema: TableSchema) -> None:
        self.schema = schema
        self.width = len(schema.columns)
        self.key = schema.key_indexes or tuple(range(self.width))
        self.columns = [_wire_column(column) for column in schema.columns]
        names = [schema.table.database, schema.table.table]
        names += [name for column in schema.columns for name in (column.name, column.native_type)]
        text = sum(len(name.encode()) for name in names)
        if not 0 < self.width <= bounds.MAX_COLUMNS or text > bounds.MAX_SCHEMA_BYTES:
            message = (
                f"{schema.table} has {self.width} columns and {text} bytes of names and types; "
                f"a message holds 1 to {bounds.MAX_COLUMNS} columns and {bounds.MAX_SCHEMA_BYTES} bytes"
            )
            raise ConfigError(message)
        marks = sum(4 * column.key + 4 * (not column.nullable) for column in schema.columns)
        self.size = text + 2 * _STRING + 2 * _LIST + 1 + marks + self.width * (2 * _STRING + _FIELD + 4 + 1)

    def pending(self, change: rowchange.RowChange) -> PendingRow:
        """Make the wire form of a change. Raises RowTooLargeError; AssertionError for a malformed change."""
        kind, before, image = change.kind, change.before, change.image
        wire = WireRowChange()
        wire.kind = kind
        wire.seq = change.seq
        wire.committed_at_ms = change.committed_at_ms
        size = _ROW_BYTES
        if kind != ChangeKind.DELETE:
            wire.after, extra = self._image(change, image)
            size += extra
        if before is not None and kind in _WITH_BEFORE:
            wire.before, extra = self._image(change, before)
            size += extra
        if change.transaction_id:
            wire.transaction_id = change.transaction_id
            size += _STRING + len(change.transaction_id.encode())
        if size + self.size + HEADER_BYTES > bounds.MAX_MESSAGE_BYTES:
            message = (
                f"{change.kind.name} of {self.schema.table} at {change.position} takes {size} bytes, "
                f"a message at most {bounds.MAX_MESSAGE_BYTES}. Leave the table out of the capture"
            )
            raise RowTooLargeError(message)
        return PendingRow(self, image, wire, size)

    def pending_batch(self, batch: RowBatch) -> Iterator[PendingRow]:
        """Make the wire forms of a batch, the same as those of its changes one by one, but faster.

        Raises: as `pending`, at the first row that does not fit.
        """
        place, kind, half = batch.position, batch.kind, int(batch.half)
        place_bytes = _SEQ_PLACE.pack(place.epoch, place.file, place.offset)
        committed_at_ms, transaction = batch.committed_at_ms, batch.transaction_id
        fixed = _ROW_BYTES + (_STRING + len(transaction.encode()) if transaction else 0)
        most = bounds.MAX_MESSAGE_BYTES - self.size - HEADER_BYTES
        befores = batch.befores if kind is ChangeKind.UPDATE else ()
        deleted = kind is ChangeKind.DELETE
        for index, image in enumerate(batch.images):
            wire = WireRowChange()
            wire.kind = kind
            wire.seq = place_bytes + _SEQ_ROW.pack(place.row + index, half)
            wire.committed_at_ms = committed_at_ms
            if transaction:
                wire.transaction_id = transaction
            made, size = self._image(batch, image)
            size += fixed
            if deleted:
                wire.before = made
            else:
                wire.after = made
            if befores:
                wire.before, extra = self._image(batch, befores[index])
                size += extra
            if size > most:
                raise self._too_large(kind, batch.position, index, size)
            yield _new_tuple(PendingRow, (self, image, wire, size))

    def _too_large(self, kind: ChangeKind, place: Position, index: int, size: int) -> RowTooLargeError:
        message = (
            f"{kind.name} of {self.schema.table} at {place}, row {index}, takes {size} bytes, "
            f"a message at most {bounds.MAX_MESSAGE_BYTES}. Leave the table out of the capture"
        )
        return RowTooLargeError(message)

    def _image(self, change: rowchange.RowChange | RowBatch, row: Row) -> tuple[RowImage, int]:
        if len(row) != self.width:
            message = f"{self.schema.table} at {change.position}: {len(row)} values for {self.width} columns"
            raise AssertionError(message)
        image = RowImage()
        image.values = values = cast("list[bytes]", row)
        size = _IMAGE_BYTES + 4 * self.width
        if None in row:
            image.nulls = nulls = [index for index, value in enumerate(row) if value is None]
            image.values = values = _blanked(values, nulls)
            size += _LIST + 4 * len(nulls)
        try:
            size += len(b"".join(values))
        except TypeError:
            image.absents = absents = [index for index, value in enumerate(row) if value is ABSENT]
            image.values = values = _blanked(values, absents)
            size += _LIST + 4 * len(absents) + len(b"".join(values))  # what is not bytes is our TypeError
        return image, size

    def event_time_index(self, header: Header) -> int | None:
        """Find the event-time column; None when commit time is meant.

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


def _blanked(values: list[bytes], indexes: list[int]) -> list[bytes]:
    blanked = list(values)
    for index in indexes:
        blanked[index] = b""
    return blanked


def row_event_time(row: PendingRow, index: int | None) -> int | None:
    """Give a row's event time in epoch ms; None when it has none that can be read."""
    if index is None:
        return row.wire.committed_at_ms
    value = row.image[index]
    if value is None or value is ABSENT:
        return None
    try:
        return event_time_ms(row.table.schema.columns[index].type, value)
    except ValueError:
        return None


def frame_bytes(header: Header) -> int:
    """Count the bytes of a message with this header and no changes. Raises ConfigError when too long."""
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
    """Give the payload of one message; without rows it is a heartbeat."""
    body = Body()
    body.header = BodyHeader()
    body.header.source = header.source
    body.header.time_ms = time_ms
    body.header.event_time_column = header.event_time_column
    changes: list[DBMSRowChange] = []
    table: TableForm | None = None
    wires: list[WireRowChange] = []
    for row in rows:
        if row.table is not table:
            table, wires = row.table, []
            changes.append(_table_changes(table, wires))
        wires.append(row.wire)
    body.changes = changes
    data: bytes = fastbinary.encode_binary(body, BODY_TYPE)
    check = crc32c(data)
    signed = check - (1 << 32) if check >> 31 else check
    return _MESSAGE_HEAD.pack(8, 1, FORMAT_VERSION, 8, 2, signed, 11, 3, len(data)) + data + _STOP


def _table_changes(table: TableForm, rows: list[WireRowChange]) -> DBMSRowChange:
    change = DBMSRowChange()
    change.database, change.table = table.schema.table.database, table.schema.table.table
    change.columns = table.columns  # type: ignore[assignment]  # the wire form of the columns
    change.rows = rows
    return change


def _wire_column(column: rowchange.Column) -> WireColumn:
    wire = WireColumn()
    wire.name, wire.native_type = column.name, column.native_type
    wire.type = SqlType(column.type)
    if column.key:
        wire.key = True
    if not column.nullable:
        wire.nullable = False
    return wire
