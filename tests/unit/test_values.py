"""Canonical forms: exact both ways, strict on everything else."""

from __future__ import annotations

import math
import re
import struct
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjobs.changes import wire_values
from streamjobs.changes.row_change import SqlType

UTC = timezone.utc
IDL = Path(__file__).parents[2] / "thrift_idl" / "dbms_row_change.thrift"

GOOD: list[tuple[SqlType, Any, bytes]] = [
    (SqlType.BOOLEAN, True, b"1"),
    (SqlType.BOOLEAN, False, b"0"),
    (SqlType.TINYINT, -128, b"-128"),
    (SqlType.SMALLINT, 32767, b"32767"),
    (SqlType.INT, -12, b"-12"),
    (SqlType.INT, 0, b"0"),
    (SqlType.BIGINT, -(2**63), b"-9223372036854775808"),
    (SqlType.UNSIGNED_BIGINT, 2**64 - 1, b"18446744073709551615"),
    (SqlType.DECIMAL, Decimal("-12.50"), b"-12.50"),
    (SqlType.DECIMAL, Decimal("0.00"), b"0.00"),
    (SqlType.DECIMAL, Decimal("9" * 65), b"9" * 65),
    (SqlType.DECIMAL, Decimal("0." + "1" * 65), b"0." + b"1" * 65),
    (SqlType.FLOAT, struct.unpack("f", struct.pack("f", 0.1))[0], b"0.1"),
    (SqlType.FLOAT, 16777216.0, b"16777216.0"),
    (SqlType.FLOAT, struct.unpack("f", b"\xff\xff\x7f\x7f")[0], b"3.4028235e+38"),
    (SqlType.FLOAT, struct.unpack("f", b"\x01\x00\x00\x00")[0], b"1e-45"),
    (SqlType.DOUBLE, 0.1, b"0.1"),
    (SqlType.DOUBLE, 1e16, b"1e+16"),
    (SqlType.DOUBLE, 5e-324, b"5e-324"),
    (SqlType.DOUBLE, math.inf, b"Infinity"),
    (SqlType.DOUBLE, -math.inf, b"-Infinity"),
    (SqlType.TEXT, "é💡\0", b"\xc3\xa9\xf0\x9f\x92\xa1\0"),
    (SqlType.TEXT, "", b""),
    (SqlType.BYTES, b"\xff\0", b"\xff\0"),
    (SqlType.DATE, date(2024, 2, 29), b"2024-02-29"),
    (SqlType.DATE, "0000-00-00", b"0000-00-00"),
    (SqlType.DATE, "2015-05-00", b"2015-05-00"),
    (SqlType.DATE, "2015-02-31", b"2015-02-31"),
    (SqlType.TIME, timedelta(0), b"00:00:00"),
    (SqlType.TIME, timedelta(hours=838, minutes=59, seconds=59), b"838:59:59"),
    (SqlType.TIME, -timedelta(hours=838, minutes=59, seconds=58, microseconds=999999), b"-838:59:58.999999"),
    (SqlType.TIME, -timedelta(microseconds=1), b"-00:00:00.000001"),
    (SqlType.DATETIME, datetime(1, 1, 1, tzinfo=UTC), b"0001-01-01 00:00:00"),
    (SqlType.DATETIME, datetime(2024, 2, 29, 23, 59, 59, 120000, UTC), b"2024-02-29 23:59:59.120000"),
    (SqlType.DATETIME, "2013-00-00 00:00:00", b"2013-00-00 00:00:00"),
    (SqlType.TIMESTAMP, datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), b"1970-01-01 00:00:01"),
    (SqlType.TIMESTAMP, "0000-00-00 00:00:00", b"0000-00-00 00:00:00"),
    (SqlType.YEAR, 0, b"0000"),
    (SqlType.YEAR, 1901, b"1901"),
    (SqlType.YEAR, 2155, b"2155"),
    (SqlType.BIT, 2**64 - 1, b"18446744073709551615"),
    (SqlType.ENUM, "c,'d", b"c,'d"),
    (SqlType.SET, ("a", "b"), b"a,b"),
    (SqlType.SET, (), b""),
    (SqlType.SET, ("", "a"), b",a"),
    (SqlType.JSON, '{"k": [1, null]}', b'{"k": [1, null]}'),
    (SqlType.JSON, "null", b"null"),
    (SqlType.JSON, "1" * 5000, b"1" * 5000),
    (SqlType.GEOMETRY, bytes(4) + b"\1\1\0\0\0" + bytes(16), bytes(4) + b"\1\1\0\0\0" + bytes(16)),
]

BAD_DATA: list[tuple[SqlType, bytes]] = [
    (SqlType.BOOLEAN, b"true"),
    (SqlType.BOOLEAN, b"2"),
    *[
        (SqlType.INT, data)
        for data in [b"", b"+1", b"01", b"-0", b" 1", b"1\n", b"1_0", b"1.0", b"2147483648"]
    ],
    (SqlType.INT, "٣".encode()),
    (SqlType.BIGINT, b"9" * 5000),
    (SqlType.UNSIGNED_BIGINT, b"-1"),
    *[
        (SqlType.DECIMAL, data)
        for data in [b"", b"1.", b".5", b"1e3", b"-0.00", b"+1", b"00.1", b"NaN", b"9" * 66]
    ],
    *[(SqlType.DOUBLE, data) for data in [b"", b"inf", b"nan", b"1.", b"0x1p3", b"1e999", b"-NaN", b"1_0"]],
    (SqlType.FLOAT, b"1e39"),
    (SqlType.TEXT, b"\xff"),
    (SqlType.TEXT, b"\xed\xa0\x80"),
    (SqlType.ENUM, b"\xff"),
    (SqlType.SET, b"\xff"),
    *[(SqlType.DATE, data) for data in [b"", b"2024-13-01", b"2024-01-32", b"2024-1-1", b"20240101"]],
    *[(SqlType.TIME, data) for data in [b"1:00:00", b"839:00:00", b"012:00:00", b"00:60:00", b"-00:00:00"]],
    *[(SqlType.TIME, data) for data in [b"00:00:00.000000", b"00:00:00.5", b"00:00"]],
    *[(SqlType.DATETIME, b"2024-01-01" + data) for data in [b"", b"T00:00:00", b" 24:00:00", b" 00:00:00Z"]],
    *[(SqlType.TIMESTAMP, b"2024-01-01 00:00:00" + data) for data in [b".5", b".000000", b"+00:00"]],
    *[(SqlType.YEAR, data) for data in [b"0", b"1900", b"2156", b"24"]],
    (SqlType.BIT, b"-1"),
    *[(SqlType.JSON, data) for data in [b"", b"{", b"NaN", b"{'a': 1}", b"\xff", b"[" * 100_000]],
    *[(SqlType.GEOMETRY, data) for data in [b"", bytes(8), bytes(4) + b"\2" + bytes(8)]],
]

BAD_VALUES: list[tuple[SqlType, object]] = [
    (SqlType.BOOLEAN, 1),
    (SqlType.INT, True),
    (SqlType.INT, "1"),
    (SqlType.INT, 2**31),
    (SqlType.DECIMAL, 1.5),
    (SqlType.DECIMAL, Decimal("NaN")),
    (SqlType.DECIMAL, Decimal(10) ** 70),
    (SqlType.FLOAT, 1e39),
    (SqlType.DOUBLE, 1),
    (SqlType.TEXT, b"x"),
    (SqlType.TEXT, "\ud800"),
    (SqlType.BYTES, "x"),
    (SqlType.DATE, datetime(2024, 1, 1, tzinfo=UTC)),
    (SqlType.DATE, "2024-01-01"),
    (SqlType.DATE, "yesterday"),
    (SqlType.TIME, timedelta(hours=839)),
    (SqlType.DATETIME, datetime(2024, 1, 1)),  # noqa: DTZ001 - naive on purpose
    (SqlType.DATETIME, "2024-01-01 00:00:00"),
    (SqlType.YEAR, 1900),
    (SqlType.SET, "a,b"),
    (SqlType.SET, ("a,b",)),
    (SqlType.SET, ("",)),
    (SqlType.JSON, "{"),
    (SqlType.JSON, {}),
    (SqlType.GEOMETRY, b"short"),
    (SqlType.TEXT, None),
]


@pytest.mark.parametrize(("sql_type", "value", "data"), GOOD)
def test_a_value_has_one_form(sql_type: SqlType, value: Any, data: bytes) -> None:
    assert wire_values.encode(sql_type, value) == data
    decoded = wire_values.decode(sql_type, data)
    assert (type(decoded), decoded) == (type(value), value)


@pytest.mark.parametrize(("sql_type", "data"), BAD_DATA)
def test_what_is_not_the_form_is_refused_with_type_and_value(sql_type: SqlType, data: bytes) -> None:
    with pytest.raises(ValueError, match=f"^{sql_type.name} cannot be {re.escape(repr(data)[:50])}"):
        wire_values.decode(sql_type, data)


@pytest.mark.parametrize(("sql_type", "value"), BAD_VALUES)
def test_what_is_not_a_value_is_refused_with_type_and_value(sql_type: SqlType, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{sql_type.name} cannot be {re.escape(repr(value)[:50])}"):
        wire_values.encode(sql_type, value)


def test_there_is_a_form_for_every_type_and_the_idl_names_each() -> None:
    assert set(wire_values.FORMS) == set(SqlType)
    published = dict(re.findall(r"^  (\w+) = (\d+) +/\*", IDL.read_text(), re.MULTILINE))
    assert {name: int(number) for name, number in published.items()} == {t.name: t.value for t in SqlType}


TIMES = st.datetimes(timezones=st.just(UTC))
ANY: dict[SqlType, st.SearchStrategy[Any]] = {
    SqlType.BOOLEAN: st.booleans(),
    SqlType.TINYINT: st.integers(-(2**7), 2**7 - 1),
    SqlType.SMALLINT: st.integers(-(2**15), 2**15 - 1),
    SqlType.INT: st.integers(-(2**31), 2**31 - 1),
    SqlType.BIGINT: st.integers(-(2**63), 2**63 - 1),
    SqlType.UNSIGNED_BIGINT: st.integers(0, 2**64 - 1),
    SqlType.DECIMAL: st.decimals(-(10**20), 10**20, places=4).filter(lambda d: bool(d) or not d.is_signed()),
    SqlType.FLOAT: st.floats(width=32, allow_nan=False),
    SqlType.DOUBLE: st.floats(allow_nan=False),
    SqlType.TEXT: st.text(st.characters(codec="utf-8")),
    SqlType.BYTES: st.binary(),
    SqlType.DATE: st.dates(),
    SqlType.TIME: st.timedeltas(timedelta(hours=-838), timedelta(hours=838)),
    SqlType.DATETIME: TIMES,
    SqlType.TIMESTAMP: TIMES,
    SqlType.YEAR: st.just(0) | st.integers(1901, 2155),
    SqlType.BIT: st.integers(0, 2**64 - 1),
    SqlType.ENUM: st.text(st.characters(codec="utf-8")),
    SqlType.SET: st.lists(st.text("abé", min_size=1), unique=True).map(tuple),
    SqlType.JSON: st.text(st.characters(codec="ascii", exclude_characters='"\\', min_codepoint=32)).map(
        '"{}"'.format
    ),
    SqlType.GEOMETRY: st.binary(min_size=4, max_size=9).map(lambda b: bytes(4) + b"\1" + b),
}
TYPED = st.sampled_from(SqlType).flatmap(lambda t: st.tuples(st.just(t), ANY[t]))


@given(TYPED)
def test_every_value_survives_the_round_trip(typed: tuple[SqlType, Any]) -> None:
    sql_type, value = typed
    data = wire_values.encode(sql_type, value)
    back = wire_values.decode(sql_type, data)
    assert (type(back), back) == (type(value), value)
    assert str(back) == str(value)
    assert wire_values.encode(sql_type, back) == data


@given(st.sampled_from(sorted(set(SqlType) - {SqlType.FLOAT, SqlType.DOUBLE})), st.text("-0123456789.:e aN,"))
def test_whatever_is_read_is_canonical(sql_type: SqlType, text: str) -> None:
    try:
        value = wire_values.decode(sql_type, text.encode())
    except ValueError:
        return
    assert wire_values.encode(sql_type, value) == text.encode()


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float_is_spelled_as_short_as_possible(value: float) -> None:
    data = wire_values.encode(SqlType.FLOAT, value)
    digits = len(data.split(b"e")[0].strip(b"-").replace(b".", b"").strip(b"0"))
    for fewer in range(1, digits):
        shorter = float(f"{value:.{fewer}g}")
        try:
            assert struct.pack("f", shorter) != struct.pack("f", value)
        except OverflowError:
            continue


def test_not_a_number_is_spelled_out() -> None:
    for sql_type in (SqlType.FLOAT, SqlType.DOUBLE):
        assert wire_values.encode(sql_type, math.nan) == b"NaN"
        assert math.isnan(wire_values.decode(sql_type, b"NaN"))


def test_negative_zero_is_a_float_but_not_a_decimal() -> None:
    assert wire_values.encode(SqlType.DOUBLE, -0.0) == b"-0.0"
    assert wire_values.encode(SqlType.DECIMAL, Decimal("-0.00")) == b"0.00"


def test_a_time_of_another_zone_is_written_in_utc() -> None:
    zone = timezone(timedelta(hours=8))
    value = datetime(2024, 1, 1, 8, 0, tzinfo=zone)
    assert wire_values.encode(SqlType.TIMESTAMP, value) == b"2024-01-01 00:00:00"


@given(st.sampled_from(SqlType).flatmap(lambda t: st.tuples(st.just(t), st.lists(ANY[t]))))
def test_a_column_reads_as_its_values_do(typed: tuple[SqlType, list[Any]]) -> None:
    sql_type, column = typed
    data = [wire_values.encode(sql_type, value) for value in column]
    assert wire_values.decode_column(sql_type, data) == [wire_values.decode(sql_type, item) for item in data]


@pytest.mark.parametrize(("sql_type", "data"), BAD_DATA)
def test_a_bad_value_in_a_column_is_named(sql_type: SqlType, data: bytes) -> None:
    good = next(item for t, _, item in GOOD if t is sql_type)
    for column in ([data], [good, data], [data, good], [good, data, good]):
        with pytest.raises(ValueError, match=f"^{sql_type.name} cannot be {re.escape(repr(data)[:50])}"):
            wire_values.decode_column(sql_type, column)


@pytest.mark.parametrize(
    ("sql_type", "data", "expected"),
    [
        (SqlType.BIGINT, b"1700000000123", 1_700_000_000_123),
        (SqlType.BIGINT, b"-1", -1),
        (SqlType.TIMESTAMP, b"1970-01-01 00:00:01.234999", 1234),
        (SqlType.DATETIME, b"1969-12-31 23:59:59.999999", -1),
        (SqlType.DATETIME, b"0001-01-01 00:00:00", wire_values.MIN_EVENT_TIME_MS),
        (SqlType.DATETIME, b"9999-12-31 23:59:59.999999", wire_values.MAX_EVENT_TIME_MS),
    ],
)
def test_event_time_is_epoch_milliseconds(sql_type: SqlType, data: bytes, expected: int) -> None:
    assert wire_values.event_time_ms(sql_type, data) == expected


@pytest.mark.parametrize(
    ("sql_type", "data"),
    [
        (SqlType.BIGINT, b"x"),
        (SqlType.BIGINT, b"253402300800000"),
        (SqlType.BIGINT, b"-62135596800001"),
        (SqlType.DATETIME, b"0000-00-00 00:00:00"),
        (SqlType.DATETIME, b"yesterday"),
        (SqlType.INT, b"5"),
        (SqlType.TEXT, b"2024-01-01 00:00:00"),
    ],
)
def test_what_is_not_an_event_time_is_refused(sql_type: SqlType, data: bytes) -> None:
    with pytest.raises(ValueError, match=rf"{sql_type.name} .*{re.escape(repr(data))}"):
        wire_values.event_time_ms(sql_type, data)
