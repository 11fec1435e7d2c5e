"""MySQL's binary JSON -> the document's text, as the server prints it.

Source: https://dev.mysql.com/doc/dev/mysql-server/latest/json__binary_8h.html
"""

from __future__ import annotations

import base64
import json
import struct
from typing import Final

from connectors.mysql.codec import values

_SMALL_OBJECT, _LARGE_OBJECT, _SMALL_ARRAY, _LARGE_ARRAY, _LITERAL = range(5)
_INT16, _UINT16, _INT32, _UINT32, _INT64, _UINT64, _DOUBLE, _STRING = range(5, 13)
_OPAQUE: Final = 15
_LITERALS: Final = {0: "null", 1: "true", 2: "false"}
_NUMBERS: Final = {
    _INT16: struct.Struct("<h"),
    _UINT16: struct.Struct("<H"),
    _INT32: struct.Struct("<i"),
    _UINT32: struct.Struct("<I"),
    _INT64: struct.Struct("<q"),
    _UINT64: struct.Struct("<Q"),
}
_DOUBLE_FORM: Final = struct.Struct("<d")
_MAX_DEPTH: Final = 101
"""The server's deepest nesting, 100, plus the scalar in it."""
_DATE, _TIMESTAMP, _TIME, _DATETIME, _DECIMAL = 10, 7, 11, 12, 246


def text_of(data: bytes) -> bytes:
    """Return the document's text in UTF-8. Raises ValueError for bytes that are not binary JSON.

    An empty value reads as null, as on the server, which stores it for an empty string in a column that was
    altered to JSON.
    """
    if not data:
        return b"null"
    try:
        return _value(data[0], data[1:], 1).encode()
    except (struct.error, IndexError, RecursionError) as exc:
        message = f"binary JSON that ends too early or nests too deep: {exc}"
        raise ValueError(message) from exc


def _value(kind: int, data: bytes, depth: int) -> str:
    if depth > _MAX_DEPTH:
        message = f"binary JSON nested deeper than {_MAX_DEPTH}"
        raise ValueError(message)
    if kind <= _LARGE_ARRAY:
        return _container(data, depth, large=bool(kind & 1), keys=kind < _SMALL_ARRAY)
    if kind == _LITERAL:
        return _literal(data[0])
    if kind in _NUMBERS:
        return str(_NUMBERS[kind].unpack_from(data)[0])
    if kind == _DOUBLE:
        return double_text(_DOUBLE_FORM.unpack_from(data)[0])
    if kind == _STRING:
        return quoted(_sized(data, 0).decode())
    if kind == _OPAQUE:
        return _opaque(data[0], _sized(data, 1))
    message = f"binary JSON of type {kind}"
    raise ValueError(message)


def _container(data: bytes, depth: int, *, large: bool, keys: bool) -> str:
    """Return the text of an object or array.

    It has count, size, key entries (offset and 2 bytes of length), value entries (type, offset).
    """
    width = 4 if large else 2
    count = int.from_bytes(data[:width], "little")
    size = int.from_bytes(data[width : 2 * width], "little")
    if size > len(data) or 2 * width + count * ((width + 2) * keys + 1 + width) > size:
        message = f"a binary JSON container of {count} members and {size} bytes in {len(data)}"
        raise ValueError(message)
    at = 2 * width
    names = []
    if keys:
        for _ in range(count):
            start = int.from_bytes(data[at : at + width], "little")
            length = int.from_bytes(data[at + width : at + width + 2], "little")
            names.append(quoted(_slice(data, start, start + length, size).decode()))
            at += width + 2
    members = []
    for _ in range(count):
        members.append(_member(data[:size], at, depth, large=large))
        at += 1 + width
    if not keys:
        return f"[{', '.join(members)}]"
    return "{" + ", ".join(f"{name}: {member}" for name, member in zip(names, members, strict=True)) + "}"


def _member(data: bytes, at: int, depth: int, *, large: bool) -> str:
    """Return the text of a value entry: small values are stored instead of the offset."""
    kind, width = data[at], 4 if large else 2
    if kind == _LITERAL or kind in (_INT16, _UINT16) or (large and kind in (_INT32, _UINT32)):
        return _value(kind, data[at + 1 : at + 1 + width], depth + 1)
    start = int.from_bytes(data[at + 1 : at + 1 + width], "little")
    return _value(kind, _slice(data, start, len(data), len(data)), depth + 1)


def _slice(data: bytes, start: int, end: int, size: int) -> bytes:
    if not 0 < start <= end <= size:
        message = f"binary JSON points to bytes {start} to {end} of {size}"
        raise ValueError(message)
    return data[start:end]


def _literal(number: int) -> str:
    if number not in _LITERALS:
        message = f"binary JSON literal {number}"
        raise ValueError(message)
    return _LITERALS[number]


def _sized(data: bytes, at: int) -> bytes:
    """Return the bytes after a length of 7 bits in each byte."""
    length = 0
    for shift in range(0, 35, 7):
        byte = data[at]
        at += 1
        length |= (byte & 0x7F) << shift
        if not byte & 0x80:
            if at + length > len(data):
                message = f"a binary JSON value of {length} bytes in {len(data) - at}"
                raise ValueError(message)
            return data[at : at + length]
    message = "a binary JSON length of more than 5 bytes"
    raise ValueError(message)


def quoted(text: str) -> str:
    """Quote a string as the server does: escape only what JSON requires."""
    return json.dumps(text, ensure_ascii=False)


def double_text(value: float) -> str:
    """Return a double as the server prints it in JSON: 1.0, 0.00001, 1e22.

    Source: my_gcvt in the server's strings/dtoa.cc: shortest digits, exponents outside of 1e-15 to 1e15.
    """
    if value - value:  # neither NaN nor infinity is JSON
        message = f"binary JSON with the number {value}"
        raise ValueError(message)
    sign = "-" if repr(value)[0] == "-" else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, part = mantissa.partition(".")
    digits = (whole + ("" if part == "0" else part)).lstrip("0")
    leading = len(whole + part) - len((whole + part).lstrip("0"))
    point = len(whole) - leading + int(exponent or 0)
    digits = digits.rstrip("0")
    if not digits:
        return f"{sign}0.0"
    if not -14 <= point <= 15:
        tail = f".{digits[1:]}" if len(digits) > 1 else ""
        return f"{sign}{digits[0]}{tail}e{point - 1}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return f"{sign}{digits}{'0' * (point - len(digits))}.0"
    return f"{sign}{digits[:point]}.{digits[point:]}"


def _opaque(kind: int, data: bytes) -> str:
    """Return a value of a SQL type that JSON lacks: numbers as numbers, everything else quoted."""
    if kind == _DECIMAL:
        if len(data) < 3 or len(data) != 2 + values.decimal_bytes(data[0], data[1]):
            message = f"a DECIMAL of {len(data)} bytes in binary JSON"
            raise ValueError(message)
        return values.decimal_decoder(data[0], data[1])(data[2:]).decode()
    if kind in (_DATE, _TIME, _DATETIME, _TIMESTAMP):
        (packed,) = struct.unpack("<q", data)
        return f'"{_time_text(kind, packed)}"'
    return f'"base64:type{kind}:{base64.b64encode(data).decode()}"'


def _time_text(kind: int, packed: int) -> str:
    sign, size = "-" if packed < 0 else "", abs(packed)
    micros, whole = size & 0xFFFFFF, size >> 24
    if micros >= 1_000_000:
        message = f"{micros} microseconds in binary JSON"
        raise ValueError(message)
    if kind == _TIME:
        return f"{sign}{whole >> 12 & 0x3FF:02}:{whole >> 6 & 63:02}:{whole & 63:02}.{micros:06}"
    day = values.DAYS[whole >> 17 | 1 << 22].decode()
    clock = (values.HOURS[whole >> 6 & 0x7FF] + values.SECONDS[whole & 63]).decode()
    return day if kind == _DATE else f"{day}{clock}.{micros:06}"
