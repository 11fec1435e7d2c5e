"""The options of the traffic generator, and its two presets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from streamjobs.demo.tables import DISORDER_MS

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS

START_MS: Final = 1_717_200_000_000
"""2024-06-01T00:00:00Z, the demo's first midnight."""


@dataclass(frozen=True)
class TrafficOptions:
    """The traffic to generate. Rates are fractions of impressions unless stated otherwise.

    `impressions` counts distinct ids; repeats, late copies and damaged ones are extra or are among them.
    `span_ms` is the event time that the impressions cover, without the `quiet_hours` (UTC hours of each
    day, `(first, end)`) in which nothing happens at all. With `burst_gap_ms`, all but 2 % of the sessions
    follow the previous one after about that time, with long pauses between the bursts. Times are multiples
    of `tick_ms`: a coarse clock causes events at the same millisecond and exactly at the bounds.
    `disorder_ms` is the bound within which rows arrive; late rows arrive up to `late_by_ms` after it.
    """

    seed: int = 1
    impressions: int = 20_000
    start_ms: int = START_MS + 9 * HOUR_MS
    span_ms: int = 3 * HOUR_MS
    quiet_hours: tuple[int, int] | None = None
    burst_gap_ms: int | None = None
    tick_ms: int = 1
    disorder_ms: int = DISORDER_MS
    users: int = 600
    items: int = 900
    undescribed: float = 0.1
    click_rate: float = 0.14
    second_click_rate: float = 0.3
    stray_click_rate: float = 0.02
    repeat_rate: float = 0.03
    late_rate: float = 0.004
    late_by_ms: int = 10 * 60 * 1000
    late_click_rate: float = 0.02
    broken_rate: float = 0.0006
    poison_rate: float = 0.0006
    profile_change_rate: float = 0.15

    @classmethod
    def hard(cls, seed: int = 1, impressions: int = 20_000) -> TrafficOptions:
        """Three weeks with quiet nights, much disorder, many clicks, repeats and profile changes."""
        return cls(
            seed=seed,
            impressions=impressions,
            span_ms=21 * DAY_MS,
            quiet_hours=(1, 7),
            burst_gap_ms=400,
            tick_ms=250,
            click_rate=0.2,
            second_click_rate=0.5,
            repeat_rate=0.05,
            late_rate=0.01,
            late_by_ms=8 * HOUR_MS,
            late_click_rate=0.05,
            broken_rate=0.002,
            poison_rate=0.002,
            profile_change_rate=0.4,
        )
