"""SQL types of a sink's columns: how a value is checked, stored as JSON, read back, and made a key.

Stored forms (exact, and plain to read for any program; the stores that hold JSON share them):
    BOOLEAN, integers       JSON true/false and integers
    FLOAT, DOUBLE           JSON numbers in shortest round-trip form; for a FLOAT, that of its binary32 (0.1);
                            "NaN", "Infinity", "-Infinity"
    DECIMAL(p, s)           text with exactly s fraction digits: "12.50"
    CHAR, VARCHAR, STRING   text
    BINARY, VARBINARY       base64 text
    DATE, TIME(p)           "2026-11-23", "07:20:25.123000"
    TIMESTAMP(p)            "2026-11-23T07:20:25.123000", no zone; nine fraction digits if p > 6
    TIMESTAMP_LTZ(p)        the same, in UTC
    NULL                    null
"""

from __future__ import annotations

import base64
import decimal
import math
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timezone
from decimal import Decimal
from enum import Enum
from operator import eq
from typing import Any

from streamjobs.changes.moments import OutOfRange
from streamjobs.changes.wire_values import binary32, shortest_float
from streamjobs.errors import ConfigError

LEGAL = (
    "BOOLEAN, TINYINT, SMALLINT, INT, BIGINT, FLOAT, DOUBLE, DECIMAL(p, s), CHAR(n), VARCHAR(n), STRING, "
    "BINARY(n), VARBINARY(n), BYTES, DATE, TIME(p), TIMESTAMP(p), TIMESTAMP_LTZ(p)"
)
_TYPE = re.compile(r"([A-Z_]+(?: PRECISION)?)(?:\((\d+)(?:,(\d+))?\))?( WITH LOCAL TIME ZONE)?")
_INTEGER_BITS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "INTEGER": 32, "BIGINT": 64}
_UINT64 = struct.Struct(">Q")
_DOUBLE = struct.Struct(">d")
_BETWEEN = "\x01"


class Reason(str, Enum):
    """Why a table cannot accept a row; the words in dead letters and metrics."""

    TYPE = "type"
    RANGE = "range"
    NULL = "null"
    ENCODING = "encoding"
    SIZE = "size"


class UnfitValueError(ValueError):
    """A value that its column's type cannot hold."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason = reason
        super().__init__(detail)


Many = Callable[[Sequence[Any]], Sequence[Any] | None]


@dataclass(frozen=True)
class ColumnType:
    """One SQL type. Its functions are never called with None.

    `store` checks a value and returns a value that JSON can hold; it raises UnfitValueError. `many` does the
    same for many values at once, all of the class `plain`, and returns None if one of them must be checked
    alone: it makes a batch cheap. `load` returns int, float, bool, Decimal, str, bytes, date, time or
    datetime (naive; aware in UTC for TIMESTAMP_LTZ; text if p > 6). `key` turns the result of `store` into
    bytes that sort as the values do and that no other value of this type shares.
    """

    name: str
    plain: type
    store: Callable[[Any], Any]
    many: Many
    load: Callable[[Any], Any] | None
    key: Callable[[Any], bytes]

    def store_column(self, values: Sequence[Any], *, nullable: bool) -> Sequence[Any] | None:
        """Return what `store` returns for a column's values, NULLs as None; None if one of them is unfit."""
        classes = set(map(type, values))
        has_null = type(None) in classes
        if (has_null and not nullable) or not classes <= {self.plain, type(None)}:
            return None
        known = [value for value in values if value is not None] if has_null else values
        stored = self.many(known) if known else known
        if stored is None:
            try:
                stored = list(map(self.store, known))
            except UnfitValueError:
                return None
        return _with_nulls(values, stored) if has_null else stored


def _with_nulls(values: Sequence[Any], known: Sequence[Any]) -> list[Any]:
    others = iter(known)
    return [None if value is None else next(others) for value in values]


def column_type(text: str) -> ColumnType:
    """Read a Flink SQL type. Raises ConfigError, which lists the legal ones."""
    plain = re.sub(r"\s*([(,])\s*|\s+(?=\))", r"\1", " ".join(text.upper().split())).removesuffix(" NOT NULL")
    match = _TYPE.fullmatch(plain.removesuffix(" NULL"))
    if match is None:
        raise _unknown(text)
    name, first, second, zone = match.groups()
    if zone:
        name = "TIMESTAMP_LTZ" if name == "TIMESTAMP" else f"{name}{zone}"
    build = _builders().get(name)
    if build is None:
        raise _unknown(text)
    return build(None if first is None else int(first), int(second or 0))


def _builders() -> dict[str, Callable[[int | None, int], ColumnType]]:
    string = ColumnType("STRING", str, _store_text, _as_they_are, None, _text_key)
    binary = ColumnType("BYTES", bytes, _store_bytes, _all_base64, base64.b64decode, _bytes_key)
    boolean = ColumnType("BOOLEAN", bool, _store_boolean, _as_they_are, None, lambda v: b"\0\1"[v : v + 1])
    day = ColumnType("DATE", date, _store_date, _as_they_are, date.fromisoformat, _date_key)
    double = ColumnType("DOUBLE", float, _store_double, _all_finite, float, _double_key)
    plain = {
        "BOOLEAN": boolean, "DATE": day, "DOUBLE": double, "DOUBLE PRECISION": double,
        "FLOAT": replace(double, name="FLOAT", store=_store_float, many=_all_floats),
        "CHAR": string, "VARCHAR": string, "STRING": string,
        "BINARY": binary, "VARBINARY": binary, "BYTES": binary,
    }  # fmt: skip
    plain |= {name: _integer(name, bits) for name, bits in _INTEGER_BITS.items()}
    builders: dict[str, Callable[[int | None, int], ColumnType]]
    builders = {name: _constant(found) for name, found in plain.items()}
    builders |= dict.fromkeys(("DECIMAL", "DEC", "NUMERIC"), _decimal)
    builders["TIME"] = lambda digits, _: _time(digits or 0)
    builders["TIMESTAMP"] = lambda digits, _: _timestamp(6 if digits is None else digits, zoned=False)
    builders["TIMESTAMP_LTZ"] = lambda digits, _: _timestamp(6 if digits is None else digits, zoned=True)
    return builders


def _constant(found: ColumnType) -> Callable[[int | None, int], ColumnType]:
    return lambda _first, _second: found


def _unknown(text: str) -> ConfigError:
    return ConfigError(f"a sink table cannot have a column of type {text}; legal are {LEGAL}")


def _unfit(value: object, name: str) -> UnfitValueError:
    if isinstance(value, OutOfRange):
        detail = f"{value.text} is out of range for {name} (0001-01-01 to 9999-12-31)"
        return UnfitValueError(Reason.RANGE, detail)
    return UnfitValueError(Reason.TYPE, f"{value!r} ({type(value).__name__}) is not of type {name}")


def _scalar(value: Any) -> Any:
    """Unwrap a numpy scalar; return anything else as it is."""
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value


def _as_they_are(values: Sequence[Any]) -> Sequence[Any]:
    return values


def _integer(name: str, bits: int) -> ColumnType:
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1

    def store(value: Any) -> int:
        value = _scalar(value)
        if type(value) is not int:
            raise _unfit(value, name)
        if not low <= value <= high:
            raise UnfitValueError(Reason.RANGE, f"{value} is out of range for {name} ({low} to {high})")
        return value

    def many(values: Sequence[int]) -> Sequence[int] | None:
        return values if low <= min(values) and max(values) <= high else None

    plain_name = "INT" if name == "INTEGER" else name
    return ColumnType(plain_name, int, store, many, None, lambda v: _UINT64.pack(v + (1 << 63)))


def _decimal(digits: int | None, scale: int) -> ColumnType:
    precision = 10 if digits is None else digits
    if not 1 <= precision <= 38 or not 0 <= scale <= precision:
        message = f"DECIMAL({precision}, {scale}): precision is 1 to 38, scale 0 to precision"
        raise ConfigError(message)
    name = f"DECIMAL({precision}, {scale})"
    quantum = Decimal(1).scaleb(-scale)
    quantize = decimal.Context(prec=precision, traps=[decimal.Inexact, decimal.InvalidOperation]).quantize

    def store(value: Any) -> str:
        if type(value) is int:
            value = Decimal(value)
        if not isinstance(value, Decimal) or not value.is_finite():
            raise _unfit(value, name)
        try:
            return format(quantize(value, quantum), "f")
        except (decimal.Inexact, decimal.InvalidOperation) as exc:
            raise UnfitValueError(Reason.RANGE, f"{value} does not fit {name} exactly") from exc

    def key(value: str) -> bytes:
        return (int(value.replace(".", "")) + (1 << 127)).to_bytes(16, "big")

    return ColumnType(name, Decimal, store, _decimals(precision, scale), Decimal, key)


def _decimals(precision: int, scale: int) -> Many:
    """Return a `many` for values that have all digits of their scale, as most values do."""
    fraction = rf"\.\d{{{scale}}}" if scale else ""
    exact = re.compile(rf"(?:-?\d{{1,{max(1, precision - scale)}}}{fraction}{_BETWEEN})*")

    def many(values: Sequence[Decimal]) -> Sequence[str] | None:
        texts = list(map(str, values))
        return texts if exact.fullmatch(_BETWEEN.join([*texts, ""])) else None

    return many


def _store_text(value: Any) -> str:
    if type(value) is not str:
        raise _unfit(value, "STRING")
    return value


def _store_bytes(value: Any) -> str:
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise _unfit(value, "BYTES")
    return base64.b64encode(value).decode("ascii")


def _all_base64(values: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(value).decode("ascii") for value in values]


def _store_boolean(value: Any) -> bool:
    value = _scalar(value)
    if type(value) is not bool:
        raise _unfit(value, "BOOLEAN")
    return value


def _store_double(value: Any) -> float | str:
    value = _scalar(value)
    if not isinstance(value, float):
        raise _unfit(value, "DOUBLE")
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _store_float(value: Any) -> float | str:
    """Return the double of the shortest text of a binary32; the value is that double or the exact one."""
    stored = _store_double(value)
    if isinstance(stored, str):
        return stored
    try:
        shortest = shortest_float(stored)
    except OverflowError:
        shortest = math.inf
    if stored not in (shortest, binary32(shortest)):
        raise UnfitValueError(Reason.RANGE, f"{stored!r} is not a FLOAT")
    return shortest


def _all_floats(values: Sequence[float]) -> Sequence[float] | None:
    """Return the shortest doubles of binary32s that pandas has widened, as all values from Flink are."""
    if not all(map(math.isfinite, values)):
        return None
    try:
        exact = all(map(eq, values, map(binary32, values)))
    except OverflowError:
        return None
    return list(map(shortest_float, values)) if exact else None


def _all_finite(values: Sequence[float]) -> Sequence[float] | None:
    return values if all(map(math.isfinite, values)) else None


def _store_date(value: Any) -> date:
    if type(value) is not date:
        raise _unfit(value, "DATE")
    return value


def _time(digits: int) -> ColumnType:
    name = f"TIME({digits})"

    def store(value: Any) -> str:
        if type(value) is not time or value.tzinfo is not None:
            raise _unfit(value, name)
        # not left to orjson: 3.13.0 writes 10 ms as "00:00:00.10000"
        return value.isoformat("microseconds")

    def many(values: Sequence[time]) -> Sequence[str] | None:
        zones = {value.tzinfo for value in values}
        return [value.isoformat("microseconds") for value in values] if zones == {None} else None

    return ColumnType(name, time, store, many, time.fromisoformat, str.encode)


def _timestamp(digits: int, *, zoned: bool) -> ColumnType:
    name = f"TIMESTAMP_LTZ({digits})" if zoned else f"TIMESTAMP({digits})"
    if digits > 9:
        message = f"{name}: precision is 0 to 9"
        raise ConfigError(message)

    def store(value: Any) -> datetime | str:
        # NaT is a datetime that differs from itself
        if not isinstance(value, datetime) or value != value:  # noqa: PLR0124
            raise _unfit(value, name)
        nanos = int(getattr(value, "nanosecond", 0))
        if value.tzinfo is not None:
            if not zoned:
                raise _unfit(value, name)
            value = value.astimezone(timezone.utc).replace(tzinfo=None)
        if digits > 6:
            return f"{value.isoformat(timespec='microseconds')[:26]}{nanos:03d}"
        if nanos:
            raise UnfitValueError(Reason.RANGE, f"{value} has more fraction digits than {name}")
        return datetime.combine(value.date(), value.time())

    def key(value: datetime | str) -> bytes:
        text = value if isinstance(value, str) else value.isoformat(timespec="microseconds")
        return text.encode()

    many = _one_by_one if digits > 6 else _all_instants if zoned else _all_naive
    load = None if digits > 6 else _load_instant if zoned else _load_timestamp
    return ColumnType(name, datetime, store, many, load, key)


def _one_by_one(_values: Sequence[Any]) -> None:
    return None


def _all_naive(values: Sequence[datetime]) -> Sequence[datetime] | None:
    return values if {value.tzinfo for value in values} == {None} else None


def _all_instants(values: Sequence[datetime]) -> Sequence[datetime] | None:
    zones = {value.tzinfo for value in values}
    if zones == {timezone.utc}:
        return [value.replace(tzinfo=None) for value in values]
    return values if zones == {None} else None


def _load_timestamp(value: str) -> datetime:
    return datetime.fromisoformat(value)


def _load_instant(value: str) -> datetime:
    return datetime.fromisoformat(value).replace(tzinfo=timezone.utc)


def _date_key(value: date) -> bytes:
    return value.isoformat().encode()


def _escaped(value: bytes) -> bytes:
    """Write each 00 as 00 FF and end with 00 01: no key is a prefix of another, and the order is kept."""
    return value.replace(b"\x00", b"\x00\xff") + b"\x00\x01"


def _bytes_key(value: str) -> bytes:
    return _escaped(base64.b64decode(value))


def _text_key(value: str) -> bytes:
    try:
        return _escaped(value.encode())
    except UnicodeEncodeError as exc:
        raise UnfitValueError(Reason.ENCODING, f"{value!r} is not valid Unicode text: {exc}") from exc


def _double_key(value: float | str) -> bytes:
    number = float(value)
    if math.isnan(number):
        raise UnfitValueError(Reason.RANGE, "NaN cannot be a key")
    (bits,) = _UINT64.unpack(_DOUBLE.pack(number + 0.0))
    return _UINT64.pack(bits ^ ((1 << 64) - 1 if bits >> 63 else 1 << 63))
