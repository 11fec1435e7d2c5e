"""The circuit breaker: a store that keeps failing gets few records, and more with each success."""

from __future__ import annotations

FAILURES_TO_OPEN = 5


class Breaker:
    """Limits how many records the next try may send.

    Closed: no limit. It opens after FAILURES_TO_OPEN failed tries in a row: the next tries send one record, a
    probe, so that big batches do not keep a slow or full store from recovering. Each success doubles the
    limit; the breaker closes once `full` records were sent successfully.
    """

    def __init__(self, full: int) -> None:
        self._full = full
        self._failures = 0
        self._bound: int | None = None

    @property
    def is_open(self) -> bool:
        """Return whether tries are limited."""
        return self._bound is not None

    def allowance(self, wanted: int) -> int:
        """Return how many records the next try may send."""
        return wanted if self._bound is None else min(wanted, self._bound)

    def failed(self) -> None:
        """Record a failed try."""
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN:
            self._bound = 1

    def succeeded(self) -> None:
        """Record a try that the store answered."""
        self._failures = 0
        if self._bound is not None:
            self._bound = None if self._bound * 2 >= self._full else self._bound * 2
