"""How rows reach a Python sink: nothing that pandas cannot carry gets lost on the way."""

from __future__ import annotations

from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from streamjobs.changes.moments import NanoMoment, OutOfRange
from streamjobs.job.plan.row_transfer import RowTransfer, handover
from streamjobs.sinks.contract import SinkColumn, SinkTable


def planned(*types: str, key: int = 1) -> RowTransfer:
    columns = tuple(SinkColumn(f"c{i}", type_, nullable=i >= key) for i, type_ in enumerate(types))
    return handover(SinkTable("t", columns, tuple(column.name for column in columns[:key]), {}))


def test_numbers_travel_beside_their_nulls() -> None:
    hand = planned("BIGINT", "INT", "STRING", "BOOLEAN")
    assert hand.expressions == (
        "COALESCE(`c0`, CAST(0 AS BIGINT))",
        "COALESCE(`c1`, 0)",
        "`c2`",
        "COALESCE(`c3`, FALSE)",
        "CASE WHEN `c0` IS NULL THEN CAST(1 AS BIGINT) ELSE CAST(0 AS BIGINT) END + "
        "CASE WHEN `c1` IS NULL THEN CAST(2 AS BIGINT) ELSE CAST(0 AS BIGINT) END + "
        "CASE WHEN `c3` IS NULL THEN CAST(4 AS BIGINT) ELSE CAST(0 AS BIGINT) END",
    )


def test_bytes_never_arrive_as_a_constant() -> None:
    assert planned("STRING", "BYTES").expressions == ("`c0`", "CASE WHEN RAND_INTEGER(1) = 0 THEN `c1` END")


def test_a_null_key_does_not_spoil_the_numbers_beside_it() -> None:
    arguments = [pd.Series([2**53 + 1, 0]), pd.Series([7, 8]), pd.Series([0, 1])]
    assert planned("BIGINT", "BIGINT").columns(arguments, 2) == [[2**53 + 1, None], [7, 8]]


def test_constants_are_given_to_every_row() -> None:
    arguments = [pd.Series([1, 2]), "x", 7, pd.Series([0, 2])]
    assert planned("BIGINT", "STRING", "INT").columns(arguments, 2) == [[1, 2], ["x", "x"], [7, None]]


def test_more_columns_than_a_mask_has_bits_take_another_mask() -> None:
    hand = planned(*["BIGINT"] * 70)
    assert len(hand.expressions) == 72
    masks = [pd.Series([0]), pd.Series([1 << 7])]
    columns = hand.columns([*[pd.Series([i]) for i in range(70)], *masks], 1)
    assert columns == [[i] if i != 69 else [None] for i in range(70)]


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        ("TIMESTAMP(6)", "9999-12-31 23:59:59.999999", datetime(9999, 12, 31, 23, 59, 59, 999999)),  # noqa: DTZ001
        ("TIMESTAMP(0)", "0001-01-01 00:00:00", datetime(1, 1, 1)),  # noqa: DTZ001
        ("TIMESTAMP(9)", "2024-01-01 00:00:00.120000000", datetime(2024, 1, 1, 0, 0, 0, 120000)),  # noqa: DTZ001
        ("TIMESTAMP(9)", "2024-01-01 00:00:00.000000001", NanoMoment.of(datetime(2024, 1, 1), 1)),  # noqa: DTZ001
        ("TIMESTAMP(7)", "2024-01-01 00:00:00.1234567",
         NanoMoment.of(datetime(2024, 1, 1, 0, 0, 0, 123456), 700)),  # noqa: DTZ001
        ("TIMESTAMP_LTZ(9)", "2024-01-01 00:00:00.999999999",
         NanoMoment.of(datetime(2024, 1, 1, 0, 0, 0, 999999, timezone.utc), 999)),
        ("TIMESTAMP(1)", "2024-01-01 00:00:00.5", datetime(2024, 1, 1, 0, 0, 0, 500000)),  # noqa: DTZ001
        ("DATE", "9999-12-31", date(9999, 12, 31)),
        ("DATE", "0001-01-01", date(1, 1, 1)),
        ("TIMESTAMP_LTZ(3)", "1969-12-31 23:59:59.999",
         datetime(1969, 12, 31, 23, 59, 59, 999000, timezone.utc)),
    ],
)  # fmt: skip
def test_moments_travel_as_text(type_: str, text: str, value: datetime) -> None:
    arguments = [pd.Series([1, 2]), pd.Series([text, None]), pd.Series([0, 0])]
    assert planned("INT", type_).columns(arguments, 2)[1] == [value, None]


@pytest.mark.parametrize(
    ("type_", "texts", "values"),
    [
        ("TIMESTAMP(3)", ["@253465459199", "2024-01-01 00:00:00.000"],
         [OutOfRange("10001-12-31 23:59:59"), datetime(2024, 1, 1)]),  # noqa: DTZ001
        ("TIMESTAMP(9)", ["@-62135596801", None], [OutOfRange("0000-12-31 23:59:59"), None]),
        ("TIMESTAMP_LTZ(3)", [None, "@253402300800"], [None, OutOfRange("10000-01-01 00:00:00")]),
        ("DATE", ["2024-01-01", "@253402300800"], [date(2024, 1, 1), OutOfRange("10000-01-01")]),
    ],
)  # fmt: skip
def test_a_day_outside_of_the_calendar_spoils_no_other(
    type_: str, texts: list[str | None], values: list[Any]
) -> None:
    arguments = [pd.Series([1, 2]), pd.Series(texts, dtype=object), pd.Series([0, 0])]
    assert planned("INT", type_).columns(arguments, 2)[1] == values


def test_dates_and_moments_are_looked_at_before_they_are_text() -> None:
    _, day, at, moment, *_ = planned("INT", "DATE", "TIMESTAMP(3)", "TIMESTAMP_LTZ(6)").expressions
    assert day == (
        "CASE WHEN `c1` BETWEEN DATE '0001-01-01' AND DATE '9999-12-31' THEN CAST(`c1` AS STRING) "
        "WHEN `c1` IS NOT NULL THEN '@' || CAST(EXTRACT(EPOCH FROM CAST(`c1` AS TIMESTAMP(3))) AS STRING) END"
    )
    assert at == (
        "CASE WHEN `c2` BETWEEN TIMESTAMP '0001-01-01 00:00:00' AND TIMESTAMP '9999-12-31 "
        "23:59:59.999999999' "
        "THEN CAST(`c2` AS STRING) WHEN `c2` IS NOT NULL THEN '@' || CAST(EXTRACT(EPOCH FROM `c2`) "
        "AS STRING) END"
    )
    assert "CAST(TIMESTAMP '0001-01-01 00:00:00' AS TIMESTAMP_LTZ(9))" in moment


@pytest.mark.parametrize("value", [Decimal("1.50"), b"\xff", "", time(1, 2, 3, 4000)])
def test_objects_travel_as_they_are(value: Any) -> None:
    types = {Decimal: "DECIMAL(4, 2)", bytes: "BYTES", str: "STRING", time: "TIME(3)"}
    series = pd.Series([value, None], dtype=object)
    arguments = [pd.Series([1, 2]), series, pd.Series([0, 0])]
    assert planned("INT", types[type(value)]).columns(arguments, 2)[1] == [value, None]
