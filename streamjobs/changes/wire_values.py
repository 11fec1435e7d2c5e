"""Canonical forms: how a value of each SqlType is encoded in bytes on the wire. Standard library only.

`FORMS` is the only table of them. Everything is exact and strict: a value or bytes that a form does not
describe are refused with a ValueError that names the type and the value; equal values have equal bytes (but
FLOAT, DOUBLE and JSON are read in any legal form). NULL and absent are not values: functions never get them.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, Final, NoReturn

from streamjobs.changes.row_change import SqlType

MIN_EVENT_TIME_MS: Final = -62_135_596_800_000
"""0001-01-01 00:00:00 UTC."""
MAX_EVENT_TIME_MS: Final = 253_402_300_799_999
"""9999-12-31 23:59:59.999 UTC."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MS = timedelta(milliseconds=1)
_FLOAT32 = struct.Struct(">f")
_INT = re.compile(rb"0|-?[1-9][0-9]{0,19}")
_INTS = re.compile(rb"(?:(?:0|-?[1-9][0-9]{0,19})\n)*")
_DECIMAL = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_FLOAT = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,3})?|NaN|-?Infinity")
_DAY = rb"[0-9]{4}-(?:0[0-9]|1[0-2])-(?:[0-2][0-9]|3[01])"
_FRACTION = rb"(?:\.(?!000000)[0-9]{6})?"
_DATE = re.compile(_DAY)
_DATETIME = re.compile(_DAY + rb" (?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]" + _FRACTION)
_TIME = re.compile(
    rb"(-?)([0-9]{2}|[1-7][0-9]{2}|8[0-2][0-9]|83[0-8]):([0-5][0-9]):([0-5][0-9])(" + _FRACTION + rb")"
)
_YEAR = re.compile(rb"0000|19(?!00)[0-9]{2}|20[0-9]{2}|21[0-4][0-9]|215[0-5]")
_MAX_TIME = timedelta(hours=839) - timedelta(microseconds=1)
_MIN_NORMAL_FLOAT = 2.0**-126
_NAMED_FLOATS = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


@dataclass(frozen=True)
class Form:
    """One type's form: what it is, its Python type, and both directions, which raise ValueError."""

    text: str
    python: str
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


def encode(sql_type: SqlType, value: object) -> bytes:
    """Encode a Python value. Raises ValueError when the type has no such value or another Python type."""
    form = FORMS[sql_type]
    try:
        return form.encode(value)
    except (ValueError, TypeError, AttributeError, OverflowError) as exc:
        message = f"{sql_type.name} cannot be {value!r:.100}; it is {form.python}: {form.text}"
        raise ValueError(message) from exc


def decode(sql_type: SqlType, data: bytes) -> Any:
    """Decode a value. Raises ValueError when `data` is not in the canonical form."""
    form = FORMS[sql_type]
    try:
        return form.decode(data)
    except ValueError as exc:
        message = f"{sql_type.name} cannot be {data!r:.100}; its form is: {form.text}"
        raise ValueError(message) from exc


def decode_column(sql_type: SqlType, column: Sequence[bytes]) -> list[Any]:
    """Decode many values of one type, as `decode` does, but several times faster for integers and text."""
    try:
        if sql_type in _INTEGER_RANGES:
            return _decode_integers(column, *_INTEGER_RANGES[sql_type])
        if sql_type in (SqlType.TEXT, SqlType.ENUM):
            return [value.decode() for value in column]
    except ValueError:
        pass  # the loop below finds the value and raises its error
    return [decode(sql_type, value) for value in column]


def event_time_ms(sql_type: SqlType, data: bytes) -> int:
    """Return the UTC epoch milliseconds of a value of an event-time column.

    BIGINT is epoch ms; TIMESTAMP and DATETIME are UTC, microseconds are cut off (towards the past).
    Raises: ValueError for any other type, a value not in canonical form, a zero or partial date, and a time
    outside the years 0001 to 9999.
    """
    if sql_type is SqlType.BIGINT:
        if _INT.fullmatch(data) and MIN_EVENT_TIME_MS <= (time := int(data)) <= MAX_EVENT_TIME_MS:
            return time
    elif sql_type in (SqlType.TIMESTAMP, SqlType.DATETIME):
        value = decode(sql_type, data)
        if isinstance(value, datetime):
            return (value - _EPOCH) // _MS
    message = f"{sql_type.name} {data!r:.100} is not an event time in the years 0001 to 9999"
    raise ValueError(message)


def shortest_float(value: float) -> float:
    """Return the double whose text is the shortest one of this binary32: 0.1 for 0.10000000149011612.

    Raises: OverflowError for a finite number beyond the largest binary32.
    """
    rounded = binary32(value)
    # a normal binary32 holds any six digits, so fewer than six digits need not be tried
    for digits in range(6 if abs(rounded) >= _MIN_NORMAL_FLOAT else 1, 9):
        number = float(f"{rounded:.{digits}g}")
        try:
            if binary32(number) == rounded:
                return number
        except OverflowError:
            continue  # rounded up over the largest binary32: more digits
    return float(f"{rounded:.9g}")


def binary32(value: float) -> float:
    """Return the binary32 nearest to a number, as a double. Raises OverflowError as `shortest_float` does."""
    return float(_FLOAT32.unpack(_FLOAT32.pack(value))[0])


def _refuse() -> NoReturn:
    raise ValueError


def _matched(pattern: re.Pattern[bytes], data: bytes) -> str:
    if pattern.fullmatch(data) is None:
        _refuse()
    return data.decode()


def _typed(value: Any, *types: type) -> Any:
    if type(value) not in types:
        _refuse()
    return value


def _integer(low: int, high: int) -> Form:
    def encode_integer(value: Any) -> bytes:
        return str(value).encode() if low <= _typed(value, int) <= high else _refuse()

    def decode_integer(data: bytes) -> int:
        value = int(_matched(_INT, data))
        return value if low <= value <= high else _refuse()

    return Form(f"{low}..{high} in decimal, no leading zeros", "int", encode_integer, decode_integer)


def _decode_integers(column: Sequence[bytes], low: int, high: int) -> list[int]:
    if _INTS.fullmatch(b"\n".join((*column, b""))) is None:
        _refuse()
    values = list(map(int, column))
    if values and not low <= min(values) <= max(values) <= high:
        _refuse()
    return values


def _encode_decimal(value: Decimal) -> bytes:
    text = f"{_typed(value, Decimal):f}"
    data: bytes = (text[1:] if text[0] == "-" and not value else text).encode()
    _decode_decimal(data)
    return data


def _decode_decimal(data: bytes) -> Decimal:
    if len(data) > 68:  # 65 digits, a point, a sign, and the 0 of 0.…
        _refuse()
    value = Decimal(_matched(_DECIMAL, data))
    if (data[:1] == b"-" and not value) or len(value.as_tuple().digits) > 65:
        _refuse()
    return value


def _encode_double(value: float) -> bytes:
    text = repr(_typed(value, float))
    return _NAMED_FLOATS.get(text, text).encode()


def _encode_float(value: float) -> bytes:
    return _encode_double(shortest_float(_typed(value, float)))


def _decode_double(data: bytes) -> float:
    value = float(_matched(_FLOAT, data))
    return _refuse() if abs(value) == float("inf") and data[-1:] != b"y" else value


def _decode_float(data: bytes) -> float:
    try:
        return binary32(_decode_double(data))
    except OverflowError:
        _refuse()


def _encode_date(value: date | str) -> bytes:
    if type(value) is date:
        return value.isoformat().encode()
    data: bytes = _typed(value, str).encode()
    return data if isinstance(_decode_date(data), str) else _refuse()


def _decode_date(data: bytes) -> date | str:
    text = _matched(_DATE, data)
    try:
        return date.fromisoformat(text)
    except ValueError:
        return text  # 0000-00-00 and 2015-05-00 are values of MySQL


def _encode_datetime(value: datetime | str) -> bytes:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            _refuse()
        return value.astimezone(timezone.utc).replace(tzinfo=None).isoformat(" ").encode()
    data: bytes = _typed(value, str).encode()
    return data if isinstance(_decode_datetime(data), str) else _refuse()


def _decode_datetime(data: bytes) -> datetime | str:
    text = _matched(_DATETIME, data)
    try:
        return datetime.fromisoformat(text + "+00:00")
    except ValueError:
        return text


def _encode_time(value: timedelta) -> bytes:
    size = abs(_typed(value, timedelta))
    if size > _MAX_TIME:
        _refuse()
    minutes, seconds = divmod(size.days * 86_400 + size.seconds, 60)
    fraction = f".{size.microseconds:06}" if size.microseconds else ""
    sign = "-" if value < timedelta() else ""
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}:{seconds:02}{fraction}".encode()


def _decode_time(data: bytes) -> timedelta:
    match = _TIME.fullmatch(data) or _refuse()
    sign, hours, minutes, seconds, fraction = match.groups()
    micros = int(fraction[1:] or b"0")
    size = timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds), microseconds=micros)
    if sign and not size:
        _refuse()
    return -size if sign else size


def _encode_year(value: int) -> bytes:
    data = f"{_typed(value, int):04}".encode()
    _matched(_YEAR, data)
    return data


def _encode_set(labels: tuple[str, ...]) -> bytes:
    data = ",".join(_typed(labels, tuple)).encode()
    return data if _decode_set(data) == labels else _refuse()


def _decode_set(data: bytes) -> tuple[str, ...]:
    return tuple(data.decode().split(",")) if data else ()


def _decode_json(data: bytes) -> str:
    text = data.decode()
    try:
        json.loads(text, parse_constant=lambda _: _refuse(), parse_int=str, parse_float=str)
    except RecursionError:
        _refuse()
    return text


def _encode_json(value: str) -> bytes:
    data = str(_typed(value, str)).encode()
    _decode_json(data)
    return data


def _geometry(data: bytes) -> bytes:
    return bytes(_typed(data, bytes)) if len(data) >= 9 and data[4] in (0, 1) else _refuse()


_INTEGER_RANGES = {
    SqlType.TINYINT: (-(1 << 7), (1 << 7) - 1),
    SqlType.SMALLINT: (-(1 << 15), (1 << 15) - 1),
    SqlType.INT: (-(1 << 31), (1 << 31) - 1),
    SqlType.BIGINT: (-(1 << 63), (1 << 63) - 1),
    SqlType.UNSIGNED_BIGINT: (0, (1 << 64) - 1),
    SqlType.BIT: (0, (1 << 64) - 1),
}
_TEXT = Form("UTF-8", "str", lambda value: _typed(value, str).encode(), bytes.decode)
_DAY_TIME = "YYYY-MM-DD HH:MM:SS[.ffffff]; a zero or partial date stays text"

FORMS: Final[Mapping[SqlType, Form]] = {
    **{sql_type: _integer(low, high) for sql_type, (low, high) in _INTEGER_RANGES.items()},
    SqlType.BOOLEAN: Form(
        "0 or 1",
        "bool",
        lambda value: b"1" if _typed(value, bool) else b"0",
        lambda data: data == b"1" if data in (b"0", b"1") else _refuse(),
    ),
    SqlType.DECIMAL: Form(
        "-12.50, plain, the scale is kept, at most 65 digits, no -0",
        "Decimal",
        _encode_decimal,
        _decode_decimal,
    ),
    SqlType.FLOAT: Form(
        "shortest decimal that reads back as the same binary32; NaN, Infinity, -Infinity",
        "float (rounded to binary32)",
        _encode_float,
        _decode_float,
    ),
    SqlType.DOUBLE: Form(
        "shortest decimal that reads back as the same binary64; NaN, Infinity, -Infinity",
        "float",
        _encode_double,
        _decode_double,
    ),
    SqlType.TEXT: _TEXT,
    SqlType.ENUM: _TEXT,
    SqlType.BYTES: Form("the bytes", "bytes", lambda value: bytes(_typed(value, bytes)), bytes),
    SqlType.DATE: Form(
        "YYYY-MM-DD; a zero or partial date stays text", "date or str", _encode_date, _decode_date
    ),
    SqlType.TIME: Form(
        "[-]HH:MM:SS[.ffffff], hours 00 to 838, a zero fraction is left out",
        "timedelta",
        _encode_time,
        _decode_time,
    ),
    SqlType.DATETIME: Form(
        f"{_DAY_TIME}; no zone, read as UTC", "aware datetime or str", _encode_datetime, _decode_datetime
    ),
    SqlType.TIMESTAMP: Form(f"{_DAY_TIME}; UTC", "aware datetime or str", _encode_datetime, _decode_datetime),
    SqlType.YEAR: Form("0000 or 1901 to 2155", "int", _encode_year, lambda data: int(_matched(_YEAR, data))),
    SqlType.SET: Form(
        "labels in order of declaration, joined by commas", "tuple of str", _encode_set, _decode_set
    ),
    SqlType.JSON: Form("a JSON document in UTF-8", "str (the document's text)", _encode_json, _decode_json),
    SqlType.GEOMETRY: Form("SRID in 4 bytes little-endian, then WKB", "bytes", _geometry, _geometry),
}
"""The form of every type."""
