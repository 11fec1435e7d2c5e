"""A column spelled at once is spelled as its values are one by one."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mysql.store.literals import literals_of
from connectors.mysql.store.target import BoundColumn
from streamjobs.sinks.stored_types import Reason, UnfitValueError, column_type

VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "TINYINT": st.integers(-200, 200),
    "BIGINT": st.integers(-(2**63), 2**63),
    "BOOLEAN": st.booleans(),
    "DOUBLE": st.floats(),
    "DECIMAL(6, 2)": st.decimals(-10_000, 10_000, places=2) | st.just(Decimal(7)) | st.just(Decimal("1E+2")),
    "DECIMAL(38, 0)": st.decimals(-(10**20), 10**20, places=0),
    "STRING": st.text() | st.just("it's \\ \0 \n \" 🦊"),
    "BYTES": st.binary(),
    "DATE": st.dates(),
    "TIME(3)": st.times(),
    "TIMESTAMP(6)": st.datetimes(),
    "TIMESTAMP_LTZ(3)": st.datetimes(timezones=st.just(timezone.utc)) | st.datetimes(),
}


def column(type_: str, *, nullable: bool = True) -> BoundColumn:
    kind = column_type(type_)
    return BoundColumn("c", kind, literals_of(kind), nullable)


@pytest.mark.parametrize("type_", VALUES)
@given(data=st.data())
def test_many_are_spelled_as_one_by_one_or_not_at_all(type_: str, data: st.DataObject) -> None:
    bound = column(type_)
    values = data.draw(st.lists(st.none() | VALUES[type_], min_size=1, max_size=6))
    many = bound.spell_many(values)
    if many is not None:
        assert list(many) == [bound.spell(value) for value in values]


@pytest.mark.parametrize(
    ("type_", "value", "literal"),
    [
        ("BIGINT", -(2**63), "-9223372036854775808"),
        ("DOUBLE", 0.1, "0.1e0"),
        ("DOUBLE", 1e300, "1e+300"),
        ("DECIMAL(10, 2)", Decimal("-0.01"), "-0.01"),
        ("STRING", "plain", "'plain'"),
        ("BYTES", b"", "x''"),
        ("BYTES", b"\0\xff", "x'00ff'"),
        ("BOOLEAN", True, "1"),
    ],
)
def test_usual_values_take_the_short_way(type_: str, value: Any, literal: str) -> None:
    assert column(type_).spell_many([value, None, value]) == [literal, "NULL", literal]
    assert column(type_).spell(value) == literal


def test_what_is_unfit_is_left_to_the_closer_look() -> None:
    assert column("STRING").spell_many(["a", 5]) is None
    assert column("BIGINT").spell_many([1, 2**63]) is None
    assert column("BIGINT", nullable=False).spell_many([1, None]) is None
    assert column("DOUBLE").spell_many([float("nan")]) is None
    with pytest.raises(UnfitValueError, match="column c: MySQL has no NaN"):
        column("DOUBLE").spell(float("nan"))
    with pytest.raises(UnfitValueError) as caught:
        column("STRING").spell("\ud800")
    assert caught.value.args == ("column c: '\\ud800' is not valid Unicode text: 'utf-8' codec can't encode "
                                 "character '\\ud800' in position 0: surrogates not allowed",)  # fmt: skip
    assert caught.value.reason is Reason.ENCODING
