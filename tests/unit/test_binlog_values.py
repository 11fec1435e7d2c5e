"""MySQL's stored values against an independent encoder, over all of their range."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mysql.codec import binary_json, charsets, values
from connectors.mysql.codec.packet import PackedReader
from connectors.mysql.rows.column_codecs import Meaning, codec_of
from connectors.mysql.rows.row_decoder import FAILURES, _converter
from connectors.mysql.rows.table_map import Stored
from streamjobs.changes.row_change import SqlType
from streamjobs.changes.wire_values import decode, encode
from tests.unit.binlog_writer import stored_datetime, stored_decimal, stored_time

MEANING = Meaning(labels=("a", "b,c", "ü"), charset=charsets.charset("utf8mb4"))


def convert(
    kind: Stored, size: int = 0, scale: int = 0, meaning: Meaning = MEANING
) -> Callable[[bytes], object]:
    return _converter(codec_of(kind, size, scale, meaning), 0)


@st.composite
def decimals(draw: st.DrawFn) -> tuple[int, int, int]:
    precision = draw(st.integers(1, 65))
    scale = draw(st.integers(0, min(30, precision)))
    number = draw(st.integers(-(10**precision) + 1, 10**precision - 1))
    return precision, scale, number


@given(decimals())
def test_decimals_of_every_size_come_back(case: tuple[int, int, int]) -> None:
    precision, scale, value = case
    stored = stored_decimal(value, precision, scale)
    assert len(stored) == values.decimal_bytes(precision, scale)
    text = values.decimal_decoder(precision, scale)(stored)
    assert int(text.replace(b".", b"")) == value
    assert len(text.partition(b".")[2]) == scale
    assert encode(SqlType.DECIMAL, decode(SqlType.DECIMAL, text)) == text


@given(st.integers(-3_020_399_999_999, 3_020_399_999_999), st.integers(0, 6))
def test_times_of_both_signs_come_back(micros: int, digits: int) -> None:
    unit = 10 ** (6 - digits)
    micros = abs(micros) // unit * unit * (1 if micros >= 0 else -1)
    text = convert(Stored.TIME2, digits)(stored_time(micros, digits))
    assert isinstance(text, bytes)
    found = decode(SqlType.TIME, text)
    assert found.days * 86_400_000_000 + found.seconds * 1_000_000 + found.microseconds == micros


@given(
    st.tuples(
        st.integers(0, 9999), st.integers(0, 12), st.integers(0, 31), st.integers(0, 23), st.integers(0, 59),
        st.integers(0, 59),
    ),
    st.integers(0, 999_999),
    st.integers(0, 6),
)  # fmt: skip
def test_datetimes_also_impossible_ones_come_back(parts: tuple[int, ...], micros: int, digits: int) -> None:
    unit = 10 ** (6 - digits)
    micros = micros // unit * unit
    day = "{:04}-{:02}-{:02} {:02}:{:02}:{:02}".format(*parts)
    expected = f"{day}.{micros:06}" if micros else day
    assert convert(Stored.DATETIME2, digits)(stored_datetime(parts, micros, digits)) == expected.encode()


@given(st.integers(-3_020_399_999_999, 3_020_399_999_999), st.integers(1, 6))
def test_old_times_with_fractions_come_back(micros: int, digits: int) -> None:
    """MariaDB 5.3: units of the last digit, biased, so that none is negative."""
    unit = 10 ** (6 - digits)
    micros = abs(micros) // unit * unit * (1 if micros >= 0 else -1)
    width = (3, 4, 4, 5, 5, 5, 6)[digits]
    text = convert(Stored.TIME, digits)(((micros + 3_020_400_000_000) // unit).to_bytes(width, "big"))
    assert isinstance(text, bytes)
    assert text == convert(Stored.TIME2, digits)(stored_time(micros, digits))


@given(
    st.tuples(
        st.integers(0, 9999), st.integers(0, 12), st.integers(0, 31), st.integers(0, 23), st.integers(0, 59),
        st.integers(0, 59),
    ),
    st.integers(0, 999_999),
    st.integers(1, 6),
)  # fmt: skip
def test_old_datetimes_with_fractions_come_back(parts: tuple[int, ...], micros: int, digits: int) -> None:
    unit = 10 ** (6 - digits)
    micros = micros // unit * unit
    year, month, day, hour, minute, second = parts
    seconds = (((year * 13 + month) * 32 + day) * 24 + hour) * 3600 + minute * 60 + second
    stored = ((seconds * 1_000_000 + micros) // unit).to_bytes((5, 6, 6, 7, 7, 7, 8)[digits], "big")
    expected = convert(Stored.DATETIME2, digits)(stored_datetime(parts, micros, digits))
    assert convert(Stored.DATETIME, digits)(stored) == expected


@given(st.integers(0, 2**32 - 1), st.integers(0, 999_999), st.integers(1, 6))
def test_old_timestamps_with_fractions_come_back(seconds: int, micros: int, digits: int) -> None:
    unit = 10 ** (6 - digits)
    stored = seconds.to_bytes(4, "big") + (micros // unit).to_bytes((digits + 1) // 2, "big")
    assert convert(Stored.TIMESTAMP, digits)(stored) == values.timestamp(seconds, micros // unit * unit)


@given(st.integers(1, 2**32 - 1), st.integers(0, 999_999))
def test_timestamps_are_utc(seconds: int, micros: int) -> None:
    stored = seconds.to_bytes(4, "big") + micros.to_bytes(3, "big")
    text = convert(Stored.TIMESTAMP2, 6)(stored)
    assert isinstance(text, bytes)
    value = decode(SqlType.TIMESTAMP, text)
    assert value.timestamp() == pytest.approx(seconds + micros / 1e6, abs=1e-6)
    assert int(value.timestamp()) == seconds
    assert value.microsecond == micros


def test_the_zero_timestamp_is_no_time_in_1970() -> None:
    assert convert(Stored.TIMESTAMP2, 0)(bytes(4)) == b"0000-00-00 00:00:00"
    assert convert(Stored.TIMESTAMP)(bytes(4)) == b"0000-00-00 00:00:00"


@given(st.sampled_from((1, 2, 3, 4, 8)), st.booleans(), st.data())
def test_integers_of_every_width_come_back(width: int, unsigned: bool, data: st.DataObject) -> None:
    kind = {1: Stored.TINY, 2: Stored.SHORT, 3: Stored.INT24, 4: Stored.LONG, 8: Stored.LONGLONG}[width]
    low, high = (0, 1 << 8 * width) if unsigned else (-(1 << 8 * width - 1), 1 << 8 * width - 1)
    value = data.draw(st.integers(low, high - 1))
    stored = value.to_bytes(width, "little", signed=not unsigned)
    assert convert(kind, meaning=Meaning(unsigned))(stored) == str(value).encode()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_doubles_have_the_canonical_spelling(value: float) -> None:
    assert convert(Stored.DOUBLE, 8)(struct.pack("<d", value)) == encode(SqlType.DOUBLE, value)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_floats_have_the_canonical_spelling(value: float) -> None:
    assert convert(Stored.FLOAT, 4)(struct.pack("<f", value)) == encode(SqlType.FLOAT, value)


@pytest.mark.parametrize(("number", "label"), [(0, b""), (1, b"a"), (2, b"b,c"), (3, "ü".encode())])
def test_enum_labels_are_found_by_number(number: int, label: bytes) -> None:
    assert convert(Stored.ENUM, 1)(bytes((number,))) == label


@pytest.mark.parametrize(
    ("kind", "size", "data"),
    [
        (Stored.ENUM, 1, b"\4"),
        (Stored.SET, 1, b"\x08"),
        (Stored.NEWDECIMAL, 9, b"\xbf\xff\xff\xff"),
        (Stored.DATE, 0, (32 << 4 | 13 << 5).to_bytes(3, "little")),
        (Stored.DATETIME2, 0, b"\0" * 5),
        (Stored.TIME2, 0, b"\x80\x0f\xff"),
        (Stored.TIME, 6, b"\xff" * 6),
        (Stored.TIME, 1, bytes(4)),
        (Stored.DATETIME, 6, b"\xff" * 8),
        (Stored.TIMESTAMP, 1, b"\0\0\0\1\xff"),
        (Stored.VARCHAR, 100, b"\xff\xfe"),
        (Stored.JSON, 4, b"\x0d"),
        (Stored.GEOMETRY, 4, b"\0\0\0\0\2"),
    ],
)  # fmt: skip
def test_bytes_that_are_no_value_are_refused(kind: Stored, size: int, data: bytes) -> None:
    with pytest.raises(FAILURES):
        convert(kind, size)(data)


def test_bit_is_a_number_and_binary_has_its_padding() -> None:
    assert convert(Stored.BIT, 17)(b"\x01\x00\x01") == b"65537"
    binary = Meaning(charset=charsets.charset("binary"))
    assert convert(Stored.STRING, 4, meaning=binary)(b"\1") == b"\1\0\0\0"
    assert convert(Stored.STRING, 4, meaning=binary)(b"") == b"\0\0\0\0"


def test_char_has_no_trailing_spaces_in_any_charset() -> None:
    wide = Meaning(charset=charsets.charset("utf16"))
    assert convert(Stored.STRING, 40, meaning=wide)("ab  ".encode("utf-16-be")) == b"ab"
    assert convert(Stored.STRING, 40)(b"ab  ") == b"ab"
    assert convert(Stored.VARCHAR, 40)(b"ab  ") == b"ab  "


@pytest.mark.parametrize(
    ("name", "data", "text"),
    [
        ("latin1", b"\x80\x81\xe9", "€\x81é"),
        ("gbk", b"\xa2\xe3", "€"),
        ("sjis", b"\x87\x40\x81\x5f", "①\\"),
        ("ujis", b"\xf5\xa1", "\ue000"),
        ("eucjpms", b"\x8f\xa2\xb7~", "\uff5e~"),
        ("big5", b"\xf9\xd6", "碁"),
        ("utf16", b"\xd8\x3d\xde\x00", "😀"),
        ("utf32", b"\x00\x01\xf6\x00", "😀"),
        ("swe7", b"}{", "åä"),
    ],
)
def test_charsets_are_read_as_the_server_reads_them(name: str, data: bytes, text: str) -> None:
    assert charsets.charset(name).decode(data) == text


def test_every_charset_reads_what_it_can_and_refuses_the_rest() -> None:
    for name in charsets._COLLATIONS:
        known = charsets.charset(name)
        for size in (1, 2, 3):
            data = bytes((0xFF,) * size)
            try:
                assert "\ufffe" not in known.decode(data)
            except UnicodeDecodeError:
                continue


@given(st.integers(0, 2**64 - 1), st.binary(max_size=4))
def test_packed_lengths_come_back(number: int, rest: bytes) -> None:
    if number < 251:
        data = bytes((number,))
    else:
        mark, width = (252, 2) if number < 1 << 16 else (253, 3) if number < 1 << 24 else (254, 8)
        data = bytes((mark,)) + number.to_bytes(width, "little")
    reader = PackedReader(data + rest)
    assert (reader.length(), reader.rest()) == (number, rest)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"), (0.1, "0.1"), (-0.0, "-0.0"), (1e15, "1e15"), (123456789012345.0, "123456789012345.0"),
        (1e-5, "0.00001"), (1.5e-20, "1.5e-20"), (1e22, "1e22"), (-2.5, "-2.5"), (0.0, "0.0"),
    ],
)  # fmt: skip
def test_json_doubles_are_printed_as_the_server_does(value: float, text: str) -> None:
    assert binary_json.double_text(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_json_doubles_read_back(value: float) -> None:
    assert float(binary_json.double_text(value)) == value


@given(st.binary(max_size=60))
def test_random_bytes_are_json_or_refused(data: bytes) -> None:
    try:
        text = binary_json.text_of(data)
    except ValueError:
        return
    assert decode(SqlType.JSON, text) == text.decode()


@given(st.binary(min_size=16, max_size=16))
def test_inet6_reads_back(data: bytes) -> None:
    import socket  # noqa: PLC0415

    assert socket.inet_pton(socket.AF_INET6, values.inet6_text(data).decode()) == data
