"""The time up to which the broker has acknowledged all changes in the log."""

from __future__ import annotations

from streamjobs.brokers.contract import Receipt
from streamjobs.capture.publish.outbox import Outbox
from streamjobs.capture.status.status import Telemetry
from streamjobs.retry import Clock

_EVERY_S = 0.5


class Delivered:
    """Follows the acknowledgements of one run, apart from the stored position; use from the stream's thread.

    Promise: `CaptureStatus.delivered_to_ms` is a time of this machine, and the broker has acknowledged all
    changes that the log had before it. While the capture lags, commits count with their own time; a
    heartbeat, which means that the log has nothing more, counts with the time of its arrival.
    """

    def __init__(self, outbox: Outbox, clock: Clock, telemetry: Telemetry, clock_ahead_ms: int) -> None:
        self._outbox = outbox
        self._clock = clock
        self._telemetry = telemetry
        self._ahead_ms = clock_ahead_ms
        self._heard_at_ms = self._covered_ms = telemetry.status.delivered_to_ms
        self._committed_at_ms = 0
        self._receipt: Receipt | None = None
        self._due_s = clock.monotonic_s()

    def committed(self, committed_at_ms: int) -> None:
        """Note that a transaction with this commit time (server's clock) was passed to the outbox."""
        self._committed_at_ms = committed_at_ms

    def heard(self, received_at_ms: int) -> None:
        """Note that the server had nothing more at this time of this machine."""
        self._heard_at_ms, self._committed_at_ms = received_at_ms, 0

    @property
    def reached_ms(self) -> int:
        """The time up to which the log was read, 0 if not known yet.

        A commit with a time in the future (SET timestamp) does not count.
        """
        committed_ms = self._committed_at_ms - self._ahead_ms
        if committed_ms > self._clock.now_ms():
            return self._covered_ms
        return max(self._heard_at_ms, committed_ms, 0)

    def take(self, now_s: float) -> None:
        """Request an acknowledgement of everything so far, when it is due; only between transactions."""
        if self._receipt is None and now_s >= self._due_s:
            self._due_s = now_s + _EVERY_S
            self._covered_ms, self._receipt = self.reached_ms, self._outbox.receipt()
            self._telemetry.update(owed_since_ms=self._clock.now_ms())

    def poll(self) -> None:
        """Check whether the acknowledgement has arrived. Raises what sending raises."""
        if self._receipt is not None and self._receipt.wait(0.0):
            self._receipt = None
            self._telemetry.update(delivered_to_ms=self._covered_ms, owed_since_ms=0)
