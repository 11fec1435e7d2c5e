"""Converts wire values to Flink values: which column types are compatible, and how a value is converted.

One table decides. A pair of types that is not in it is a mismatch (a dead letter that names both types),
unless the job declares a cast for the column; then the value's text is parsed, and a text that does not fit
is a dead letter. Nothing is rounded, truncated or wrapped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import orjson

from streamjobs.changes import wire_values
from streamjobs.changes.row_change import Column, SqlType

Convert = Callable[[bytes], Any]

_INT = re.compile(rb"-?[0-9]+")
_DECIMAL = re.compile(rb"-?[0-9]{1,65}(?:\.[0-9]{1,65})?")
_TYPE = re.compile(r"(\w+)(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?\Z")
_INT_BITS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64}
_WIRE_INT_BITS = {
    SqlType.TINYINT: 8,
    SqlType.SMALLINT: 16,
    SqlType.YEAR: 16,
    SqlType.INT: 32,
    SqlType.BIGINT: 64,
}
_TEXT = frozenset({SqlType.TEXT, SqlType.ENUM, SqlType.SET, SqlType.JSON})
_TEMPORAL = frozenset({SqlType.DATE, SqlType.TIME, SqlType.DATETIME, SqlType.TIMESTAMP, SqlType.YEAR})
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - Flink's TIMESTAMP has no zone either
_DAY = timedelta(days=1)
_MS = timedelta(milliseconds=1)


class Moment(datetime):
    """A datetime without zone that PyFlink's coder encodes exactly.

    PyFlink 2.3 uses `int(timestamp())` as the whole seconds: one too many before 1970, because `int` rounds
    towards zero, and if binary64 rounds the microseconds up (9999-12-31 23:59:59.999999).
    Source: pyflink/fn_execution/coder_impl_fast.pyx, TimestampCoderImpl.
    """

    def timestamp(self) -> float:
        """Return the whole seconds since the epoch, in UTC, rounded down."""
        days = self.toordinal() - _EPOCH.toordinal()
        return float(((days * 24 + self.hour) * 60 + self.minute) * 60 + self.second)


@dataclass(frozen=True)
class FlinkType:
    """A Flink SQL type: root name and up to two numbers, e.g. `FlinkType("DECIMAL", 10, 2)`."""

    root: str
    first: int | None = None
    second: int | None = None

    @classmethod
    def parse(cls, text: str) -> FlinkType:
        """Read `DECIMAL(10, 2)`. Raises ValueError for types that a row change cannot have (ROW, MAP …)."""
        match = _TYPE.match(text.strip().upper().removesuffix("NOT NULL").strip())
        if match is None:
            message = f"a row change has no values of type {text}"
            raise ValueError(message)
        root, first, second = match.groups()
        return cls(root, None if first is None else int(first), None if second is None else int(second))


@dataclass(frozen=True)
class Converter:
    """Converts canonical values to Flink's: `one` value, or `many` values of a column at once.

    Both raise ValueError when a value does not fit; `many` does not say which one.
    """

    one: Convert
    many: Callable[[Sequence[bytes]], list[Any]]


def converter(declared: str, column: Column, *, cast: bool, epoch_ms: bool = False) -> Converter | None:
    """Return the converter from values of `column` to values of the declared type.

    With `epoch_ms` a TIMESTAMP_LTZ becomes the milliseconds since the epoch instead of a datetime.
    None means that the two types are not compatible and no cast is declared.
    """
    flink = FlinkType.parse(declared)
    if epoch_ms:
        one = _epoch_ms(flink) if cast or column.type is SqlType.TIMESTAMP else None
    else:
        one = _exact(flink, column) or (_from_text(flink) if cast else None)
    if one is None:
        return None
    if flink.root in _INT_BITS:
        return Converter(one, _many_ints(_INT_BITS[flink.root], one))
    return Converter(one, lambda column_values: list(map(one, column_values)))


def _exact(flink: FlinkType, column: Column) -> Convert | None:
    wire = column.type
    if flink.root in _INT_BITS:
        bits = _INT_BITS[flink.root]
        return _bounded_int(bits) if _WIRE_INT_BITS.get(wire, 128) <= bits else None
    match flink.root:
        case "STRING" | "VARCHAR" | "CHAR" if wire in _TEXT | _TEMPORAL:
            return _text(flink)
        case "BYTES" | "VARBINARY" | "BINARY" if wire in (SqlType.BYTES, SqlType.GEOMETRY):
            return _bytes(flink)
        case "BOOLEAN" if wire is SqlType.BOOLEAN or column.native_type.lower().startswith("tinyint(1)"):
            return _boolean
        case "DECIMAL" if wire in (SqlType.DECIMAL, SqlType.UNSIGNED_BIGINT) or wire in _WIRE_INT_BITS:
            return _decimal(flink)
        case "DOUBLE" if wire in (SqlType.DOUBLE, SqlType.FLOAT):
            return _finite(SqlType.DOUBLE)
        case "FLOAT" if wire is SqlType.FLOAT:
            return _finite(SqlType.FLOAT)
        case "DATE" if wire is SqlType.DATE:
            return _date
        case "TIME" if wire is SqlType.TIME:
            return _time(flink)
        case "TIMESTAMP" if wire is SqlType.DATETIME:
            return _timestamp(wire, flink)
        case "TIMESTAMP_LTZ" if wire is SqlType.TIMESTAMP:
            return _timestamp(wire, flink)
    return None


def _from_text(flink: FlinkType) -> Convert | None:
    """Return the declared cast: from the value's text, whatever its type on the wire."""
    if flink.root in _INT_BITS:
        return _bounded_int(_INT_BITS[flink.root])
    match flink.root:
        case "STRING" | "VARCHAR" | "CHAR":
            return _text(flink)
        case "BYTES" | "VARBINARY" | "BINARY":
            return _bytes(flink)
        case "BOOLEAN":
            return _boolean
        case "DECIMAL":
            return _decimal(flink)
        case "DOUBLE":
            return _finite(SqlType.DOUBLE)
        case "FLOAT":
            return _finite(SqlType.FLOAT)
        case "DATE":
            return _date
        case "TIME":
            return _time(flink)
        case "TIMESTAMP":
            return _timestamp(SqlType.DATETIME, flink)
        case "TIMESTAMP_LTZ":
            return _timestamp(SqlType.TIMESTAMP, flink)
    return None


def _bytes(flink: FlinkType) -> Convert:
    if flink.first is None:
        return bytes
    length = flink.first

    def convert(value: bytes) -> bytes:
        if len(value) > length:
            message = f"{len(value)} bytes do not fit in {flink.root}({length})"
            raise ValueError(message)
        return value

    return convert


def _bounded_int(bits: int) -> Convert:
    bound = 1 << (bits - 1)

    def convert(value: bytes) -> int:
        if _INT.fullmatch(value) is None:
            message = f"{value!r} is not a whole number"
            raise ValueError(message)
        number = int(value)
        if not -bound <= number < bound:
            message = f"{number} does not fit in {bits} bits"
            raise ValueError(message)
        return number

    return convert


def _many_ints(bits: int, one: Convert) -> Callable[[Sequence[bytes]], list[Any]]:
    """Return the check of `one` for a column without signs, which needs only a few calls per column.

    `int` alone would accept `1_000` and ` 7`; it refuses the empty value itself.
    """
    bound = 1 << (bits - 1)

    def convert(column_values: Sequence[bytes]) -> list[Any]:
        if not b"".join(column_values).isdigit():  # a sign, something wrong, or no value at all
            return list(map(one, column_values))
        try:
            # A column of digits is a JSON list of numbers, at a third of the cost of `int`.
            numbers: list[Any] = orjson.loads(b"[" + b",".join(column_values) + b"]")
        except orjson.JSONDecodeError:  # leading zeros, or an empty value among the others
            numbers = list(map(int, column_values))
        if max(numbers) >= bound:
            message = f"{max(numbers)} does not fit in {bits} bits"
            raise ValueError(message)
        return numbers

    return convert


def _text(flink: FlinkType) -> Convert:
    if flink.first is None:
        return bytes.decode
    length = flink.first

    def convert(value: bytes) -> str:
        text = value.decode()
        if len(text) > length:
            message = f"{len(text)} characters do not fit in {flink.root}({length})"
            raise ValueError(message)
        return text

    return convert


def _boolean(value: bytes) -> bool:
    match value:
        case b"1" | b"true":
            return True
        case b"0" | b"false":
            return False
    message = f"{value!r} is neither 0 nor 1"
    raise ValueError(message)


def _decimal(flink: FlinkType) -> Convert:
    precision, scale = flink.first or 10, flink.second or 0

    def convert(value: bytes) -> Decimal:
        if _DECIMAL.fullmatch(value) is None:
            message = f"{value[:80]!r} is not a decimal number"
            raise ValueError(message)
        number = Decimal(value.decode("ascii"))
        digits, exponent = number.as_tuple()[1:]
        assert isinstance(exponent, int)  # the pattern has no NaN
        finer = -exponent - scale
        if (finer > 0 and any(digits[-finer:])) or (len(digits) + exponent > precision - scale and number):
            message = f"{number} does not fit in DECIMAL({precision}, {scale})"
            raise ValueError(message)
        return number

    return convert


def _finite(wire: SqlType) -> Convert:
    def convert(value: bytes) -> float:
        number = wire_values.decode(wire, value)
        if not isinstance(number, float) or not math.isfinite(number):
            message = f"{value!r} is not a finite number"
            raise ValueError(message)
        return number

    return convert


def _date(value: bytes) -> date:
    day = wire_values.decode(SqlType.DATE, value)
    if not isinstance(day, date):
        message = f"{value!r} is not a day of the calendar; declare the column as STRING to keep it"
        raise ValueError(message)
    return day


def _time(flink: FlinkType) -> Convert:
    precision = min(flink.first or 0, 3)  # Flink's TIME is an int of milliseconds
    unit = 10 ** (6 - precision)

    def convert(value: bytes) -> time:
        span = wire_values.decode(SqlType.TIME, value)
        if not isinstance(span, timedelta) or not timedelta(0) <= span < _DAY:
            message = f"{value!r} is not a time of day; declare the column as STRING"
            raise ValueError(message)
        if span.microseconds % unit:
            message = (
                f"{value!r} is finer than TIME({precision}); TIME(3) is Flink's finest, STRING keeps all"
            )
            raise ValueError(message)
        return (_EPOCH + span).time()

    return convert


def _moment(wire: SqlType, flink: FlinkType) -> Callable[[bytes], datetime]:
    """Return a converter to a moment without zone; it refuses digits beyond the declared precision."""
    precision = 6 if flink.first is None else flink.first
    unit = 10 ** max(6 - precision, 0)

    def convert(value: bytes) -> datetime:
        moment = wire_values.decode(wire, value)
        if not isinstance(moment, datetime):
            message = f"{value!r} is not a moment of the calendar; declare the column as STRING to keep it"
            raise ValueError(message)
        if moment.microsecond % unit:
            message = f"{value!r} is finer than {flink.root}({precision})"
            raise ValueError(message)
        return moment.replace(tzinfo=None)

    return convert


def _timestamp(wire: SqlType, flink: FlinkType) -> Convert:
    """Return a converter to naive datetimes, in UTC for TIMESTAMP_LTZ."""
    moment = _moment(wire, flink)

    def convert(value: bytes) -> Moment:
        at = moment(value)
        return Moment(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond)

    return convert


def _epoch_ms(flink: FlinkType) -> Convert:
    """Return a converter to UTC epoch milliseconds; it refuses finer values instead of rounding them."""
    moment = _moment(SqlType.TIMESTAMP, flink)

    def convert(value: bytes) -> int:
        return (moment(value) - _EPOCH) // _MS

    return convert
