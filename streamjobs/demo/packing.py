"""Makes messages from sendings with the builders of capture, and records which rows each contains."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from streamjobs.changes.row_change import RowChange
from streamjobs.demo.sending import Damage, Sending, damaged
from streamjobs.demo.tables import EVENT_TIME_COLUMNS
from thrift_idl.codec import BuiltMessage, Header, Limits, PartitionMessageBuilder, partition_of

SOURCE: Final = "demo"


@dataclass(frozen=True)
class Packed:
    """A message as it is sent to the broker, and what the sender knows about it.

    `rows` are the row changes inside, in message order; empty for a heartbeat. `time_ms` is the broker
    timestamp. None: `damage` is None for a message that arrives as it was built.
    """

    topic: str
    partition: int
    payload: bytes
    time_ms: int
    rows: tuple[RowChange, ...]
    damage: Damage | None = None


@dataclass(frozen=True)
class PackingOptions:
    """How messages are made from sendings.

    `partitions` is the number of each topic. All topics are flushed after `flush_rows` rows, or when the
    source's clock has advanced by `flush_span_ms`; a partition without rows then gets a heartbeat.
    """

    partitions: int = 2
    disorder_ms: int = 5_000
    flush_rows: int = 1_000
    flush_span_ms: int = 30 * 60 * 1000
    limits: Limits = field(default_factory=Limits)
    seed: int = 1


def pack(sendings: Iterable[Sending], topics: Iterable[str], options: PackingOptions) -> Iterator[Packed]:
    """Yield the messages of all `topics`, in the order of writing; the last ones are heartbeats everywhere.

    Raises: KeyError when a sending's topic is not one of `topics`.
    """
    parcels = {topic: _TopicParcels(topic, options) for topic in topics}
    added, flushed_ms, now_ms = 0, None, 0
    for sending in sendings:
        now_ms = sending.at_ms
        if flushed_ms is None:
            flushed_ms = now_ms
        if added >= options.flush_rows or now_ms - flushed_ms >= options.flush_span_ms:
            yield from _flush(parcels, now_ms)
            added, flushed_ms = 0, now_ms
        if sending.damage is None:
            parcels[sending.topic].add(sending.change)
            added += 1
        else:
            yield from parcels[sending.topic].damaged(sending.change, sending.damage)
    yield from _flush(parcels, now_ms)
    for parcel in parcels.values():
        yield from parcel.heartbeat(now_ms, list(range(options.partitions)))


def _flush(parcels: Mapping[str, _TopicParcels], now_ms: int) -> Iterator[Packed]:
    for parcel in parcels.values():
        yield from parcel.flush()
        yield from parcel.heartbeat(now_ms, parcel.quiet())


class _TopicParcels:
    """One topic's builder and its pending rows, by partition."""

    def __init__(self, topic: str, options: PackingOptions) -> None:
        self._topic = topic
        self._count = options.partitions
        self._builder = PartitionMessageBuilder(
            options.partitions, disorder_ms=options.disorder_ms, limits=options.limits
        )
        self._header = Header(SOURCE, EVENT_TIME_COLUMNS[topic])
        self._waiting: list[deque[RowChange]] = [deque() for _ in range(options.partitions)]
        self._spoken: set[int] = set()
        self._rng = random.Random(options.seed)  # noqa: S311 (damage, not secrets)

    def add(self, change: RowChange) -> None:
        self._waiting[partition_of(change, self._count)].append(change)
        self._builder.add(change)

    def flush(self) -> Iterator[Packed]:
        for partition, built in self._builder.flush(self._header):
            yield self._packed(partition, built)

    def damaged(self, change: RowChange, damage: Damage) -> Iterator[Packed]:
        """Yield the pending messages, then this row alone in a damaged message."""
        yield from self.flush()
        self.add(change)
        for message in self.flush():
            payload = damaged(message.payload, damage, self._rng)
            yield Packed(message.topic, message.partition, payload, message.time_ms, message.rows, damage)

    def quiet(self) -> list[int]:
        """Return the partitions that got no message since the last call."""
        quiet = [partition for partition in range(self._count) if partition not in self._spoken]
        self._spoken.clear()
        return quiet

    def heartbeat(self, now_ms: int, partitions: list[int]) -> Iterator[Packed]:
        for partition, built in self._builder.heartbeat(self._header, now_ms, partitions):
            yield Packed(self._topic, partition, built.payload, built.time_ms, ())

    def _packed(self, partition: int, built: BuiltMessage) -> Packed:
        waiting = self._waiting[partition]
        rows = tuple(waiting.popleft() for _ in range(built.rows))
        self._spoken.add(partition)
        return Packed(self._topic, partition, built.payload, built.time_ms, rows)
