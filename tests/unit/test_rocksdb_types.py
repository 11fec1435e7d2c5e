"""Stored forms and key bytes of every SQL type: exact, sortable, and apart."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.rocksdb import Reason, UnfitValueError, column_type
from connectors.rocksdb.rows import RowCodec, Schema
from streamjobs.changes.moments import NanoMoment, OutOfRange
from streamjobs.errors import ConfigError
from streamjobs.sinks.contract import SinkColumn, SinkTable

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(codec="utf-8"))
PRICES = st.decimals(-(10**12), 10**12, allow_nan=False, places=4)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "BOOLEAN": st.booleans(),
    "TINYINT": st.integers(-128, 127),
    "BIGINT": INT64,
    "DOUBLE": st.floats(allow_nan=False),
    "DECIMAL(20, 4)": PRICES,
    "STRING": TEXT,
    "BYTES": st.binary(),
    "DATE": st.dates(),
    "TIME(6)": st.times(),
    "TIMESTAMP(6)": st.datetimes(),
    "TIMESTAMP_LTZ(6)": st.datetimes(timezones=st.just(timezone.utc)),
}


@pytest.mark.parametrize("name", list(VALUES))
def test_stored_and_loaded_is_the_same_value(name: str) -> None:
    kind = column_type(name)

    @settings(deadline=None)
    @given(VALUES[name])
    def check(value: Any) -> None:
        stored = orjson.loads(orjson.dumps(kind.store(value)))
        loaded = stored if kind.load is None else kind.load(stored)
        assert (type(loaded), loaded) == (type(value), value)

    check()


@pytest.mark.parametrize("name", [*VALUES, "DECIMAL(4, 2)", "FLOAT", "TIMESTAMP_LTZ(9)", "TIME(3)"])
def test_a_column_is_stored_as_its_values_are(name: str) -> None:
    kind = column_type(name)
    zones = st.sampled_from([timezone.utc, timezone(timedelta(hours=8))])
    values: st.SearchStrategy[Any] = st.one_of(
        st.sampled_from([None, True, 7, 2**70, float("inf"), "x", b"x"]),
        VALUES.get(name, st.none()), PRICES, st.times(), st.datetimes(), st.datetimes(timezones=zones),
    )  # fmt: skip

    def one_by_one(column: list[Any]) -> list[Any] | None:
        try:
            return [None if value is None else kind.store(value) for value in column]
        except UnfitValueError:
            return None

    @settings(deadline=None)
    @given(st.lists(values, max_size=4) | st.lists(VALUES.get(name, values), max_size=4))
    def check(column: list[Any]) -> None:
        stored = kind.store_column(column, nullable=True)
        if stored is not None:
            assert list(stored) == one_by_one(column)
        elif name in VALUES and set(map(type, column)) <= {kind.plain, type(None)}:
            assert one_by_one(column) is None
        assert None not in column or kind.store_column(column, nullable=False) is None

    check()


@pytest.mark.parametrize("name", list(VALUES))
def test_key_bytes_sort_as_values_and_none_is_a_prefix_of_another(name: str) -> None:
    kind = column_type(name)

    @settings(deadline=None)
    @given(VALUES[name], VALUES[name])
    def check(one: Any, other: Any) -> None:
        a, b = kind.key(kind.store(one)), kind.key(kind.store(other))
        assert (a == b) == (one == other)
        assert (a < b) == (one < other)
        assert one == other or not b.startswith(a)

    check()


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, INT64), min_size=2, max_size=30, unique=True))
def test_keys_of_several_columns_sort_column_by_column(keys: list[tuple[str, int]]) -> None:
    codec = codec_of(("a", "STRING"), ("b", "BIGINT"), key=("a", "b"))
    made = [codec.key(key) for key in keys]
    assert codec.key_many(keys) == made
    assert [key for _, key in sorted(zip(made, keys, strict=True))] == sorted(keys)


@settings(deadline=None)
@given(st.data())
def test_batch_and_single_rows_are_stored_alike(data: st.DataObject) -> None:
    codec = codec_of(*((name, name) for name in VALUES), key=("BIGINT",))
    row = st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()})
    rows = data.draw(st.lists(row, max_size=5))
    many = codec.store_many([[row[name] for row in rows] for name in codec.names])
    if many is not None:
        assert many == [codec.store(row, None) for row in rows]
        values = [codec.value(stored, 7 + place) for place, stored in enumerate(many)]
        assert codec.values_many(many, range(7, 7 + len(many))) == values


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("INT", 2**31, Reason.RANGE),
        ("BIGINT", -(2**63) - 1, Reason.RANGE),
        ("BIGINT", 1.0, Reason.TYPE),
        ("BIGINT", True, Reason.TYPE),
        ("BIGINT", "1", Reason.TYPE),
        ("DOUBLE", 1, Reason.TYPE),
        ("BOOLEAN", 1, Reason.TYPE),
        ("STRING", b"x", Reason.TYPE),
        ("DECIMAL(5, 2)", Decimal("1000"), Reason.RANGE),
        ("DECIMAL(5, 2)", Decimal("1.005"), Reason.RANGE),
        ("DECIMAL(5, 2)", Decimal("NaN"), Reason.TYPE),
        ("DECIMAL(5, 2)", 1.5, Reason.TYPE),
        ("DATE", datetime(2026, 1, 1, tzinfo=timezone.utc), Reason.TYPE),
        ("TIMESTAMP(3)", datetime(2026, 1, 1, tzinfo=timezone.utc), Reason.TYPE),
        ("TIMESTAMP(3)", pd.NaT, Reason.TYPE),
        ("TIMESTAMP(6)", pd.Timestamp("2026-01-01 00:00:00.000000001"), Reason.RANGE),
        ("TIMESTAMP(6)", NanoMoment.of(datetime(2026, 1, 1), 1), Reason.RANGE),  # noqa: DTZ001
        ("TIMESTAMP(9)", OutOfRange("10000-01-01 00:00:00"), Reason.RANGE),
        ("TIMESTAMP_LTZ(3)", OutOfRange("0000-12-31 23:59:59"), Reason.RANGE),
        ("DATE", OutOfRange("10000-01-01"), Reason.RANGE),
        ("FLOAT", 0.1 + 1e-12, Reason.RANGE),
        ("FLOAT", 1e39, Reason.RANGE),
        ("FLOAT", 1, Reason.TYPE),
    ],
)
def test_value_that_does_not_fit_is_refused_with_a_reason(name: str, value: object, reason: Reason) -> None:
    with pytest.raises(UnfitValueError) as caught:
        column_type(name).store(value)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        ("BIGINT", np.int64(7), 7),
        ("DOUBLE", np.float32(0.5), 0.5),
        ("DOUBLE", float("inf"), "Infinity"),
        ("FLOAT", 0.10000000149011612, 0.1),
        ("FLOAT", np.float32(0.1), 0.1),
        ("FLOAT", 0.1, 0.1),
        ("FLOAT", 3.4028234663852886e38, 3.4028235e38),
        ("FLOAT", 1.401298464324817e-45, 1e-45),
        ("FLOAT", float("-inf"), "-Infinity"),
        ("BOOLEAN", np.bool_(True), True),
        ("DECIMAL(10, 2)", 7, "7.00"),
        ("DECIMAL(10, 2)", Decimal("1E+2"), "100.00"),
        ("DECIMAL(10, 8)", Decimal(0), "0.00000000"),
        ("TIMESTAMP(9)", pd.Timestamp("2026-01-01 00:00:00.000000001"), "2026-01-01T00:00:00.000000001"),
        ("TIMESTAMP(7)", NanoMoment.of(datetime(2026, 1, 1), 100), "2026-01-01T00:00:00.000000100"),  # noqa: DTZ001
        (
            "TIMESTAMP_LTZ(9)",
            NanoMoment.of(datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), 5),
            "2026-01-01T00:00:00.000000005",
        ),
        ("TIMESTAMP(3)", pd.Timestamp("2026-01-01 00:00:00.5"), datetime(2026, 1, 1, 0, 0, 0, 500000)),  # noqa: DTZ001
        (
            "TIMESTAMP_LTZ(3)",
            datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))),
            datetime(2026, 1, 1),  # noqa: DTZ001
        ),
        ("DATE", date(2026, 1, 2), date(2026, 1, 2)),
        ("TIME(3)", time(1, 2, 3, 10_000), "01:02:03.010000"),
        ("BYTES", bytearray(b"\x00\xff"), "AP8="),
    ],
)
def test_value_is_stored_in_its_documented_form(name: str, value: object, stored: object) -> None:
    assert column_type(name).store(value) == stored


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("varchar( 10 )", "STRING"),
        ("DECIMAL ( 10 , 2 ) NOT NULL", "DECIMAL(10, 2)"),
        ("timestamp(3) with local time zone", "TIMESTAMP_LTZ(3)"),
        ("double precision", "DOUBLE"),
        ("INTEGER", "INT"),
        ("NUMERIC(4)", "DECIMAL(4, 0)"),
    ],
)
def test_type_is_read_in_every_spelling(text: str, name: str) -> None:
    assert column_type(text).name == name


@pytest.mark.parametrize("text", ["ARRAY<INT>", "ROW<a INT>", "DECIMAL(39, 1)", "TIMESTAMP(10)", "JSON", ""])
def test_unknown_type_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        column_type(text)


@given(st.lists(st.floats(width=32), min_size=1))
def test_many_floats_are_stored_as_one_is(values: list[float]) -> None:
    kind = column_type("FLOAT")
    many = kind.many(values)
    assert many is None or list(many) == [kind.store(value) for value in values]
    assert (many is None) == any(not np.isfinite(value) for value in values)


def test_lone_surrogate_is_refused_not_stored() -> None:
    codec = codec_of(("id", "BIGINT"), ("a", "STRING"), key=("id",))
    with pytest.raises(UnfitValueError, match="not valid Unicode"):
        codec.value(codec.store({"id": 1, "a": "\ud800"}, None), 1)


def codec_of(*columns: tuple[str, str], key: tuple[str, ...]) -> RowCodec:
    declared = tuple(SinkColumn(name, kind) for name, kind in columns)
    return RowCodec(Schema.of_table(SinkTable("t", declared, key, {}), 1))
