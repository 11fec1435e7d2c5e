"""Which wire types meet which declared types, exactly or by a declared cast, value by value."""

# ruff: noqa: DTZ001, DTZ901 - Flink's TIMESTAMP has no zone either

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjobs.changes.row_change import Column, SqlType
from udfs.columns import Converter, FlinkType, Moment, converter

INTS = {SqlType.TINYINT, SqlType.SMALLINT, SqlType.INT, SqlType.BIGINT, SqlType.YEAR}
TEXTS = {SqlType.TEXT, SqlType.ENUM, SqlType.SET, SqlType.JSON, SqlType.DATE, SqlType.TIME, SqlType.DATETIME,
         SqlType.TIMESTAMP, SqlType.YEAR}  # fmt: skip
MEET: dict[str, set[SqlType]] = {
    "TINYINT": {SqlType.TINYINT},
    "SMALLINT": {SqlType.TINYINT, SqlType.SMALLINT, SqlType.YEAR},
    "INT": INTS - {SqlType.BIGINT},
    "BIGINT": INTS,
    "DECIMAL(38, 10)": {*INTS, SqlType.DECIMAL, SqlType.UNSIGNED_BIGINT},
    "FLOAT": {SqlType.FLOAT},
    "DOUBLE": {SqlType.FLOAT, SqlType.DOUBLE},
    "BOOLEAN": {SqlType.BOOLEAN},
    "STRING": TEXTS,
    "VARCHAR(40)": TEXTS,
    "CHAR(40)": TEXTS,
    "BYTES": {SqlType.BYTES, SqlType.GEOMETRY},
    "VARBINARY(40)": {SqlType.BYTES, SqlType.GEOMETRY},
    "BINARY(40)": {SqlType.BYTES, SqlType.GEOMETRY},
    "DATE": {SqlType.DATE},
    "TIME(3)": {SqlType.TIME},
    "TIMESTAMP(6)": {SqlType.DATETIME},
    "TIMESTAMP_LTZ(6)": {SqlType.TIMESTAMP},
}
EXAMPLES: dict[SqlType, tuple[bytes, Any]] = {
    SqlType.BOOLEAN: (b"1", True),
    SqlType.TINYINT: (b"-128", -128),
    SqlType.SMALLINT: (b"32767", 32767),
    SqlType.INT: (b"-2147483648", -(2**31)),
    SqlType.BIGINT: (b"9223372036854775807", 2**63 - 1),
    SqlType.UNSIGNED_BIGINT: (b"18446744073709551615", 2**64 - 1),
    SqlType.DECIMAL: (b"-12.50", Decimal("-12.50")),
    SqlType.FLOAT: (b"0.5", 0.5),
    SqlType.DOUBLE: (b"0.1", 0.1),
    SqlType.TEXT: ("naïve 🦊".encode(), "naïve 🦊"),
    SqlType.BYTES: (b"\xff\x00", b"\xff\x00"),
    SqlType.DATE: (b"2024-02-29", date(2024, 2, 29)),
    SqlType.TIME: (b"23:59:59.123000", time(23, 59, 59, 123000)),
    SqlType.DATETIME: (b"9999-12-31 23:59:59.999999", datetime(9999, 12, 31, 23, 59, 59, 999999)),
    SqlType.TIMESTAMP: (b"1969-12-31 23:59:59.500000", datetime(1969, 12, 31, 23, 59, 59, 500000)),
    SqlType.YEAR: (b"2024", 2024),
    SqlType.BIT: (b"5", 5),
    SqlType.ENUM: (b"small", "small"),
    SqlType.SET: (b"a,b", "a,b"),
    SqlType.JSON: (b'{"a":1}', '{"a":1}'),
    SqlType.GEOMETRY: (b"\0\0\0\0\1\1\0\0\0", b"\0\0\0\0\1\1\0\0\0"),
}


def column(sql_type: SqlType, native: str = "native") -> Column:
    return Column("c", sql_type, native)


def of(declared: str, sql_type: SqlType, *, cast: bool = False, epoch_ms: bool = False) -> Converter:
    found = converter(declared, column(sql_type), cast=cast, epoch_ms=epoch_ms)
    assert found is not None
    return found


@pytest.mark.parametrize("declared", MEET)
@pytest.mark.parametrize("sql_type", SqlType)
def test_types_meet_exactly_or_not_at_all(declared: str, sql_type: SqlType) -> None:
    found = converter(declared, column(sql_type), cast=False)
    if sql_type not in MEET[declared]:
        assert found is None
        return
    assert found is not None
    wire, value = EXAMPLES[sql_type]
    expected = wire.decode() if declared in ("STRING", "VARCHAR(40)", "CHAR(40)") else value
    assert found.one(wire) == expected
    assert found.many([wire, wire]) == [expected, expected]


@pytest.mark.parametrize("declared", MEET)
@pytest.mark.parametrize("sql_type", SqlType)
def test_a_cast_lets_every_pair_meet(declared: str, sql_type: SqlType) -> None:
    assert converter(declared, column(sql_type), cast=True) is not None


@pytest.mark.parametrize(
    ("declared", "text", "value"),
    [
        ("BIGINT", b"42", 42),
        ("STRING", b"42", "42"),
        ("DECIMAL(10, 2)", b"42.5", Decimal("42.5")),
        ("DOUBLE", b"42.5", 42.5),
        ("FLOAT", b"42.5", 42.5),
        ("BOOLEAN", b"true", True),
        ("BOOLEAN", b"0", False),
        ("BYTES", b"42", b"42"),
        ("DATE", b"2024-02-29", date(2024, 2, 29)),
        ("TIME(0)", b"10:00:00", time(10)),
        ("TIMESTAMP(3)", b"2024-02-29 10:00:00", datetime(2024, 2, 29, 10)),
        ("TIMESTAMP_LTZ(3)", b"2024-02-29 10:00:00", datetime(2024, 2, 29, 10)),
    ],
)
def test_a_cast_reads_the_text(declared: str, text: bytes, value: object) -> None:
    assert of(declared, SqlType.TEXT, cast=True).one(text) == value


@pytest.mark.parametrize(
    ("declared", "sql_type", "wire"),
    [
        ("INT", SqlType.INT, b"2147483648"),
        ("INT", SqlType.INT, b""),
        ("INT", SqlType.INT, b" 7"),
        ("INT", SqlType.INT, b"1_000"),
        ("INT", SqlType.INT, b"+7"),
        ("INT", SqlType.INT, "٧".encode()),
        ("BIGINT", SqlType.BIGINT, b"9" * 5000),
        ("BIGINT", SqlType.BIGINT, b"-9223372036854775809"),
        ("DECIMAL(4, 2)", SqlType.DECIMAL, b"100.00"),
        ("DECIMAL(4, 2)", SqlType.DECIMAL, b"1.001"),
        ("DECIMAL(4, 2)", SqlType.DECIMAL, b"0.001"),
        ("DECIMAL(4, 2)", SqlType.DECIMAL, b"NaN"),
        ("DECIMAL(4, 2)", SqlType.DECIMAL, b"1E+3"),
        ("DECIMAL(4, 2)", SqlType.DECIMAL, b"0E+999999999"),
        ("DECIMAL(4, 2)", SqlType.DECIMAL, b"1_0"),
        ("DECIMAL(4, 2)", SqlType.DECIMAL, b" 1"),
        ("DECIMAL(4, 2)", SqlType.DECIMAL, b"9" * 100_000),
        ("FLOAT", SqlType.FLOAT, b"1e+300"),
        ("DOUBLE", SqlType.DOUBLE, b"NaN"),
        ("DOUBLE", SqlType.DOUBLE, b"1e+999"),
        ("DOUBLE", SqlType.DOUBLE, b"0x10"),
        ("BOOLEAN", SqlType.BOOLEAN, b"2"),
        ("STRING", SqlType.TEXT, b"\xff"),
        ("STRING", SqlType.TEXT, b"\xed\xa0\x80"),
        ("VARCHAR(2)", SqlType.TEXT, "äöü".encode()),
        ("VARBINARY(2)", SqlType.BYTES, b"abc"),
        ("DATE", SqlType.DATE, b"0000-00-00"),
        ("DATE", SqlType.DATE, b"2023-02-29"),
        ("DATE", SqlType.DATE, b"2015-05-00"),
        ("TIME(3)", SqlType.TIME, b"24:00:00"),
        ("TIME(3)", SqlType.TIME, b"-01:00:00"),
        ("TIME(3)", SqlType.TIME, b"10:00:00.000001"),
        ("TIME(0)", SqlType.TIME, b"10:00:00.500000"),
        ("TIMESTAMP(6)", SqlType.DATETIME, b"0000-00-00 00:00:00"),
        ("TIMESTAMP(3)", SqlType.DATETIME, b"2024-01-01 00:00:00.000001"),
        ("TIMESTAMP_LTZ(0)", SqlType.TIMESTAMP, b"2024-01-01 00:00:00.500000"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(declared: str, sql_type: SqlType, wire: bytes) -> None:
    found = of(declared, sql_type)
    with pytest.raises(ValueError, match=r"."):
        found.one(wire)
    with pytest.raises(ValueError, match=r"."):
        found.many([wire])


@pytest.mark.parametrize(
    ("declared", "sql_type", "wire", "value"),
    [
        ("DECIMAL(4, 2)", SqlType.DECIMAL, b"12.500", Decimal("12.5")),
        ("DECIMAL(4, 2)", SqlType.DECIMAL, b"0.000", Decimal(0)),
        ("DECIMAL(2, 2)", SqlType.DECIMAL, b"0.99", Decimal("0.99")),
        ("DECIMAL(4, 2)", SqlType.INT, b"-99", Decimal(-99)),
        ("VARCHAR(3)", SqlType.TEXT, "äöü".encode(), "äöü"),
        ("STRING", SqlType.DATE, b"0000-00-00", "0000-00-00"),
        ("STRING", SqlType.TIME, b"-838:59:59", "-838:59:59"),
        ("STRING", SqlType.TEXT, b"", ""),
        ("BYTES", SqlType.BYTES, b"", b""),
        ("TIMESTAMP(3)", SqlType.DATETIME, b"2024-01-01 00:00:00.120000",
         datetime(2024, 1, 1, 0, 0, 0, 120000)),
        ("TIME(3)", SqlType.TIME, b"00:00:00.001000", time(0, 0, 0, 1000)),
    ],
)  # fmt: skip
def test_a_value_at_the_edge_is_kept(declared: str, sql_type: SqlType, wire: bytes, value: object) -> None:
    assert of(declared, sql_type).one(wire) == value


def test_a_tinyint_of_one_digit_is_a_boolean() -> None:
    found = converter("BOOLEAN", column(SqlType.TINYINT, "tinyint(1)"), cast=False)
    assert found is not None
    assert found.many([b"0", b"1"]) == [False, True]
    with pytest.raises(ValueError, match="neither 0 nor 1"):
        found.one(b"2")


@pytest.mark.parametrize("declared", ["ROW<a INT>", "ARRAY<INT>", "INT ARRAY"])
def test_a_type_without_values_is_refused(declared: str) -> None:
    with pytest.raises(ValueError, match="no values of type"):
        FlinkType.parse(declared)


def test_epoch_milliseconds_follow_type_cast_and_precision() -> None:
    ltz = of("TIMESTAMP_LTZ(3)", SqlType.TIMESTAMP, epoch_ms=True)
    assert ltz.many([b"1970-01-01 00:00:00.001000", b"1969-12-31 23:59:59.999000"]) == [1, -1]
    with pytest.raises(ValueError, match="finer"):
        ltz.one(b"1970-01-01 00:00:00.000001")
    with pytest.raises(ValueError, match="finer"):
        of("TIMESTAMP_LTZ(1)", SqlType.TIMESTAMP, epoch_ms=True).one(b"1970-01-01 00:00:00.010000")
    assert converter("TIMESTAMP_LTZ(3)", column(SqlType.DATETIME), cast=False, epoch_ms=True) is None
    assert (
        of("TIMESTAMP_LTZ(3)", SqlType.DATETIME, cast=True, epoch_ms=True).one(b"1970-01-01 00:00:01") == 1000
    )


@given(st.datetimes(datetime(1, 1, 1), datetime.max))
def test_moments_cross_pyflinks_coder_exactly(at: datetime) -> None:
    moment = Moment(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond)
    # what TimestampCoderImpl writes
    seconds = int(moment.replace(tzinfo=timezone.utc).timestamp())
    millis = seconds * 1000 + moment.microsecond // 1000
    nanos = moment.microsecond % 1000 * 1000
    assert datetime(1970, 1, 1) + timedelta(milliseconds=millis, microseconds=nanos // 1000) == at


@given(st.lists(st.integers(-(2**66), 2**66).map(lambda n: b"%d" % n) | st.binary(max_size=3), max_size=8))
def test_many_integers_are_the_same_as_one_by_one(wires: list[bytes]) -> None:
    found = of("BIGINT", SqlType.BIGINT)
    try:
        expected = [found.one(wire) for wire in wires]
    except ValueError:
        with pytest.raises(ValueError, match=r"."):
            found.many(wires)
    else:
        assert found.many(wires) == expected
        assert all(-(2**63) <= n < 2**63 for n in expected)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_doubles_are_exact(number: float) -> None:
    back = of("DOUBLE", SqlType.DOUBLE).one(repr(number).encode())
    assert math.copysign(1, back) == math.copysign(1, number)
    assert back == number
