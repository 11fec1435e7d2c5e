"""Delivery of a subtask's changes to any sink: reduced, batched, retried, bisected, dead-lettered.

Four classes of failure, handled here for all stores:
    transient   RetriableError: the same batch again, full jitter, until the retry budget is spent
    poison      a Rejection: becomes a dead letter (stage `sink`) and is counted; the rest is written
    systemic    SystemicError: the job stops, nothing is dead-lettered
    internal    anything else is our bug: caught nowhere
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from streamjobs import metrics as names
from streamjobs.changes.dead_letter import DeadLetter
from streamjobs.delivery.breaker import Breaker
from streamjobs.delivery.cap import CapWatch, DeadLetterCap
from streamjobs.delivery.reduction import reduce_changes, weighed_batches
from streamjobs.delivery.rejected import dead_letter_of
from streamjobs.delivery.settings import DeliverySettings
from streamjobs.errors import RetriableError, SystemicError
from streamjobs.metrics import MetricGroup
from streamjobs.retry import Clock, RetryPolicy, SystemClock, call_with_retries
from streamjobs.sinks.contract import Attempt, Record, RecordKind, Rejection, Sink, SinkTable, WriteResult
from streamjobs.sinks.upsert_batch import has_deletes

logger = logging.getLogger(__name__)

T = TypeVar("T")

COUNTER_BITS = 33
"""Low bits of a version: the counter within one attempt."""


class DeadLetters(Protocol):
    """Stores dead letters; returns when they are durable. Raises RetriableError or SystemicError."""

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Store the letters; the same letter may come again."""


class Delivery:
    """Writes one subtask's changes to one sink.

    Promise: when `write` returns, every change is in the store or in the dead letters, both durable: a
    checkpoint may follow. Changes of one key take effect in the given order. Blocks while the store is down
    (backpressure) up to the retry budget. One thread uses it. `alive` is called before every try and must
    raise when this worker has become a zombie.
    Raises: RetriableError (budget spent), SystemicError.
    """

    def __init__(
        self,
        sink: Sink,
        attempt: Attempt,
        *,
        job: str,
        table: SinkTable,
        metrics: MetricGroup,
        dead_letters: DeadLetters,
        alive: Callable[[], None],
        policy: RetryPolicy | None = None,
        settings: DeliverySettings | None = None,
        cap: DeadLetterCap | None = None,
        clock: Clock | None = None,
        epoch: int = 0,
    ) -> None:
        self._sink = sink
        self._attempt = attempt
        self._job = job
        self._table = table
        self._dead_letters = dead_letters
        self._alive = alive
        settings = settings or DeliverySettings()
        self._policy = policy or settings.policy
        self._ignore_deletes = settings.ignore_deletes
        most = sink.traits.max_batch_rows
        self._max_rows = most if settings.max_rows is None else min(most, settings.max_rows)
        self._breaker = Breaker(self._max_rows)
        self._clock = clock or SystemClock()
        self._cap = CapWatch(cap or DeadLetterCap(), self._clock)
        self._version = epoch << COUNTER_BITS
        self._last_version = self._version | ((1 << COUNTER_BITS) - 1)
        self._blocked_since_s: float | None = None
        self._records_in = metrics.counter(names.RECORDS_IN)
        self._written = metrics.counter(names.RECORDS_WRITTEN)
        self._deletes = metrics.counter(names.DELETES_WRITTEN)
        self._rejected = metrics.counter(names.RECORDS_REJECTED)
        self._batches = metrics.counter(names.BATCHES_WRITTEN)
        self._batch_rows = metrics.distribution(names.BATCH_ROWS)
        self._bytes = metrics.counter(names.BYTES_WRITTEN)
        self._write_ms = metrics.distribution(names.WRITE_MS)
        self._retries = metrics.counter(names.RETRIES)
        self._letters = metrics.counter(names.DEAD_LETTERS)
        metrics.gauge(names.BLOCKED_MS, self._blocked_ms)
        metrics.gauge(names.CIRCUIT_OPEN, lambda: int(self._breaker.is_open))

    def open(self) -> None:
        """Open the sink, which fences off older attempts; retried like a write."""
        self._retry(lambda: self._sink.open(self._attempt))

    def next_version(self) -> int:
        """Return the version of the next record: `epoch << 33 | counter`. Raises SystemicError at 2**33."""
        return self.next_versions(1)[0]

    def next_versions(self, count: int) -> range:
        """Return the versions of the next records; raises as `next_version` does."""
        first = self._version + 1
        if first + count > self._last_version + 1:
            message = f"this attempt has written {1 << COUNTER_BITS} records; restart the job for a new epoch"
            raise SystemicError(message)
        self._version += count
        return range(first, first + count)

    def write(self, records: Sequence[Record]) -> None:
        """Deliver the changes, in the order in which they were made; see the class for the promise."""
        self._records_in.inc(len(records))
        if self._ignore_deletes and has_deletes(records):
            records = [record for record in records if record.kind is not RecordKind.DELETE]
        reduced = reduce_changes(records, self._table)
        rejections: list[Rejection] = []
        for batch, size in weighed_batches(reduced, self._max_rows, self._sink.traits.max_batch_bytes):
            rejections += self._deliver(batch)
            self._bytes.inc(size)
        if rejections:
            now_ms = self._clock.now_ms()
            letters = [dead_letter_of(rejection, self._job, self._table, now_ms) for rejection in rejections]
            self._retry(lambda: self._dead_letters.add(letters))
            self._letters.inc(len(letters))

    def close(self) -> None:
        """Close the sink; nothing is pending."""
        self._sink.close()

    def _deliver(self, batch: Sequence[Record]) -> list[Rejection]:
        """Write one batch; if all of it is refused, halve it until the poison is alone in its batch."""
        parts = [batch]
        rejections: list[Rejection] = []
        while parts:
            given = parts.pop()
            part, result = self._send(given)
            rejected = result.rejected
            if len(part) < len(given):
                parts.append(given[len(part) :])
            if len(rejected) == len(part) > 1:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
                continue
            self._count(part, rejected)
            rejections += rejected
        return rejections

    def _send(self, records: Sequence[Record]) -> tuple[Sequence[Record], WriteResult]:
        """Write the records, or the first ones while the breaker is open; return what was written."""
        started = self._clock.monotonic_s()

        def write() -> tuple[Sequence[Record], WriteResult]:
            allowed = self._breaker.allowance(len(records))
            # Without a limit it is the same object at each try: a sink may know what part it has sent.
            part = records if allowed == len(records) else records[:allowed]
            try:
                return part, self._sink.write(part)
            except RetriableError:
                self._breaker.failed()
                raise

        part, result = self._retry(write)
        self._breaker.succeeded()
        self._batches.inc()
        self._batch_rows.update(len(part))
        self._write_ms.update(int((self._clock.monotonic_s() - started) * 1000))
        return part, result

    def _count(self, part: Sequence[Record], rejected: Sequence[Rejection]) -> None:
        self._written.inc(len(part) - len(rejected))
        if has_deletes(part):
            deletes = sum(record.kind is RecordKind.DELETE for record in part)
            self._deletes.inc(deletes - sum(item.record.kind is RecordKind.DELETE for item in rejected))
        self._rejected.inc(len(rejected))
        self._cap.note(len(part), rejected, self._table.name)

    def _retry(self, action: Callable[[], T]) -> T:
        def guarded() -> T:
            self._alive()
            return action()

        def on_retry(error: RetriableError, wait_s: float) -> None:
            if self._blocked_since_s is None:
                self._blocked_since_s = self._clock.monotonic_s()
                logger.warning("table %s waits for its store: %s", self._table.name, error)
            self._retries.inc()

        try:
            return call_with_retries(guarded, self._policy, clock=self._clock, on_retry=on_retry)
        finally:
            if self._blocked_since_s is not None:
                logger.info("table %s has stopped waiting after %d ms", self._table.name, self._blocked_ms())
                self._blocked_since_s = None

    def _blocked_ms(self) -> int:
        since_s = self._blocked_since_s
        return 0 if since_s is None else int((self._clock.monotonic_s() - since_s) * 1000)
