"""Texts of values, a column at a time: those that one value at a time has, whatever stands beside it."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamjobs.cli.show import Format, show_rows
from streamjobs.cli.spelling import csv_texts, json_texts

ZONES = st.sampled_from([timezone.utc, timezone(timedelta(hours=5, minutes=30))])
MOMENTS = st.datetimes() | st.datetimes().map(lambda value: value.replace(microsecond=0))
COLUMNS = st.one_of(
    *(
        st.lists(st.none() | values, min_size=1, max_size=8)
        for values in (
            st.booleans(),
            st.integers(),
            st.floats(),
            st.decimals(allow_nan=False, allow_infinity=False),
            st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(["", ",", '"', "\r", "\n"]),
            st.binary(),
            st.dates(),
            st.times() | st.just(time(7, 20)),
            MOMENTS | MOMENTS.map(lambda value: value.replace(microsecond=500)),
            st.builds(lambda value, zone: value.replace(tzinfo=zone), MOMENTS, ZONES),
        )
    ),
    st.lists(st.none() | st.integers() | st.text("ab,") | st.booleans(), min_size=1),
)


def plain(value: Any) -> Any:
    """What JSON takes for one value, as the pages say it."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return without_zeros(value.replace(tzinfo=None).isoformat()) + ("Z" if value.tzinfo else "")
    if isinstance(value, time):
        return without_zeros(value.isoformat())
    if isinstance(value, date):
        return value.isoformat()
    return value


def without_zeros(text: str) -> str:
    return text[:-3] if "." in text and text.endswith("000") else text


def field(value: Any) -> str:
    """One field of CSV: NULL is empty, the empty text is not."""
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(plain(value))
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if not text or set(text) & set(',"\r\n') else text


@given(COLUMNS)
@example([True, None])
@example([1.0, math.nan, math.inf, -math.inf, None, -0.0, 1e16, 1e-7])
@example([Decimal("1E+3"), Decimal("-0.00"), Decimal("1E-10")])
@example([b"", None])
@example([datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999)])  # noqa: DTZ001
def test_a_column_is_spelled_as_its_values_are(values: list[Any]) -> None:
    assert csv_texts(values) == list(map(field, values))
    assert json_texts(values) == [json.dumps(plain(value), ensure_ascii=False) for value in values]


def test_lines_are_what_other_programs_read(capsys: pytest.CaptureFixture[str]) -> None:
    names = ("50 % off", "a,b", 'q"')
    batches: list[list[list[Any]]] = [[[1, 2], ["x", 'y"\n'], [None, True]], [[3], [""], [False]]]
    assert show_rows(batches, names, Format.JSON) == 3
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [
        {"50 % off": 1, "a,b": "x", 'q"': None},
        {"50 % off": 2, "a,b": 'y"\n', 'q"': True},
        {"50 % off": 3, "a,b": "", 'q"': False},
    ]
    assert show_rows(batches, names, Format.CSV) == 3
    assert list(csv.reader(io.StringIO(capsys.readouterr().out, newline=""))) == [
        ["50 % off", "a,b", 'q"'], ["1", "x", ""], ["2", 'y"\n', "true"], ["3", "", "false"],
    ]  # fmt: skip
