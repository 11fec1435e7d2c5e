"""Writes messages to the broker: throttled, and some partitions with a lag."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from streamjobs.brokers.contract import Envelope, Producer
from streamjobs.demo.ledger import Ledger
from streamjobs.demo.packing import Packed

FLUSH_ROWS = 1_000
"""A throttled feed flushes to the broker at least this often."""


@dataclass(frozen=True)
class FeedOptions:
    """The speed of a feed, and the order of its partitions.

    `rate` is rows per second over all topics; None: as fast as possible. `lags` delays the messages of a
    topic and partition: each is written only after so many later messages were made; a lag longer than the
    feed moves the whole partition to the end. The order within a partition never changes.
    `early`: the feed begins while the job starts, so the job starts with a backlog.
    """

    rate: float | None = None
    lags: Mapping[tuple[str, int], int] = field(default_factory=dict)
    early: bool = False


@dataclass(frozen=True)
class FeedResult:
    """How much was written, and how long it took."""

    rows: int
    messages: int
    seconds: float


def feed(
    messages: Iterable[Packed],
    ledger: Ledger,
    producer: Producer,
    options: FeedOptions,
    on_rows: Callable[[int], None] = lambda _: None,
) -> FeedResult:
    """Write all messages, record each in `ledger`, and return when the broker has all.

    `on_rows` is called with the number of rows of each message. Raises the errors of the producer.
    """
    started = time.monotonic()
    rows = sent = unflushed = 0
    for message in lagging(messages, options.lags):
        ledger.record(message)
        producer.send(Envelope(message.topic, message.partition, message.payload, message.time_ms))
        sent += 1
        rows += len(message.rows)
        unflushed += len(message.rows)
        on_rows(len(message.rows))
        if options.rate is not None:
            ahead_s = rows / options.rate - (time.monotonic() - started)
            if ahead_s > 0.05 or unflushed >= FLUSH_ROWS:
                producer.flush()
                unflushed = 0
            if ahead_s > 0.05:
                time.sleep(ahead_s)
    producer.flush()
    return FeedResult(rows, sent, time.monotonic() - started)


def lagging(messages: Iterable[Packed], lags: Mapping[tuple[str, int], int]) -> Iterator[Packed]:
    """Yield all messages, those of the partitions in `lags` delayed; those still delayed come last."""
    waiting: dict[tuple[str, int], deque[tuple[int, Packed]]] = {place: deque() for place in lags}
    for made, message in enumerate(messages):
        queue = waiting.get((message.topic, message.partition))
        if queue is None:
            yield message
        else:
            queue.append((made, message))
        for place, queue in waiting.items():
            while queue and made - queue[0][0] >= lags[place]:
                yield queue.popleft()[1]
    for queue in waiting.values():
        yield from (message for _, message in queue)
