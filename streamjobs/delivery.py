"""Delivery: takes a subtask's changes to any sink: reduced, batched, retried, bisected, dead-lettered.

Four classes of failure, written once for all stores:
    transient   RetriableError: the same batch again, full jitter, until the retry budget is spent
    poison      a Rejection: becomes a dead letter (stage `sink`), is counted, the rest goes on
    systemic    SystemicError: the job stops, nothing is dead-lettered
    internal    anything else is a bug of ours: caught nowhere
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from streamjobs import metrics as names
from streamjobs.dead_letter import DeadLetter
from streamjobs.errors import RetriableError, SystemicError
from streamjobs.metrics import MetricGroup
from streamjobs.rejected import dead_letter_of
from streamjobs.retry import Clock, RetryPolicy, SystemClock, call_with_retries
from streamjobs.sink import Attempt, Record, RecordKind, Rejection, Sink, SinkTable, WriteResult

logger = logging.getLogger(__name__)

T = TypeVar("T")

COUNTER_BITS = 33
"""Low bits of a version: the counter within one attempt."""


class DeadLetters(Protocol):
    """Takes dead letters; returns when they are durable. Raises RetriableError or SystemicError."""

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Store the letters; the same letter may come again."""


@dataclass(frozen=True)
class DeadLetterCap:
    """When poison is no longer an exception: the job stops before it drains a topic into dead letters.

    It stops when, within `window_s`, more than `at_least` records and more than `share` of all were rejected.
    """

    share: float = 0.05
    at_least: int = 100
    window_s: float = 60.0


class Delivery:
    """Writes one subtask's changes to one sink.

    Promise: when `write` returns, every change is in the store or in the dead letters, both durable: a
    checkpoint may follow. Changes of one key take effect in the order given. Blocks while the store is down
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
        self._policy = policy or RetryPolicy()
        self._clock = clock or SystemClock()
        self._cap = _CapWatch(cap or DeadLetterCap(), self._clock)
        self._version = epoch << COUNTER_BITS
        self._last_version = self._version | ((1 << COUNTER_BITS) - 1)
        self._blocked_since_s: float | None = None
        self._records_in = metrics.counter(names.RECORDS_IN)
        self._written = metrics.counter(names.RECORDS_WRITTEN)
        self._deletes = metrics.counter(names.DELETES_WRITTEN)
        self._rejected = metrics.counter(names.RECORDS_REJECTED)
        self._batches = metrics.counter(names.BATCHES_WRITTEN)
        self._batch_rows = metrics.distribution(names.BATCH_ROWS)
        self._write_ms = metrics.distribution(names.WRITE_MS)
        self._retries = metrics.counter(names.RETRIES)
        self._letters = metrics.counter(names.DEAD_LETTERS)
        metrics.gauge(names.BLOCKED_MS, self._blocked_ms)

    def open(self) -> None:
        """Open the sink, which fences off older attempts; retried like a write."""
        self._retry(lambda: self._sink.open(self._attempt))

    def next_version(self) -> int:
        """Give the version of the next record: `epoch << 33 | counter`. Raises SystemicError at 2**33."""
        if self._version == self._last_version:
            message = f"this attempt has written {1 << COUNTER_BITS} records; restart the job for a new epoch"
            raise SystemicError(message)
        self._version += 1
        return self._version

    def write(self, records: Sequence[Record]) -> None:
        """Deliver the changes, in the order in which they were made; see the class for the promise."""
        self._records_in.inc(len(records))
        reduced = reduce_changes(records, self._table)
        traits = self._sink.traits
        rejections: list[Rejection] = []
        for batch in split_batches(reduced, traits.max_batch_rows, traits.max_batch_bytes):
            rejections += self._deliver(batch)
        if rejections:
            now_ms = self._clock.now_ms()
            letters = [dead_letter_of(rejection, self._job, self._table, now_ms) for rejection in rejections]
            self._retry(lambda: self._dead_letters.add(letters))
            self._letters.inc(len(letters))

    def close(self) -> None:
        """Let go of the store; nothing is pending."""
        self._sink.close()

    def _deliver(self, batch: Sequence[Record]) -> list[Rejection]:
        """Write one batch; where the whole of it is refused, halve it until the poison stands alone."""
        parts = [batch]
        rejections: list[Rejection] = []
        while parts:
            part = parts.pop()
            rejected = self._send(part).rejected
            if len(rejected) == len(part) > 1:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
                continue
            self._count(part, rejected)
            rejections += rejected
        return rejections

    def _send(self, part: Sequence[Record]) -> WriteResult:
        started = self._clock.monotonic_s()
        result = self._retry(lambda: self._sink.write(part))
        self._batches.inc()
        self._batch_rows.update(len(part))
        self._write_ms.update(int((self._clock.monotonic_s() - started) * 1000))
        return result

    def _count(self, part: Sequence[Record], rejected: Sequence[Rejection]) -> None:
        self._written.inc(len(part) - len(rejected))
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


class _CapWatch:
    def __init__(self, cap: DeadLetterCap, clock: Clock) -> None:
        self._cap = cap
        self._clock = clock
        self._since_s = clock.monotonic_s()
        self._seen = 0
        self._rejected = 0

    def note(self, seen: int, rejected: Sequence[Rejection], table: str) -> None:
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


def reduce_changes(records: Sequence[Record], table: SinkTable) -> list[Record]:
    """Give each key's last effect, sorted by key.

    An UPSERT that leaves columns out (ABSENT) is laid over an earlier one of the same key; after a DELETE
    its missing columns are NULL. A DELETE stays whatever came before it: after a filter on an updating view
    a lone UPDATE_BEFORE is a delete.
    """
    last: dict[tuple[object, ...], Record] = {}
    for record in records:
        earlier = last.get(record.key)
        last[record.key] = record if earlier is None else _over(earlier, record, table)
    try:
        return sorted(last.values(), key=lambda record: record.key)
    except TypeError:
        return sorted(last.values(), key=lambda record: repr(record.key))


def _over(earlier: Record, later: Record, table: SinkTable) -> Record:
    if later.kind is RecordKind.DELETE or len(later.values) == len(table.columns):
        return later
    if earlier.kind is RecordKind.UPSERT:
        return replace(later, values={**earlier.values, **later.values})
    nulls = dict.fromkeys((column.name for column in table.columns), None)
    return replace(later, values={**nulls, **later.values})


def split_batches(records: Sequence[Record], max_rows: int, max_bytes: int) -> Iterator[Sequence[Record]]:
    """Cut into batches of at most `max_rows` and about `max_bytes`; one record too big stands alone."""
    start = size = 0
    for i, record in enumerate(records):
        weight = record_bytes(record)
        if i > start and (i - start >= max_rows or size + weight > max_bytes):
            yield records[start:i]
            start, size = i, 0
        size += weight
    if start < len(records):
        yield records[start:]


def record_bytes(record: Record) -> int:
    """Estimate what a record weighs on the way to a store; texts and bytes count, the rest is flat."""
    values = record.values.values()
    return 16 + 12 * len(record.values) + sum([len(v) for v in values if type(v) is str or type(v) is bytes])
