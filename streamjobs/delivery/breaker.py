"""The circuit breaker: a store that keeps failing is asked for little, and for more as it answers."""

from __future__ import annotations

FAILURES_TO_OPEN = 5


class Breaker:
    """Bounds how many records the next try may send.

    Closed: as many as wanted. After FAILURES_TO_OPEN tries in a row that failed it opens: the next tries send
    one record, a probe, so that a store that is only slow or full is not held down by the size of what it
    cannot finish. Each success doubles the bound; it closes once `full` records went through.
    """

    def __init__(self, full: int) -> None:
        self._full = full
        self._failures = 0
        self._bound: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether tries are bounded."""
        return self._bound is not None

    def allowance(self, wanted: int) -> int:
        """Give how many records the next try may send."""
        return wanted if self._bound is None else min(wanted, self._bound)

    def failed(self) -> None:
        """Note a try that failed."""
        self._failures += 1
        if self._failures >= FAILURES_TO_OPEN:
            self._bound = 1

    def succeeded(self) -> None:
        """Note a try that the store answered."""
        self._failures = 0
        if self._bound is not None:
            self._bound = None if self._bound * 2 >= self._full else self._bound * 2
