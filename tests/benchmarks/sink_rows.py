"""The rows that the sinks' benchmark writes: ten mixed columns, the same from Python and from Flink."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from streamjobs.sinks.contract import SinkColumn

COLUMNS: Final = (
    SinkColumn("id", "BIGINT", nullable=False),
    SinkColumn("user_id", "BIGINT"),
    SinkColumn("item_id", "INT"),
    SinkColumn("price", "DECIMAL(12, 2)"),
    SinkColumn("score", "DOUBLE"),
    SinkColumn("seen_at", "TIMESTAMP(3)"),
    SinkColumn("seen_on", "DATE"),
    SinkColumn("city", "STRING"),
    SinkColumn("title", "STRING"),
    SinkColumn("bought", "BOOLEAN"),
)
NAMES: Final = tuple(column.name for column in COLUMNS)

_START_MS: Final = 1_767_225_600_000
_START: Final = datetime(2026, 1, 1)  # noqa: DTZ001 - TIMESTAMP has no zone
_DAY: Final = date(2026, 1, 1).toordinal()

EXPRESSIONS: Final = (
    "n",
    "MOD(n * 2654435761, CAST(50000000 AS BIGINT))",
    "CAST(MOD(n * 7919, CAST(900001 AS BIGINT)) AS INT)",
    "CAST(MOD(n * 31, CAST(1000000 AS BIGINT)) * 0.01 AS DECIMAL(12, 2))",
    "CAST(MOD(n * 104729, CAST(1000003 AS BIGINT)) AS DOUBLE) / CAST(1000 AS DOUBLE)",
    f"CAST(TO_TIMESTAMP_LTZ({_START_MS} + n * 37, 3) AS TIMESTAMP(3))",
    f"CAST(CAST(TO_TIMESTAMP_LTZ({_START_MS} + n * 37, 3) AS TIMESTAMP(3)) AS DATE)",
    "'city ' || CAST(MOD(n, CAST(331 AS BIGINT)) AS STRING)",
    "'Beschreibung für Artikel ' || CAST(MOD(n * 7919, CAST(900001 AS BIGINT)) AS STRING)",
    "MOD(n, CAST(3 AS BIGINT)) = 0",
)
"""The columns of row `n` in Flink's SQL; `row` gives the same."""


def row(n: int) -> tuple[Any, ...]:
    """Return row `n` with Python values."""
    item, moved_ms = n * 7919 % 900_001, n * 37
    return (
        n,
        n * 2_654_435_761 % 50_000_000,
        item,
        Decimal(n * 31 % 1_000_000).scaleb(-2),
        n * 104_729 % 1_000_003 / 1000,
        _START + timedelta(milliseconds=moved_ms),
        date.fromordinal(_DAY + moved_ms // 86_400_000),
        f"city {n % 331}",
        f"Beschreibung für Artikel {item}",
        n % 3 == 0,
    )


def rows(count: int) -> list[tuple[Any, ...]]:
    """Return rows 1 to `count`."""
    return [row(n) for n in range(1, count + 1)]
