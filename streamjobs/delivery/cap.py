"""The cap on dead letters: very many refused records mean a wrong declaration, not poison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamjobs.errors import SystemicError
from streamjobs.retry import Clock
from streamjobs.sinks.contract import Rejection


@dataclass(frozen=True)
class DeadLetterCap:
    """The limit at which a job stops, so that it does not turn a whole topic into dead letters.

    It stops when more than `at_least` records and more than `share` of all were rejected within `window_s`.
    """

    share: float = 0.05
    at_least: int = 100
    window_s: float = 60.0


class CapWatch:
    """Counts rejections in windows of time, and raises SystemicError once there are too many."""

    def __init__(self, cap: DeadLetterCap, clock: Clock) -> None:
        self._cap = cap
        self._clock = clock
        self._since_s = clock.monotonic_s()
        self._seen = 0
        self._rejected = 0

    def note(self, seen: int, rejected: Sequence[Rejection], table: str) -> None:
        """Count `seen` records, of which some were rejected. Raises SystemicError at the cap."""
        now_s = self._clock.monotonic_s()
        if now_s - self._since_s > self._cap.window_s:
            self._since_s, self._seen, self._rejected = now_s, 0, 0
        self._seen += seen
        self._rejected += len(rejected)
        if rejected and self._rejected > max(self._cap.at_least, self._cap.share * self._seen):
            last = rejected[-1]
            message = (
                f"table {table} refused {self._rejected} of {self._seen} records within "
                f"{self._cap.window_s:g} s: stopped before the rest become dead letters. "
                f"Last: key {last.record.key!r}: {last.reason}: {last.detail}"
            )
            raise SystemicError(message)
