"""Rows and keys spelled at once are those spelled one by one; keys never collide."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.redis.rows import RowForm, score_text
from streamjobs.sinks.contract import SinkColumn, SinkTable
from streamjobs.sinks.stored_types import UnfitValueError

COLUMNS = {
    "id": ("BIGINT", st.integers(-(2**63), 2**63 - 1)),
    "name": ("STRING", st.none() | st.text()),
    "price": ("DECIMAL(10, 2)", st.none() | st.decimals(-1000, 1000, places=2)),
    "share": ("DOUBLE", st.none() | st.floats(allow_nan=False)),
    "flag": ("BOOLEAN", st.none() | st.booleans()),
    "at": ("TIMESTAMP_LTZ(3)", st.none() | st.datetimes(timezones=st.just(timezone.utc))),
    "day": ("DATE", st.none() | st.dates()),
    "clock": ("TIME(3)", st.none() | st.times()),
    "raw": ("BYTES", st.none() | st.binary()),
}
TABLE = SinkTable("t", tuple(SinkColumn(name, type_) for name, (type_, _) in COLUMNS.items()), ("id",), {})
FORM = RowForm(TABLE, "t:")
ROWS = st.lists(st.fixed_dictionaries({name: values for name, (_, values) in COLUMNS.items()}), min_size=1)


def by_column(rows: list[dict[str, Any]]) -> list[list[Any]]:
    return [[row[name] for row in rows] for name in FORM.names]


@given(ROWS)
def test_many_rows_are_spelled_as_one_by_one(rows: list[dict[str, Any]]) -> None:
    keys = [(row["id"],) for row in rows]
    assert FORM.keys_many(keys) == [FORM.key(key) for key in keys]
    assert FORM.texts_many(by_column(rows)) == [FORM.text(row, None) for row in rows]
    assert FORM.fields_many(by_column(rows)) == [FORM.fields(row) for row in rows]


@pytest.mark.parametrize("column", COLUMNS)
@given(ROWS)
def test_many_keys_of_any_type_are_spelled_as_one_by_one(column: str, rows: list[dict[str, Any]]) -> None:
    form = RowForm(SinkTable("t", TABLE.columns, (column,), {}), "t:")
    keys = [(row[column],) for row in rows if row[column] is not None]
    assert form.keys_many(keys) in (None, [form.key(key) for key in keys])


@pytest.mark.parametrize("bad", [{"id": 2**63}, {"id": None}, {"name": 5}, {"name": "\ud800"}, {"raw": "x"}])
def test_what_is_unfit_is_left_to_the_closer_look(bad: dict[str, Any]) -> None:
    row = {**dict.fromkeys(COLUMNS), "id": 1, **bad}
    columns = by_column([row])
    at_once = (FORM.keys_many([(row["id"],)]), FORM.texts_many(columns), FORM.fields_many(columns))
    assert None in at_once
    with pytest.raises(UnfitValueError):  # noqa: PT012 - any of the two
        FORM.key((row["id"],))
        FORM.text(row, None)


def test_a_text_keeps_what_a_record_leaves_out() -> None:
    at = datetime(2026, 11, 23, tzinfo=timezone.utc)
    whole = FORM.text({**dict.fromkeys(COLUMNS), "id": 1, "price": Decimal("1.5"), "at": at}, None)
    changed = FORM.text({"id": 1, "name": "x"}, whole)
    expected = b'"name":"x","price":"1.50","share":null,"flag":null,"at":"2026-11-23T00:00:00"'
    assert expected in changed
    assert FORM.fields({"id": 1, "name": None})[0] == "10-------"


@given(st.lists(st.tuples(st.text(), st.text()), min_size=2, unique=True))
def test_no_two_keys_of_several_columns_share_a_name(keys: list[tuple[str, str]]) -> None:
    columns = (SinkColumn("a", "STRING"), SinkColumn("b", "STRING"))
    form = RowForm(SinkTable("t", columns, ("a", "b"), {}), "t:")
    assert len({form.key(key) for key in keys}) == len(keys)


@pytest.mark.parametrize(("score", "text"), [(1, b"1"), (-2.5, b"-2.5"), (2**53, b"9007199254740992")])
def test_scores_are_doubles(score: float, text: bytes) -> None:
    assert score_text("s", score) == text


@pytest.mark.parametrize("score", [None, True, "1", float("nan"), 2**53 + 1, Decimal(1)])
def test_what_is_no_double_is_no_score(score: Any) -> None:
    with pytest.raises(UnfitValueError, match="the score s is"):
        score_text("s", score)


def test_a_float_is_its_shortest_text_in_keys_fields_texts_and_scores() -> None:
    form = RowForm(SinkTable("t", (SinkColumn("f", "FLOAT"), SinkColumn("d", "DOUBLE")), ("f",), {}), "t:")
    wide = 0.10000000149011612
    assert (form.key((wide,)), form.keys_many([(wide,)])) == (b"t:0.1", [b"t:0.1"])
    assert form.text({"f": wide, "d": wide}, None) == b'{"f":0.1,"d":0.10000000149011612}'
    assert form.texts_many([[wide], [0.1]]) == [b'{"f":0.1,"d":0.1}']
    assert form.fields({"f": wide, "d": wide}) == ("11", [b"0.1", b"0.10000000149011612"])
    assert form.fields_many([[wide], [wide]]) == [("11", [b"0.1", b"0.10000000149011612"])]
    assert score_text("s", wide, is_float=True) == b"0.1"


def test_minus_zero_is_no_other_key() -> None:
    form = RowForm(SinkTable("t", (SinkColumn("d", "DOUBLE"),), ("d",), {}), "t:")
    assert form.key((-0.0,)) == form.key((0.0,)) == b"t:0.0"
    assert form.keys_many([(-0.0,)]) == [b"t:0.0"]
    assert form.text({"d": -0.0}, None) == b'{"d":-0.0}'
