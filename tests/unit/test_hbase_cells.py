"""HBase row keys sort as keys do and stay apart; cells read back what was put."""

from __future__ import annotations

import struct
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.hbase.cells import RowForm
from streamjobs.changes.moments import NanoMoment, OutOfRange
from streamjobs.changes.wire_values import shortest_float
from streamjobs.errors import ConfigError
from streamjobs.sinks.contract import SinkColumn, SinkTable
from streamjobs.sinks.stored_types import UnfitValueError

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "BOOLEAN": st.booleans(),
    "TINYINT": st.integers(-128, 127),
    "SMALLINT": st.integers(-(2**15), 2**15 - 1),
    "INT": st.integers(-(2**31), 2**31 - 1),
    "BIGINT": st.integers(-(2**63), 2**63 - 1),
    "FLOAT": st.floats(width=32, allow_nan=False).map(shortest_float),
    "DOUBLE": st.floats(allow_nan=False),
    "DECIMAL(38, 4)": st.decimals(-(10**30), 10**30, allow_nan=False, places=4),
    "STRING": TEXT,
    "BYTES": st.binary(max_size=20),
    "DATE": st.dates(),
    "TIME(6)": st.times(),
    "TIMESTAMP(6)": st.datetimes(),
    "TIMESTAMP_LTZ(6)": st.datetimes(timezones=st.just(timezone.utc)),
}


def form(*types: str, text: bool = False, salt_buckets: int = 0) -> RowForm:
    columns = tuple(SinkColumn(f"c{n}", type_) for n, type_ in enumerate(types))
    table = SinkTable("t", columns, tuple(column.name for column in columns), {})
    return RowForm(table, "cf", {}, text=text, salt_buckets=salt_buckets)


def key_of(rows: RowForm, key: tuple[Any, ...]) -> bytes:
    """Give the row key, b"" for the one that HBase does not take."""
    try:
        return rows.key(key)
    except UnfitValueError:
        assert not any(key)
        return b""


PAIRS = st.sampled_from(sorted(VALUES)).flatmap(
    lambda first: st.sampled_from(sorted(VALUES)).flatmap(
        lambda second: st.tuples(
            st.just((first, second)),
            st.tuples(VALUES[first], VALUES[second]),
            st.tuples(VALUES[first], VALUES[second]),
        )
    )
)


@given(PAIRS)
@settings(max_examples=500)
def test_row_keys_sort_as_the_keys_do_and_are_equal_only_if_they_are(
    drawn: tuple[tuple[str, str], tuple[Any, Any], tuple[Any, Any]],
) -> None:
    types, one, other = drawn
    rows = form(*types)
    left, right = key_of(rows, one), key_of(rows, other)
    assert (left == right) == (one == other)
    assert (left < right) == (_sortable(one) < _sortable(other))


def _sortable(key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(part.encode() if isinstance(part, str) else part for part in key)


@given(st.tuples(TEXT, TEXT), st.tuples(TEXT, TEXT))
def test_salt_keeps_keys_apart(one: tuple[str, str], other: tuple[str, str]) -> None:
    rows = form("STRING", "STRING", salt_buckets=16)
    assert (rows.key(one) == rows.key(other)) == (one == other)
    assert rows.key(one)[0] < 16
    assert rows.key(one)[1:] == form("STRING", "STRING").key(one)


@pytest.mark.parametrize("text", [False, True], ids=["bytes", "text"])
@pytest.mark.parametrize("name", list(VALUES))
def test_cells_read_back_what_was_put(name: str, *, text: bool) -> None:
    rows = form("INT", name, text=text)

    @given(VALUES[name])
    def check(value: Any) -> None:
        cells = dict(rows.row((1, value), {"c0": 1, "c1": value}))
        loaded = rows.load({column: data for column, data in cells.items() if data is not None})
        assert loaded == {"c0": 1, "c1": value}
        assert type(loaded["c1"]) is type(value)

    check()


def test_bytes_are_those_of_java() -> None:
    rows = form("INT", "DECIMAL(10, 2)", "BOOLEAN")
    cells = dict(rows.row((1, Decimal("-1.28"), True), {"c0": -2, "c1": Decimal("-1.28"), "c2": True}))
    assert cells == {
        b"cf:c0": b"\xff\xff\xff\xfe",
        b"cf:c1": b"\x00\x00\x00\x02\x80",
        b"cf:c2": b"\xff",
    }


@pytest.mark.parametrize("text", [False, True], ids=["bytes", "text"])
@pytest.mark.parametrize("value", [Decimal("1000000000000000000000000.0001"), Decimal(f"-{'9' * 34}.9999")])
def test_decimals_of_38_digits_keep_them_all(value: Decimal, *, text: bool) -> None:
    rows = form("INT", "DECIMAL(38, 4)", text=text)
    cells = dict(rows.row((1, value), {"c0": 1, "c1": value}))
    assert rows.load({column: data for column, data in cells.items() if data is not None})["c1"] == value


def test_null_is_a_cell_to_delete_and_absent_is_left_alone() -> None:
    columns = (SinkColumn("id", "INT"), SinkColumn("a", "STRING"), SinkColumn("b", "STRING"))
    rows = RowForm(SinkTable("t", columns, ("id",), {}), "cf", {"b": "more"}, text=True, salt_buckets=0)
    assert rows.row((1,), {"a": None}) == [(b"cf:id", b"1"), (b"cf:a", None)]
    assert rows.row((1,), {"id": 1, "b": ""}) == [(b"cf:id", b"1"), (b"more:b", b"")]
    assert rows.families == [b"cf", b"more"]


@pytest.mark.parametrize("key", [("",), (None,), ("x" * 32_768,)])
def test_key_that_no_row_can_have_is_unfit(key: tuple[Any, ...]) -> None:
    with pytest.raises(UnfitValueError):
        form("STRING").key(key)


def test_unknown_column_of_a_family_is_refused() -> None:
    table = SinkTable("t", (SinkColumn("id", "INT"),), ("id",), {})
    with pytest.raises(ConfigError, match="there is no column x"):
        RowForm(table, "cf", {"x": "f"}, text=False, salt_buckets=0)


ROW = st.fixed_dictionaries({f"c{n}": st.none() | values for n, values in enumerate(VALUES.values())})


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT | st.none() | st.just(5), ROW), min_size=1, max_size=5), st.booleans())
def test_many_rows_are_spelled_as_one_is(rows: list[tuple[Any, dict[str, Any]]], text: bool) -> None:
    columns = (*(SinkColumn(f"c{n}", type_) for n, type_ in enumerate(VALUES)), SinkColumn("k", "STRING"))
    made = RowForm(SinkTable("t", columns, ("k",), {}), "cf", {}, text=text, salt_buckets=7)
    keys, whole = [(key,) for key, _ in rows], [{**values, "k": key} for key, values in rows]
    by_key = made.keys_many(keys)
    cells = made.rows_many([[row[name] for row in whole] for name in made.names])
    if by_key is None or cells is None:
        assert any(type(key) is not str or not key for key, _ in rows)
        return
    assert by_key == [made.key(key) for key in keys]
    for key, row, found in zip(keys, whole, cells, strict=True):
        assert dict(zip(made.columns, found, strict=True)) == dict(made.row(key, row))


def test_a_float_is_its_binary32_in_a_cell_and_its_shortest_text_beside_it() -> None:
    wide = 0.10000000149011612
    ((column, data),) = form("FLOAT").row((wide,), {})
    assert data == struct.pack(">f", 0.1)
    assert form("FLOAT").load({column: data}) == {"c0": 0.1}
    assert form("FLOAT", text=True).row((wide,), {}) == [(column, b"0.1")]
    assert form("FLOAT").key((wide,)) == form("DOUBLE").key((0.1,))


def test_what_no_cell_holds_is_told_with_its_column() -> None:
    rows = form("INT", "DATE")
    with pytest.raises(UnfitValueError) as caught:
        rows.row((1, OutOfRange("10000-01-01")), {})
    assert str(caught.value) == "column c1: 10000-01-01 is out of range for DATE (0001-01-01 to 9999-12-31)"
    with pytest.raises(UnfitValueError, match="column c1: 10000-01-01 is out of range for DATE"):
        rows.key((1, OutOfRange("10000-01-01")))


def test_nanoseconds_are_in_cells_and_keys() -> None:
    rows = form("TIMESTAMP(9)")
    moment = NanoMoment.of(datetime(2026, 1, 1), 1)  # noqa: DTZ001
    assert [data for _, data in rows.row((moment,), {})] == [b"2026-01-01T00:00:00.000000001"]
    assert rows.key((moment,)) != rows.key((datetime(2026, 1, 1),))  # noqa: DTZ001
