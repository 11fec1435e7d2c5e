"""Wire values to Flink values: which column types meet, and the function that converts one value.

One table decides. A pair of types that is not in it is a mismatch (a dead letter that names both), unless
the job declares a cast for the column; then the value's text is parsed and a text that does not fit is the
dead letter. Nothing is rounded, truncated or wrapped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from streamjobs import values
from streamjobs.rowchange import Column, SqlType

Convert = Callable[[bytes], Any]

_INT = re.compile(rb"-?[0-9]+")
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


@dataclass(frozen=True)
class FlinkType:
    """A Flink SQL type: root name and up to two numbers, e.g. `FlinkType("DECIMAL", 10, 2)`."""

    root: str
    first: int | None = None
    second: int | None = None

    @classmethod
    def parse(cls, text: str) -> FlinkType:
        """Read `DECIMAL(10, 2)`. Raises ValueError for what no row change can hold (ROW, MAP …)."""
        match = _TYPE.match(text.strip().upper().removesuffix("NOT NULL").strip())
        if match is None:
            message = f"a row change has no values of type {text}"
            raise ValueError(message)
        root, first, second = match.groups()
        return cls(root, None if first is None else int(first), None if second is None else int(second))


@dataclass(frozen=True)
class Converter:
    """Turns canonical values into Flink's: `one` value, or `many` values of a column at once.

    Both raise ValueError when a value does not fit; `many` does not say which one.
    """

    one: Convert
    many: Callable[[Sequence[bytes]], list[Any]]


def converter(declared: str, column: Column, *, cast: bool) -> Converter | None:
    """Give what turns values of `column` into values of the declared type.

    None means that the two types do not meet and no cast is declared.
    """
    flink = FlinkType.parse(declared)
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
            return _bytes
        case "BOOLEAN" if wire is SqlType.BOOLEAN or column.native_type.lower().startswith("tinyint(1)"):
            return _boolean
        case "DECIMAL" if wire in (SqlType.DECIMAL, SqlType.UNSIGNED_BIGINT) or wire in _WIRE_INT_BITS:
            return _decimal(flink)
        case "DOUBLE" if wire in (SqlType.DOUBLE, SqlType.FLOAT):
            return _finite_float
        case "FLOAT" if wire is SqlType.FLOAT:
            return _finite_float
        case "DATE" if wire is SqlType.DATE:
            return _date
        case "TIME" if wire is SqlType.TIME:
            return _time
        case "TIMESTAMP" if wire is SqlType.DATETIME:
            return _timestamp(wire, flink)
        case "TIMESTAMP_LTZ" if wire is SqlType.TIMESTAMP:
            return _timestamp(wire, flink)
    return None


def _from_text(flink: FlinkType) -> Convert | None:
    """Give the declared cast: from the value's text, whatever its type on the wire."""
    if flink.root in _INT_BITS:
        return _bounded_int(_INT_BITS[flink.root])
    match flink.root:
        case "STRING" | "VARCHAR" | "CHAR":
            return _text(flink)
        case "BYTES" | "VARBINARY" | "BINARY":
            return _bytes
        case "BOOLEAN":
            return _boolean
        case "DECIMAL":
            return _decimal(flink)
        case "DOUBLE" | "FLOAT":
            return _finite_float
        case "DATE":
            return _date
        case "TIME":
            return _time
        case "TIMESTAMP":
            return _timestamp(SqlType.DATETIME, flink)
        case "TIMESTAMP_LTZ":
            return _timestamp(SqlType.TIMESTAMP, flink)
    return None


def _bytes(value: bytes) -> bytes:
    return value


def _bounded_int(bits: int) -> Convert:
    bound = 1 << (bits - 1)

    def convert(value: bytes) -> int:
        if _INT.fullmatch(value) is None:
            message = f"{value!r} is no whole number"
            raise ValueError(message)
        number = int(value)
        if not -bound <= number < bound:
            message = f"{number} does not fit in {bits} bits"
            raise ValueError(message)
        return number

    return convert


def _many_ints(bits: int, one: Convert) -> Callable[[Sequence[bytes]], list[Any]]:
    """Give the check of `one` for a column without signs, at the speed of a few calls a column.

    `int` alone would take `1_000` and ` 7`; the empty value it refuses itself.
    """
    bound = 1 << (bits - 1)

    def convert(column_values: Sequence[bytes]) -> list[Any]:
        if not b"".join(column_values).isdigit():  # a sign, something wrong, or no value at all
            return list(map(one, column_values))
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
        try:
            number = Decimal(value.decode("ascii"))
        except InvalidOperation as exc:
            message = f"{value!r} is no decimal number"
            raise ValueError(message) from exc
        _, digits, exponent = number.as_tuple()
        if not isinstance(exponent, int):
            message = f"{number} is no finite number"
            raise ValueError(message)
        if max(-exponent, 0) > scale or (len(digits) + exponent > precision - scale and any(digits)):
            message = f"{number} does not fit in DECIMAL({precision}, {scale})"
            raise ValueError(message)
        return number

    return convert


def _finite_float(value: bytes) -> float:
    number = values.decode(SqlType.DOUBLE, value)
    if not isinstance(number, float) or not math.isfinite(number):
        message = f"{value!r} is no finite number"
        raise ValueError(message)
    return number


def _date(value: bytes) -> date:
    day = values.decode(SqlType.DATE, value)
    if not isinstance(day, date):
        message = f"{value!r} is no day of the calendar; declare the column as STRING to keep it"
        raise ValueError(message)
    return day


def _time(value: bytes) -> time:
    span = values.decode(SqlType.TIME, value)
    if not isinstance(span, timedelta) or not timedelta(0) <= span < _DAY:
        message = f"{value!r} is no time of day; declare the column as STRING"
        raise ValueError(message)
    if span.microseconds % 1000:
        message = f"{value!r} is finer than the milliseconds of Flink's TIME; declare the column as STRING"
        raise ValueError(message)
    return (_EPOCH + span).time()


def _timestamp(wire: SqlType, flink: FlinkType) -> Convert:
    """Give naive datetimes, in UTC for TIMESTAMP_LTZ; digits beyond the declared precision are refused."""
    precision = 6 if flink.first is None else flink.first
    unit = 10 ** max(6 - precision, 0)

    def convert(value: bytes) -> datetime:
        moment = values.decode(wire, value)
        if not isinstance(moment, datetime):
            message = f"{value!r} is no moment of the calendar; declare the column as STRING to keep it"
            raise ValueError(message)
        if moment.microsecond % unit:
            message = f"{value!r} is finer than {flink.root}({precision})"
            raise ValueError(message)
        return moment.replace(tzinfo=None)

    return convert
