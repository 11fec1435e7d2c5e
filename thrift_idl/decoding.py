"""Decodes a payload to validated changes; poison is a DecodeError, in bounded time and memory."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import partial

from crc32c import crc32c
from thrift.protocol import fastbinary
from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
from thrift.protocol.TProtocol import TProtocolException
from thrift.transport.TTransport import TMemoryBuffer

from streamjobs.changes import row_change
from streamjobs.changes.position import Position
from streamjobs.changes.row_change import ABSENT, ChangeKind, Row, TableSchema
from streamjobs.errors import DecodeError
from thrift_idl import bounds, reasons
from thrift_idl.structs import BODY_TYPE, Body, RowImage, WireRowChange
from thrift_idl.validation import text, validate

FORMAT_VERSION = 1
_OUTER_BUDGET = 256
_I32 = struct.Struct(">i")
_FIELD = struct.Struct(">Bh")


@dataclass(frozen=True)
class Header:
    """What all changes of a message have in common.

    Shape: `Header(source="shop-mysql", event_time_column="event_time_ms")`.
    None: without `event_time_column` the event time of a row is its commit time.
    """

    source: str
    event_time_column: str | None = None


@dataclass(frozen=True)
class DecodedMessage:
    """A message as domain objects; without changes it is a heartbeat. `time_ms` as in the IDL."""

    header: Header
    time_ms: int
    changes: list[row_change.RowChange]


def decode_body(payload: bytes, max_bytes: int = bounds.MAX_MESSAGE_BYTES) -> Body:
    """Decode and validate a payload without building domain objects, for the parser.

    Promise: the result satisfies every rule of the IDL that a reader can check, except the canonical forms of
    values: names are text, kinds are known, each image that a kind needs exists and has a value for each
    column, indexes of NULL and absent are in range, ascend and differ, `seq` has its layout.
    It needs at most 50 ms and a few times the payload's memory for any input up to `max_bytes`.
    Raises: DecodeError with a reason of `thrift_idl.reasons`.
    """
    if len(payload) > max_bytes:
        raise DecodeError(reasons.TOO_LARGE, f"{len(payload)} bytes; at most {max_bytes}")
    body = _read_body(_open(payload))
    try:
        validate(body)
    except AttributeError as exc:
        raise DecodeError(reasons.MISSING_FIELD, f"required field {exc.name!r} is missing") from exc
    return body


def decode(payload: bytes, max_bytes: int = bounds.MAX_MESSAGE_BYTES) -> DecodedMessage:
    """Decode a payload to domain objects: for tools and tests. Raises DecodeError as `decode_body` does."""
    body = decode_body(payload, max_bytes)
    changes = [_domain(change.schema, row) for change in body.changes for row in change.rows]
    return DecodedMessage(
        Header(body.header.source, body.header.event_time_column), body.header.time_ms, changes
    )


def _open(payload: bytes) -> bytes:
    """Return the body of a Message after its check."""
    walk = bounds.Walk(payload, _OUTER_BUDGET)
    version = check = body = None
    at = 0
    while True:
        if at >= len(payload):
            raise DecodeError(reasons.TRUNCATED, f"{len(payload)} bytes, no end of the message")
        if payload[at] == bounds.STOP:
            break
        walk.spend(1)
        end = walk.skip(payload[at], at + 3)
        match _FIELD.unpack_from(payload, at):
            case (8, 1):
                (version,) = _I32.unpack_from(payload, at + 3)
            case (8, 2):
                (check,) = _I32.unpack_from(payload, at + 3)
            case (11, 3):
                body = payload[at + 7 : end]
        at = end
    if version is None or check is None or body is None:
        raise DecodeError(reasons.MISSING_FIELD, "a message needs its fields version, crc32c and body")
    if version != FORMAT_VERSION:
        raise DecodeError(reasons.VERSION, f"format version {version}; this reader knows {FORMAT_VERSION}")
    if at + 1 != len(payload):
        raise DecodeError(reasons.TRAILING, f"{len(payload) - at - 1} bytes after the message")
    actual = crc32c(body)
    if actual != check & 0xFFFFFFFF:
        raise DecodeError(reasons.CRC, f"crc32c is {actual:08x}, the message says {check & 0xFFFFFFFF:08x}")
    return body


def _read_body(data: bytes) -> Body:
    if len(data) > bounds.WALK_FREE_BYTES:
        bounds.Walk(data).skip(bounds.STRUCT, 0)
    transport = TMemoryBuffer(data)
    protocol = TBinaryProtocolAccelerated(
        transport,
        string_length_limit=len(data),
        container_length_limit=bounds.MAX_LIST_ITEMS,
        fallback=False,
    )
    body = Body()
    try:
        fastbinary.decode_binary(body, protocol, BODY_TYPE)
    except EOFError as exc:
        raise DecodeError(reasons.TRUNCATED, f"the body ends early, after {len(data)} bytes") from exc
    except OverflowError as exc:
        reason = reasons.PROTOCOL if "negative" in str(exc) else reasons.TOO_LARGE
        raise DecodeError(reason, f"the body claims an impossible length: {exc}") from exc
    except (TypeError, ValueError, TProtocolException) as exc:
        raise DecodeError(reasons.PROTOCOL, f"the body is not Thrift binary: {exc}") from exc
    rest = len(data) - transport.cstringio_buf.tell()
    if rest:
        raise DecodeError(reasons.TRAILING, f"{rest} bytes after the body's end")
    return body


def _domain(schema: TableSchema, row: WireRowChange) -> row_change.RowChange:
    position, half = Position.of_seq(row.seq)
    kind = ChangeKind(row.kind)
    image = partial(_row, len(schema.columns))
    before = image(row.before) if kind in (ChangeKind.UPDATE, ChangeKind.DELETE) else None
    after = image(row.after) if kind is not ChangeKind.DELETE else None
    transaction = "" if row.transaction_id is None else text(row.transaction_id)
    return row_change.RowChange(schema, kind, before, after, position, row.committed_at_ms, transaction, half)


def _row(width: int, image: RowImage | None) -> Row | None:
    if image is None:
        return None
    values: list[row_change.Value] = list(image.values)
    for index in image.nulls or ():
        values[index] = None
    for index in image.absents or ():
        values[index] = ABSENT
    return tuple(values)
