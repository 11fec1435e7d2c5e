"""Moments beyond datetime: nanoseconds order and tell keys apart, years beyond 9999 are shown as they are."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjobs.changes.moments import NanoMoment, OutOfRange, calendar_text

MOMENTS = st.sampled_from([datetime(2024, 1, 1), datetime(2024, 1, 1, 0, 0, 0, 1), datetime(1, 1, 1)])  # noqa: DTZ001
NANOS = st.integers(0, 999)


@given(MOMENTS, NANOS, MOMENTS, NANOS)
def test_nano_moments_compare_as_moment_and_nanosecond(
    one: datetime, one_nanos: int, other: datetime, other_nanos: int
) -> None:
    left, right = NanoMoment.of(one, one_nanos), NanoMoment.of(other, other_nanos)
    plain, pair, other_pair = other, (one, one_nanos), (other, other_nanos)
    assert (left == right, left < right, left <= right, left > right, left >= right) == (
        pair == other_pair, pair < other_pair, pair <= other_pair, pair > other_pair, pair >= other_pair,
    )  # fmt: skip
    assert (left == plain, left < plain, plain < left) == (
        pair == (other, 0), pair < (other, 0), (other, 0) < pair,
    )  # fmt: skip
    assert len({left, right}) == len({pair, other_pair})
    assert ({left: 1}.get(plain) == 1) == (pair == (other, 0))  # type: ignore[call-overload]


def test_a_nano_moment_shows_all_its_digits() -> None:
    moment = NanoMoment.of(datetime(2024, 1, 1, tzinfo=timezone.utc), 7)
    assert repr(moment) == "NanoMoment(2024-01-01T00:00:00.000000+00:00 and 7 ns)"
    assert moment != "2024-01-01"


@given(st.datetimes())
def test_calendar_text_is_what_python_says_where_python_has_the_year(moment: datetime) -> None:
    whole = moment.replace(microsecond=0)
    seconds = (whole - datetime(1970, 1, 1)) // timedelta(seconds=1)  # noqa: DTZ001
    assert calendar_text(seconds) == whole.isoformat(" ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (253_402_300_800, "10000-01-01 00:00:00"),
        (253_465_459_199, "10001-12-31 23:59:59"),
        (-62_135_596_801, "0000-12-31 23:59:59"),
        (-62_198_755_200, "-0001-01-01 00:00:00"),
        (9_223_372_036_854_775, "292278994-08-17 07:12:55"),
    ],
)
def test_calendar_text_of_years_that_python_has_not(seconds: int, text: str) -> None:
    assert calendar_text(seconds) == text


def test_what_is_out_of_range_is_a_key_like_others() -> None:
    one, other = OutOfRange("10000-01-01"), OutOfRange("10001-01-01")
    assert {one: 1}[OutOfRange("10000-01-01")] == 1
    assert sorted([other, one]) == [one, other]
