"""How much of the log the broker has: the time up to which every change is acknowledged."""

from __future__ import annotations

from streamjobs.brokers.contract import Receipt
from streamjobs.capture.publish.outbox import Outbox
from streamjobs.capture.status.status import Telemetry
from streamjobs.retry import Clock

_EVERY_S = 0.5


class Delivered:
    """Follows the acknowledgements of one run, beside the stored position; use from the stream's thread.

    Promise: `CaptureStatus.delivered_to_ms` is a time of this machine, and the broker has acknowledged all
    that the log had of the time before it. A commit's own time counts while the capture is behind; a
    heartbeat, which says that the server has nothing more, counts with the time at which it came.
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
        """Say that a transaction of this commit time, by the server's clock, was handed to the outbox."""
        self._committed_at_ms = committed_at_ms

    def heard(self, received_at_ms: int) -> None:
        """Say that the server had nothing more at this time of this machine."""
        self._heard_at_ms, self._committed_at_ms = received_at_ms, 0

    @property
    def reached_ms(self) -> int:
        """The time up to which the log was read, 0 when it is not known yet.

        A commit that claims to be of the future (SET timestamp) moves nothing.
        """
        committed_ms = self._committed_at_ms - self._ahead_ms
        if committed_ms > self._clock.now_ms():
            return self._covered_ms
        return max(self._heard_at_ms, committed_ms, 0)

    def take(self, now_s: float) -> None:
        """Ask for the acknowledgement of all so far, when it is time; between transactions only."""
        if self._receipt is None and now_s >= self._due_s:
            self._due_s = now_s + _EVERY_S
            self._covered_ms, self._receipt = self.reached_ms, self._outbox.receipt()
            self._telemetry.update(owed_since_ms=self._clock.now_ms())

    def poll(self) -> None:
        """Look whether the acknowledgement has come. Raises what sending raises."""
        if self._receipt is not None and self._receipt.wait(0.0):
            self._receipt = None
            self._telemetry.update(delivered_to_ms=self._covered_ms, owed_since_ms=0)
