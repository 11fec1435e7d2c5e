"""An independent writer of binlogs: events framed, checked and filled as the servers do, from Python
values.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

POST_HEADERS = bytes(
    {2: 13, 4: 8, 15: 84, 16: 0, 19: 8, 23: 8, 24: 8, 25: 8, 30: 10, 31: 10, 32: 10, 33: 42, 34: 42}.get(
        number, 0
    )
    for number in range(1, 43)
)
VERSION = b"8.4.0"


@dataclass
class Writer:
    """A log in memory, with checksums."""

    data: bytearray = field(default_factory=lambda: bytearray(b"\xfebin"))
    starts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.event(15, struct.pack("<H50sIB", 4, VERSION, 0, 19) + POST_HEADERS + b"\x01")

    def event(self, kind: int, body: bytes, timestamp_s: int = 1_700_000_000) -> None:
        size = 19 + len(body) + 4
        self.starts.append(len(self.data))
        event = struct.pack("<IBIIIH", timestamp_s, kind, 1, size, len(self.data) + size, 0) + body
        self.data += event + struct.pack("<I", zlib.crc32(event))

    def query(self, sql: str, database: str = "d") -> None:
        name = database.encode()
        self.event(2, struct.pack("<IIBHH", 1, 0, len(name), 0, 0) + name + b"\0" + sql.encode())

    def gtid(self, number: int) -> None:
        self.event(
            33,
            b"\1" + bytes(range(16)) + struct.pack("<qBqq", number, 2, 0, 1) + (10**15).to_bytes(7, "little"),
        )

    def xid(self) -> None:
        self.event(16, struct.pack("<Q", 7))

    def table_map(
        self,
        columns: Sequence[ColumnForm],
        names: Sequence[str],
        key: Sequence[int] = (0,),
        database: bytes = b"d",
    ) -> None:
        body = struct.pack("<Q", 5)[:6] + b"\1\0" + bytes((len(database),)) + database + b"\0\1t\0"
        body += bytes((len(columns),))
        body += bytes(column.type for column in columns)
        meta = b"".join(column.meta for column in columns)
        body += bytes((len(meta),)) + meta + b"\xff" * ((len(columns) + 7) // 8)
        signs = [column.unsigned for column in columns if column.numeric]
        body += _field(1, _bits_high_first(signs))
        text = [column.collation for column in columns if column.collation]
        body += _field(3, b"".join(_length(number) for number in text)) if text else b""
        body += _field(4, b"".join(bytes((len(name),)) + name.encode() for name in names))
        body += _field(8, bytes(key)) if key else b""
        self.event(19, body)

    def rows(self, kind: int, rows: Sequence[bytes], count: int) -> None:
        images = 2 if kind == 31 else 1
        head = struct.pack("<Q", 5)[:6] + b"\1\0" + b"\2\0" + bytes((count,))
        self.event(kind, head + b"\xff" * ((count + 7) // 8) * images + b"".join(rows))


@dataclass(frozen=True)
class ColumnForm:
    """How a column stands in a table map."""

    type: int
    meta: bytes = b""
    unsigned: bool = False
    numeric: bool = False
    collation: int = 0


def row_image(values: Sequence[bytes | None]) -> bytes:
    """A row image: null bits with the unused ones set, as MySQL does, and the stored values."""
    count = len(values)
    nulls = (1 << (-count % 8)) - 1 << count
    nulls |= sum(1 << place for place, value in enumerate(values) if value is None)
    return nulls.to_bytes((count + 7) // 8, "little") + b"".join(
        value for value in values if value is not None
    )


def stored_decimal(value: int, precision: int, scale: int) -> bytes:
    """`value` / 10^`scale` as the manual describes it: groups of nine digits, the rest in few bytes."""
    digits = str(abs(value)).rjust(precision, "0")
    whole, part = digits[: precision - scale], digits[precision - scale :]
    head = len(whole) % 9
    groups = [whole[:head]] if head else []
    groups += [whole[at : at + 9] for at in range(head, len(whole), 9)]
    groups += [part[at : at + 9] for at in range(0, len(part), 9)]
    data = b"".join(
        int(group).to_bytes((0, 1, 1, 2, 2, 3, 3, 4, 4, 4)[len(group)], "big") for group in groups
    )
    if value < 0:
        return bytes((data[0] ^ 0xFF ^ 0x80,)) + bytes(byte ^ 0xFF for byte in data[1:])
    return bytes((data[0] ^ 0x80,)) + data[1:]


def stored_time(micros: int, digits: int) -> bytes:
    """A TIME(digits) of so many microseconds, rounded to the digits already."""
    size = (digits + 1) // 2
    seconds, rest = divmod(abs(micros), 1_000_000)
    whole = (seconds // 3600) << 12 | (seconds // 60 % 60) << 6 | seconds % 60
    value: int = whole << 8 * size | rest // 10 ** (6 - 2 * size)
    if micros < 0:
        value = -value
    return (value + (0x800000 << 8 * size)).to_bytes(3 + size, "big")


def stored_datetime(parts: Sequence[int], micros: int, digits: int) -> bytes:
    """A DATETIME(digits) of year, month, day, hour, minute, second."""
    year, month, day, hour, minute, second = parts
    value = 1 << 39 | (year * 13 + month) << 22 | day << 17 | hour << 12 | minute << 6 | second
    size = (digits + 1) // 2
    part: int = micros // 10 ** (6 - 2 * size)
    return value.to_bytes(5, "big") + part.to_bytes(size, "big")


def stored_text(data: bytes, width: int) -> bytes:
    """Bytes behind their length of `width` bytes."""
    return len(data).to_bytes(width, "little") + data


def _field(kind: int, data: bytes) -> bytes:
    return bytes((kind,)) + _length(len(data)) + data


def _length(number: int) -> bytes:
    return bytes((number,)) if number < 251 else b"\xfc" + number.to_bytes(2, "little")


def _bits_high_first(flags: Sequence[bool]) -> bytes:
    number = sum(1 << (7 - place % 8) << 8 * (place // 8) for place, flag in enumerate(flags) if flag)
    return number.to_bytes((len(flags) + 7) // 8, "little")
