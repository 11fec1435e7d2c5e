"""MySQL's stored bytes -> canonical forms (`streamjobs.changes.wire_values`), for the compiled decoders.

Everything raises ValueError (IndexError for tables that are looked up by number) for bytes that are not a
value. Tables fill themselves as values occur and stay small: the dates and clock times of a log repeat.
Source: https://dev.mysql.com/doc/dev/mysql-server/latest/field__types_8h.html and the servers' sql-
common/my_time.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import takewhile
from typing import Any, Final, NamedTuple
from uuid import UUID

from streamjobs.changes import wire_values
from streamjobs.changes.row_change import SqlType

_REMEMBERED = 1 << 16
_DAY_ZERO = 719_163  # date.toordinal() of 1970-01-01

INT8: Final = tuple(b"%d" % number for number in (*range(0x80), *range(-0x80, 0)))
"""Text of a signed byte, by the byte's unsigned number."""
UINT8: Final = tuple(b"%d" % number for number in range(0x100))
YEARS: Final = (b"0000", *(b"%d" % (1900 + number) for number in range(1, 0x100)))
ZERO_TIME: Final = b"0000-00-00 00:00:00"


class Remembered(dict[int, bytes]):
    """Remembers a function's values by argument; forgets all of them when there are too many."""

    def __init__(self, compute: Callable[[int], bytes]) -> None:
        super().__init__()
        self._compute = compute

    def __missing__(self, key: int) -> bytes:
        if len(self) >= _REMEMBERED:
            self.clear()
        value = self[key] = self._compute(key)
        return value


def date_text(year: int, month: int, day: int) -> bytes:
    """Return the text of a date, also of a zero or partial one: 2015-05-00."""
    if year > 9999 or month > 12 or day > 31:
        message = f"{year}-{month}-{day} is not a date"
        raise ValueError(message)
    return b"%04d-%02d-%02d" % (year, month, day)


def clock_text(hour: int, minute: int, second: int) -> bytes:
    """Return the text of a time of day, with a space before it."""
    if hour > 23 or minute > 59 or second > 59:
        message = f"{hour}:{minute}:{second} is not a time of day"
        raise ValueError(message)
    return b" %02d:%02d:%02d" % (hour, minute, second)


def _packed_day(packed: int) -> bytes:
    """Return the date in the upper bits of a DATETIME: a 1, then (year * 13 + month), 5 bits of day."""
    if not packed >> 22 & 1:
        message = f"{packed:#x} is a negative DATETIME"
        raise ValueError(message)
    months = packed >> 5 & 0x1FFFF
    return date_text(months // 13, months % 13, packed & 31)


def _epoch_day(days: int) -> bytes:
    return date.fromordinal(_DAY_ZERO + days).isoformat().encode()


DAYS: Final = Remembered(_packed_day)
"""Date, by bits 17 to 39 of a DATETIME's five bytes."""
HOURS: Final = Remembered(lambda packed: clock_text(packed >> 6, packed & 63, 0)[:6])
"""Hour and minute, with a space before, by bits 6 to 16 of a DATETIME's five bytes."""
SECONDS: Final = tuple(b":%02d" % second for second in range(60))
"""Seconds, by bits 0 to 5 of a DATETIME's five bytes."""
EPOCH_DAYS: Final = Remembered(_epoch_day)
"""Date, by days since 1970."""
EPOCH_HOURS: Final = tuple(clock_text(minute // 60, minute % 60, 0)[:6] for minute in range(24 * 60))
"""Hour and minute, with a space before, by minute of the day."""
DATES: Final = Remembered(lambda packed: date_text(packed >> 9, packed >> 5 & 15, packed & 31))
"""Date, by the three bytes of a DATE."""


def fraction(micros: int) -> bytes:
    """Return microseconds as a fraction with its point; empty for 0."""
    if micros >= 1_000_000:
        message = f"{micros} microseconds in a fraction of a second"
        raise ValueError(message)
    return b".%06d" % micros if micros else b""


FRACTIONS: Final = Remembered(fraction)
MILLIS: Final = tuple(b".%03d" % number for number in range(1000))
"""The first three digits of a fraction, with the point."""
MICROS: Final = tuple(b"%03d" % number for number in range(1000))
"""The three digits after them."""


def time_of(packed: int, digits: int) -> bytes:
    """Return the text of a TIME from its bytes, big-endian, with `digits` of fraction.

    It is stored as one biased number of 24 bits and the fraction, so a negative TIME has a complemented
    fraction.
    """
    size = (digits + 1) // 2
    value = packed - (0x800000 << 8 * size)
    sign = b"-" if value < 0 else b""
    whole, part = divmod(abs(value), 1 << 8 * size)
    micros = part * 10 ** (6 - 2 * size)
    hour, minute, second = whole >> 12, whole >> 6 & 63, whole & 63
    if hour > 838 or minute > 59 or second > 59:
        message = f"{hour}:{minute}:{second} is not a TIME"
        raise ValueError(message)
    return b"%b%02d:%02d:%02d%b" % (sign, hour, minute, second, fraction(micros))


def old_time(number: int) -> bytes:
    """Return the text of a TIME of before MySQL 5.6: hhmmss as a signed number."""
    size = abs(number)
    hour, minute, second = size // 10_000, size // 100 % 100, size % 100
    if hour > 838 or minute > 59 or second > 59:
        message = f"{number} is not a TIME"
        raise ValueError(message)
    return b"%b%02d:%02d:%02d" % (b"-" if number < 0 else b"", hour, minute, second)


def old_datetime(number: int) -> bytes:
    """Return the text of a DATETIME of before MySQL 5.6: YYYYMMDDhhmmss as a number."""
    day, clock = divmod(number, 1_000_000)
    return date_text(day // 10_000, day // 100 % 100, day % 100) + clock_text(
        clock // 10_000, clock // 100 % 100, clock % 100
    )


def timestamp(second: int, micros: int = 0) -> bytes:
    """Return the text of a TIMESTAMP in UTC; second 0 is the zero timestamp."""
    if not second:
        return ZERO_TIME + fraction(micros)
    clock = EPOCH_HOURS[second % 86_400 // 60] + SECONDS[second % 60]
    return EPOCH_DAYS[second // 86_400] + clock + fraction(micros)


def float32(value: float) -> bytes:
    """Return the text of a FLOAT."""
    return wire_values.encode(SqlType.FLOAT, value)


def float64(value: float) -> bytes:
    """Return the text of a DOUBLE."""
    return wire_values.encode(SqlType.DOUBLE, value)


_DIGITS_OF_A_TABLE = 3
_DIGIT_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)


def decimal_bytes(precision: int, scale: int) -> int:
    """Return the length of a stored DECIMAL in bytes."""
    whole = precision - scale
    return whole // 9 * 4 + _DIGIT_BYTES[whole % 9] + scale // 9 * 4 + _DIGIT_BYTES[scale % 9]


def decimal_decoder(precision: int, scale: int) -> Callable[[bytes], bytes]:
    """Make the function that returns the text of the DECIMALs of one declaration.

    Each group of nine digits has four bytes, from the point outwards; the first bit is the inverted sign, and
    a negative number has all its bits inverted. A group with a too large number is refused; for groups of at
    most three digits after the point the end of their table does this.
    """
    if not 0 < precision <= 65 or not 0 <= scale <= min(30 + 8, precision):
        message = f"DECIMAL({precision},{scale}) is not possible"
        raise ValueError(message)
    whole = precision - scale
    groups = _groups([whole % 9, *[9] * (whole // 9)], [*[9] * (scale // 9), scale % 9])
    fraction_groups = len(groups) - (-(-whole // 9))
    left, right = groups[: len(groups) - fraction_groups], groups[len(groups) - fraction_groups :]
    scope: dict[str, Any] = {
        "from_bytes": int.from_bytes,
        "REFUSED": f"a DECIMAL({precision},{scale}) with a group of too many digits",
    }
    top = 1 << (8 * decimal_bytes(precision, scale) - 1)
    lines = [
        "def decode(v):",
        ' n = from_bytes(v, "big")',
        f" positive = n & {top:#x}",
        f" n ^= {top:#x} if positive else {top - 1:#x}",
        *_whole_lines(left),
        *_part_lines(right, scope),
        ' return text if positive or not n else b"-" + text',
    ]
    exec("\n".join(lines), scope)  # noqa: S102 (our own text: only numbers are put in)
    decode: Callable[[bytes], bytes] = scope["decode"]
    return decode


def _whole_lines(left: Sequence[_Group]) -> Iterator[str]:
    """Yield lines that set `w` to the digits before the point; most numbers have only their last group."""
    if not left:
        yield " w = 0"
        return
    yield f" w = n >> {8 * left[-1].bytes_after}"
    yield f" if w > {10 ** left[-1].digits - 1}:"
    yield from (f"  {line}" for line in _group_lines(left))
    number = "g0"
    for index in range(1, len(left)):
        number = f"({number}) * 1000000000 + g{index}"
    yield f"  w = {number}"


def _part_lines(right: Sequence[_Group], scope: dict[str, Any]) -> Iterator[str]:
    """Yield lines that set `text` to the integer part and the digits after the point."""
    if not right:
        yield ' text = b"%d" % w'
    elif len(right) == 1 and right[0].digits <= _DIGITS_OF_A_TABLE:
        digits = right[0].digits
        scope["PART"] = tuple(b".%0*d" % (digits, part) for part in range(10**digits))
        yield f' text = b"%d" % w + PART[n & {right[0].mask:#x}]'
    else:
        yield from (f" {line}" for line in _group_lines(right))
        form = "%d." + "".join(f"%0{group.digits}d" for group in right)
        yield f' text = b"{form}" % (w, {", ".join(f"g{index}" for index in range(len(right)))})'


def _group_lines(groups: Sequence[_Group]) -> Iterator[str]:
    for index, group in enumerate(groups):
        yield f"g{index} = n >> {8 * group.bytes_after} & {group.mask:#x}"
    limits = " or ".join(f"g{index} > {10**group.digits - 1}" for index, group in enumerate(groups))
    yield f"if {limits}: raise ValueError(REFUSED)"


class _Group(NamedTuple):
    """Digits of a DECIMAL that are stored together: the number of bytes, and of bytes after them."""

    digits: int
    size: int
    bytes_after: int

    @property
    def mask(self) -> int:
        return (1 << 8 * self.size) - 1


def _groups(whole: Sequence[int], part: Sequence[int]) -> list[_Group]:
    groups, bytes_after = [], 0
    for digits in reversed([*whole, *part]):
        if digits:
            groups.append(_Group(digits, _DIGIT_BYTES[digits], bytes_after))
            bytes_after += _DIGIT_BYTES[digits]
    return groups[::-1]


class Sets(Remembered):
    """Texts of a SET's values, by bitmap."""

    def __init__(self, labels: Sequence[bytes]) -> None:
        def compute(bits: int) -> bytes:
            if bits >> len(labels):
                message = f"bits {bits:#x} of a SET of {len(labels)} labels"
                raise ValueError(message)
            return b",".join(label for index, label in enumerate(labels) if bits >> index & 1)

        super().__init__(compute)


def geometry(data: bytes) -> bytes:
    """Check a geometry: SRID and WKB."""
    if len(data) < 9 or data[4] > 1:
        message = "neither SRID and WKB"
        raise ValueError(message)
    return data


def uuid_text(data: bytes) -> bytes:
    """Return the text of MariaDB's UUID."""
    return str(UUID(bytes=data.ljust(16, b"\0"))).encode()


def inet4_text(data: bytes) -> bytes:
    """Return the text of MariaDB's INET4."""
    return b"%d.%d.%d.%d" % tuple(data.ljust(4, b"\0"))


def inet6_text(data: bytes) -> bytes:
    """Return the text of MariaDB's INET6: a single zero is shortened too, IPv4 may be at the end."""
    words = struct.unpack(">8H", data.ljust(16, b"\0"))
    runs = [
        (sum(1 for _ in takewhile(lambda word: not word, words[start:])), -start)
        for start in range(8)
        if not words[start] and (not start or words[start - 1])
    ]
    if not runs:
        return b":".join(b"%x" % word for word in words)
    size, start = max(runs)[0], -max(runs)[1]
    if not start and (size == 6 or (size == 5 and words[5] == 0xFFFF)):
        mapped = b"::ffff:" if size == 5 else b"::"
        return mapped + inet4_text(data.ljust(16, b"\0")[12:])
    before, after = words[:start], words[start + size :]
    return b"::".join(b":".join(b"%x" % word for word in side) for side in (before, after))


def inflate_column(data: bytes) -> bytes:
    """Unpack a value of a COMPRESSED column of MariaDB.

    The first byte: method in the upper bits (0 stored, 8 zlib), bit 3 for deflate without zlib's wrapping,
    and how many bytes of length follow it, big-endian.
    """
    if not data:
        return b""
    if not data[0]:
        return data[1:]
    size, bare, method = data[0] & 7, data[0] & 8, data[0] >> 4
    if method != 8:
        message = f"compression method {method}"
        raise ValueError(message)
    length = int.from_bytes(data[1 : 1 + size], "big")
    try:
        text = zlib.decompressobj(-15 if bare else 15).decompress(data[1 + size :], length + 1)
    except zlib.error as exc:
        raise ValueError(str(exc)) from exc
    if len(text) != length:
        message = f"{len(text)} bytes unpacked, {length} expected"
        raise ValueError(message)
    return text
