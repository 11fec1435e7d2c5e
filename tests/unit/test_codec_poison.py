"""Poison of any kind is one DecodeError with a stable reason, in bounded time and memory."""

from __future__ import annotations

import struct
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from crc32c import crc32c
from hypothesis import example, given
from hypothesis import strategies as st
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.transport.TTransport import TMemoryBuffer

from streamjobs.changes.position import Position
from streamjobs.changes.row_change import ABSENT, RowChange
from streamjobs.errors import DecodeError
from tests.unit.changes import CLICK, change_lists, click
from thrift_idl import bounds, codec, reasons
from thrift_idl.gen.dbms_row_change import ttypes

HEADER = codec.Header("demo", "event_time_ms")
LIMIT_S = 0.05
LIST, STRUCT, STRING, MAP, BOOL, I32 = b"\x0f", b"\x0c", b"\x0b", b"\x0d", b"\x02", b"\x08"


def payload_of(*changes: RowChange) -> bytes:
    builder = codec.MessageBuilder()
    for change in changes:
        builder.add(change)
    (message,) = builder.flush(HEADER)
    return message.payload


ROWS = (
    click(1, 5, "é".encode()),
    click(2, None, ABSENT),
    RowChange.update(CLICK, (b"1", b"a", b"5"), (b"1", b"b", b"5"), Position(0, 1, 9), 1000, "gtid-9"),
    RowChange.delete(CLICK, (b"2", None, b"5"), Position(0, 1, 10), 1000, "gtid-10"),
)
PAYLOAD = payload_of(*ROWS)
BODY = PAYLOAD[21:-1]


def checked(body: bytes, version: int = 1) -> bytes:
    """Put a body into a message with the right checksum."""
    head = struct.pack(">BhiBhIBhi", 8, 1, version, 8, 2, crc32c(body), 11, 3, len(body))
    return head + body + b"\0"


def reason(payload: bytes) -> str:
    with pytest.raises(DecodeError) as caught:
        codec.decode_body(payload)
    assert caught.value.reason in reasons.ALL
    return caught.value.reason


def outcome(payload: bytes) -> str:
    """Decode whatever it is: it is either read or refused with a reason of ours; nothing else comes out."""
    try:
        codec.decode(payload)
    except DecodeError as exc:
        return exc.reason
    return "read"


def test_the_intact_message_is_read() -> None:
    assert checked(BODY) == PAYLOAD
    assert codec.decode(PAYLOAD).changes == list(ROWS)


def test_every_truncation_is_refused() -> None:
    for size in range(len(PAYLOAD)):
        assert reason(PAYLOAD[:size]) == reasons.TRUNCATED


def test_every_truncation_of_the_body_is_refused_even_when_checked() -> None:
    for size in range(len(BODY)):
        assert reason(checked(BODY[:size])) == reasons.TRUNCATED


def test_every_bit_flip_is_refused() -> None:
    seen = set()
    for bit in range(len(PAYLOAD) * 8):
        flipped = bytearray(PAYLOAD)
        flipped[bit // 8] ^= 1 << bit % 8
        seen.add(reason(bytes(flipped)))
    assert {reasons.CRC, reasons.VERSION, reasons.PROTOCOL, reasons.MISSING_FIELD} <= seen


@given(change_lists(), st.data())
def test_any_flip_and_truncation_of_any_message_is_refused(
    changes: list[RowChange], data: st.DataObject
) -> None:
    builder = codec.MessageBuilder(codec.Limits(max_span_ms=2**65))
    for change in changes:
        builder.add(change)
    for message in builder.flush(codec.Header("s")):
        payload = message.payload
        reason(payload[: data.draw(st.integers(0, len(payload) - 1))])
        flipped = bytearray(payload)
        bit = data.draw(st.integers(0, len(payload) * 8 - 1))
        flipped[bit // 8] ^= 1 << bit % 8
        reason(bytes(flipped))


@given(st.binary(max_size=300))
@example(b"")
@example(b"\0")
@example(b"not thrift at all")
def test_random_bytes_are_refused(data: bytes) -> None:
    reason(data)


@given(st.binary(max_size=300))
def test_a_checked_body_of_random_bytes_is_refused(data: bytes) -> None:
    reason(checked(data))


@given(st.lists(st.tuples(st.integers(0, len(BODY) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_checked_body_with_wrong_bytes_never_fails_otherwise(changes: list[tuple[int, int]]) -> None:
    body = bytearray(BODY)
    for place, byte in changes:
        body[place] = byte
    assert outcome(checked(bytes(body))) in {*reasons.ALL, "read"}


@given(st.integers(0, len(BODY)), st.binary(max_size=8), st.integers(0, 8))
def test_a_checked_body_with_bytes_inserted_or_removed_never_fails_otherwise(
    place: int, inserted: bytes, removed: int
) -> None:
    payload = checked(BODY[:place] + inserted + BODY[place + removed :])
    assert outcome(payload) in {*reasons.ALL, "read"}


def write(thing: Any, protocol: type = TBinaryProtocol) -> bytes:
    buffer = TMemoryBuffer()
    thing.write(protocol(buffer))
    return bytes(buffer.getvalue())


def read_stock(body: bytes) -> Any:
    thing = ttypes.Body()
    thing.read(TBinaryProtocol(TMemoryBuffer(body)))
    return thing


def test_the_compact_protocol_is_refused() -> None:
    outer = ttypes.Message(version=1, crc32c=5, body=BODY)
    assert reason(write(outer, TCompactProtocol)) in (reasons.PROTOCOL, reasons.TRUNCATED)
    assert reason(checked(write(read_stock(BODY), TCompactProtocol))) in (reasons.PROTOCOL, reasons.TRUNCATED)


def altered(change: Callable[[Any], None]) -> bytes:
    """The good message, changed by means of the generated structs and checked again."""
    body = read_stock(BODY)
    change(body)
    return checked(write(body))


def assign(thing: object, fields: dict[str, object]) -> None:
    for name, value in fields.items():
        setattr(thing, name, value)


def set_header(**fields: object) -> Callable[[Any], None]:
    return lambda body: assign(body.header, fields)


def set_table(**fields: object) -> Callable[[Any], None]:
    return lambda body: assign(body.changes[0], fields)


def set_column(column: int, **fields: object) -> Callable[[Any], None]:
    return lambda body: assign(body.changes[0].columns[column], fields)


def set_row(row: int, **fields: object) -> Callable[[Any], None]:
    return lambda body: assign(body.changes[0].rows[row], fields)


def set_image(row: int, **fields: object) -> Callable[[Any], None]:
    return lambda body: assign(body.changes[0].rows[row].after, fields)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (set_row(0, kind=None), reasons.MISSING_FIELD),
        (set_row(0, kind=5), reasons.ENUM),
        (set_row(0, kind=0), reasons.ENUM),
        (set_row(0, seq=None), reasons.MISSING_FIELD),
        (set_row(0, seq=b"short"), reasons.SEQ),
        (set_row(0, seq=b"\xff" * 19), reasons.SEQ),
        (set_row(0, committed_at_ms=None), reasons.MISSING_FIELD),
        (set_row(0, after=None), reasons.IMAGE),
        (set_row(2, after=None), reasons.IMAGE),
        (set_row(3, before=None), reasons.IMAGE),
        (set_image(0, values=None), reasons.MISSING_FIELD),
        (set_image(0, values=[b"1", b"2"]), reasons.VALUES_LENGTH),
        (set_image(0, values=[]), reasons.VALUES_LENGTH),
        (set_image(0, nulls=[3]), reasons.VALUES_LENGTH),
        (set_image(0, nulls=[-1]), reasons.VALUES_LENGTH),
        (set_image(0, nulls=[1, 1]), reasons.VALUES_LENGTH),
        (set_image(0, nulls=[2, 1]), reasons.VALUES_LENGTH),
        (set_image(0, absents=[4]), reasons.VALUES_LENGTH),
        (set_image(0, nulls=[0, 1], absents=[1]), reasons.VALUES_LENGTH),
        (set_table(database=None), reasons.MISSING_FIELD),
        (set_table(rows=None), reasons.MISSING_FIELD),
        (set_table(columns=None), reasons.MISSING_FIELD),
        (set_table(columns=[]), reasons.COLUMNS),
        (set_column(1, name=None), reasons.MISSING_FIELD),
        (set_column(1, name="click_id"), reasons.COLUMNS),
        (set_column(1, type=None), reasons.MISSING_FIELD),
        (set_column(1, type=22), reasons.ENUM),
        (set_column(2, type=10), reasons.EVENT_TIME),
        (set_header(event_time_column="nothing"), reasons.EVENT_TIME),
        (set_header(source=None), reasons.MISSING_FIELD),
        (set_header(time_ms=None), reasons.MISSING_FIELD),
        (set_header(time_ms=-1), reasons.TIME),
        (lambda body: setattr(body, "header", None), reasons.MISSING_FIELD),
        (lambda body: setattr(body, "changes", None), reasons.MISSING_FIELD),
    ],
)
def test_a_broken_rule_has_its_reason(change: Callable[[Any], None], expected: str) -> None:
    assert reason(altered(change)) == expected


@pytest.mark.parametrize("text", [b"demo", b"event_time_ms", b"click", b"ad", b"varchar(32)", b"gtid-9"])
def test_invalid_utf8_is_refused_not_replaced(text: bytes) -> None:
    assert BODY.count(text) >= 1
    assert reason(checked(BODY.replace(text, b"\xff" + text[1:]))) == reasons.UTF8


def test_an_unknown_version_is_refused() -> None:
    assert reason(checked(BODY, version=2)) == reasons.VERSION


def test_trailing_bytes_are_refused() -> None:
    assert reason(PAYLOAD + b"\0") == reasons.TRAILING
    assert reason(checked(BODY + b"\0")) == reasons.TRAILING


def test_an_oversized_payload_is_refused_unread() -> None:
    assert reason(bytes(codec.MAX_MESSAGE_BYTES + 1)) == reasons.TOO_LARGE
    with pytest.raises(DecodeError, match="too_large"):
        codec.decode_body(PAYLOAD, max_bytes=100)


@pytest.mark.parametrize("length", [-1, -(2**31), 2**31 - 1])
def test_impossible_lengths_are_refused(length: int) -> None:
    encoded = struct.pack(">i", length)
    reason(PAYLOAD[:17] + encoded + PAYLOAD[21:])
    reason(checked(b"\x0c\0\1\x0b\0\1" + encoded + b"s\0\0"))
    reason(checked(b"\x0c\0\1\0\x0f\0\2\x0c" + encoded + b"\0"))
    reason(checked(b"\x0d\0\x63\x08\x08" + encoded + b"\0"))


def test_unknown_fields_are_ignored() -> None:
    unknown = [
        b"\x02\0\x63\1",
        b"\x0b\0\x63\0\0\0\3abc",
        b"\x0d\0\x63\x08\x0b\0\0\0\1\0\0\0\1\0\0\0\1z",
        b"\x0c\0\x63\x0a\0\1" + bytes(8) + b"\0",
        b"\x0f\0\x63\x0c\0\0\0\2\0\0",
        b"\x10\0\x63" + bytes(16),
    ]
    for field in unknown:
        body = field + BODY
        outer = field + checked(body)
        assert codec.decode(outer).changes == list(ROWS)


def fields(kind: bytes, ident: int, value: bytes) -> bytes:
    return kind + struct.pack(">h", ident) + value


def items(kind: bytes, count: int, each: bytes) -> bytes:
    return kind + struct.pack(">i", count) + each * count


HEAD = fields(STRUCT, 1, fields(STRING, 1, b"\0\0\0\1s") + fields(b"\x0a", 2, bytes(8)) + b"\0")
MOST = bounds.MAX_LIST_ITEMS
EMPTIES = fields(LIST, 4, items(STRUCT, MOST, b"\0"))
INDEXES = fields(STRUCT, 3, fields(LIST, 2, items(I32, MOST, b"\0\1\1\1")) + b"\0")
ROW = fields(STRUCT, 3, fields(LIST, 1, items(STRING, MOST, b"\0\0\0\0")) + b"\0") + b"\0"


def tables(size: int, table: bytes) -> bytes:
    count = max(1, min(size // (len(table) + 1), MOST))
    return HEAD + fields(LIST, 2, items(STRUCT, count, table + b"\0")) + b"\0"


def repeated(size: int, part: bytes) -> bytes:
    return HEAD + part * (size // len(part)) + b"\0"


BOMBS: dict[str, Callable[[int], bytes]] = {
    "one list of empty structs": lambda size: HEAD + fields(LIST, 2, items(STRUCT, size, b"\0")) + b"\0",
    "lists of empty structs": lambda size: tables(size, EMPTIES),
    "short lists of empty structs": lambda size: tables(size, fields(LIST, 4, items(STRUCT, 3, b"\0"))),
    "the same list again and again": lambda size: tables(size, EMPTIES * max(1, size // len(EMPTIES))),
    "changes again and again": lambda size: repeated(size, fields(LIST, 2, items(STRUCT, MOST, b"\0"))),
    "columns": lambda size: tables(size, fields(LIST, 3, items(STRUCT, MOST, b"\0"))),
    "values": lambda size: tables(
        size, fields(LIST, 4, items(STRUCT, max(1, min(size // len(ROW), MOST)), ROW))
    ),
    "indexes": lambda size: tables(size, fields(LIST, 4, items(STRUCT, 2, INDEXES + b"\0"))),
    "unknown list": lambda size: repeated(size, fields(LIST, 99, items(STRUCT, MOST, b"\0"))),
    "unknown fields": lambda size: repeated(size, fields(BOOL, 99, b"\1")),
    "unknown map": lambda size: repeated(size, fields(MAP, 99, b"\x02" + items(BOOL, MOST, b"\1\1"))),
    "deep structs": lambda size: HEAD + fields(STRUCT, 99, b"") * (size // 4) + bytes(size // 4 + 2),
    "deep lists": lambda size: HEAD + fields(LIST, 99, b"") + (LIST + b"\0\0\0\1") * (size // 5),
    "zeros": bytes,
}
"""Bodies of at most about so many bytes, made to cost as much as possible to build or to skip."""


@pytest.mark.parametrize("size", [bounds.WALK_FREE_BYTES - 64, bounds.MAX_MESSAGE_BYTES - 128 * 1024])
@pytest.mark.parametrize("name", list(BOMBS))
def test_a_bomb_costs_little_time_and_memory(name: str, size: int) -> None:
    """The fastest of a few tries counts, so that a busy machine does not fail it."""
    payload = checked(BOMBS[name](size)[: codec.MAX_MESSAGE_BYTES - 64])
    times: list[float] = []
    while len(times) < 5 and min(times, default=1) > LIMIT_S:
        start = time.process_time()
        reason(payload)
        times.append(time.process_time() - start)
    assert min(times) <= LIMIT_S
    tracemalloc.start()
    try:
        reason(payload)
        assert tracemalloc.get_traced_memory()[1] <= len(payload) + 16 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("part", [fields(BOOL, 99, b"\1"), fields(LIST, 99, items(STRUCT, 9, b"\0"))])
def test_the_outer_struct_is_bounded_too(part: bytes) -> None:
    assert reason(part * 1_000_000 + PAYLOAD) == reasons.TOO_LARGE


def test_a_value_over_the_string_limit_of_the_library_is_read() -> None:
    """Thrift's Python library refuses strings over 16,384,000 bytes by default; a payload may hold 16 MiB."""
    large = click(1, 5, b"\0" * 16_500_000)
    assert codec.decode(payload_of(large)).changes == [large]
