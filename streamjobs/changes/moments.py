"""Moments that Python's datetime cannot hold: nanoseconds, and days outside the years 1 to 9999."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

_DAY_S = 86_400
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097
"""The calendar repeats after so many days."""
_FIRST = date(2000, 1, 1)
_FIRST_DAY = (_FIRST - date(1970, 1, 1)).days


class NanoMoment(datetime):
    """A datetime and the nanoseconds after its microseconds, 0 to 999.

    It compares as the exact moment, also with datetimes: keys that differ by a nanosecond are different.
    """

    nanosecond: int = 0

    @classmethod
    def of(cls, moment: datetime, nanosecond: int) -> NanoMoment:
        """Return a moment plus nanoseconds."""
        made = cls(
            moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second,
            moment.microsecond, moment.tzinfo,
        )  # fmt: skip
        made.nanosecond = nanosecond
        return made

    def __repr__(self) -> str:
        return f"NanoMoment({self.isoformat(timespec='microseconds')} and {self.nanosecond} ns)"

    def __hash__(self) -> int:
        return hash((super().__hash__(), self.nanosecond)) if self.nanosecond else super().__hash__()

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other) is True and self.nanosecond == _nanosecond(other)

    def __lt__(self, other: datetime) -> bool:  # type: ignore[override]
        return super().__lt__(other) or (super().__eq__(other) and self.nanosecond < _nanosecond(other))

    def __gt__(self, other: datetime) -> bool:  # type: ignore[override]
        return super().__gt__(other) or (super().__eq__(other) and self.nanosecond > _nanosecond(other))

    def __le__(self, other: datetime) -> bool:  # type: ignore[override]
        return not self > other

    def __ge__(self, other: datetime) -> bool:  # type: ignore[override]
        return not self < other


@dataclass(frozen=True, order=True)
class OutOfRange:
    """A day or moment that Flink computed and that no store can hold; `text` shows it.

    Shape: `OutOfRange("10001-12-31 23:59:59")`. It replaces the value in a row, and every column type
    refuses it.
    """

    text: str


def calendar_text(seconds: int) -> str:
    """Return the text of a moment of any year, given in seconds since 1970, UTC: `10001-12-31 23:59:59`."""
    days, second = divmod(seconds, _DAY_S)
    cycles, day = divmod(days - _FIRST_DAY, _CYCLE_DAYS)
    found = _FIRST + timedelta(days=day)
    year = found.year + cycles * _CYCLE_YEARS
    hour, second = divmod(second, 3600)
    shown = f"{year:04}" if year >= 0 else f"-{-year:04}"
    return f"{shown}-{found:%m-%d} {hour:02}:{second // 60:02}:{second % 60:02}"


def _nanosecond(value: object) -> int:
    return int(getattr(value, "nanosecond", 0))
