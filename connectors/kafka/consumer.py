"""The consumer: reads envelopes of explicit partitions from explicit offsets."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import kafka
from kafka import TopicPartition

from connectors.kafka.connection import client_options, kafka_errors
from streamjobs.brokers.contract import Envelope
from streamjobs.brokers.kafka import KafkaConnection, connection_of
from streamjobs.errors import RetriableError, SystemicError

Isolation = Literal["read_uncommitted", "read_committed"]


class KafkaConsumer:
    """Reads envelopes; fulfils `streamjobs.brokers.contract.Consumer`.

    Promise: it never joins a group, never commits and never skips records: an offset that retention has
    removed is a SystemicError. Every CRC is checked. With `read_committed` it returns only records of
    committed transactions, and `end_offsets` is the end of those.
    """

    def __init__(
        self,
        bootstrap: str | KafkaConnection,
        isolation: Isolation = "read_uncommitted",
        *,
        client_id: str = "streamjobs-consumer",
        max_poll_records: int = 10_000,
        timeout_s: float = 30.0,
    ) -> None:
        self._connection = connection_of(bootstrap)
        self._timeout_ms = int(timeout_s * 1000)
        self._assigned: set[TopicPartition] = set()
        with kafka_errors(f"connecting to Kafka at {self._connection.bootstrap}"):
            self._client = kafka.KafkaConsumer(
                **client_options(self._connection, client_id),
                isolation_level=isolation,
                enable_auto_commit=False,
                auto_offset_reset="none",
                allow_auto_create_topics=False,
                check_crcs=True,
                max_poll_records=max_poll_records,
                max_partition_fetch_bytes=8 * 1024 * 1024,
                bootstrap_timeout_ms=self._timeout_ms,
                metrics_enabled=False,
            )

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Read this partition from `offset` on; assign it if it was not assigned."""
        place = TopicPartition(topic, partition)
        with kafka_errors(f"seeking {topic}/{partition}/{offset}"):
            if place not in self._assigned:
                self._assigned.add(place)
                self._client.assign(sorted(self._assigned))
            self._client.seek(place, offset)

    def position(self, topic: str, partition: int) -> int:
        """Return the offset that `poll` reads next; it also counts transaction markers."""
        with kafka_errors(f"reading the position of {topic}/{partition}"):
            position = self._client.position(TopicPartition(topic, partition), timeout_ms=self._timeout_ms)
        if position is None:
            message = f"the position of {topic}/{partition} is unknown; seek first"
            raise RetriableError(message)
        return int(position)

    def poll(self, timeout_s: float) -> Sequence[Envelope]:
        """Return the envelopes that have arrived; wait at most `timeout_s`; empty if there are none."""
        with kafka_errors(f"reading from Kafka at {self._connection.bootstrap}"):
            batches = self._client.poll(timeout_ms=int(timeout_s * 1000))
        return [_envelope(record) for records in batches.values() for record in records]

    def read_one(self, topic: str, partition: int, offset: int) -> Envelope | None:
        """Return the record at this offset; None if there is none, or if none arrived within the timeout.

        Only this partition is read afterwards.
        """
        self._assigned.clear()
        self.seek(topic, partition, offset)
        deadline = time.monotonic() + self._timeout_ms / 1000
        while time.monotonic() < deadline and self.position(topic, partition) == offset:
            for envelope in self.poll(timeout_s=1.0):
                return envelope if envelope.offset == offset else None
        return None

    def read_range(self, topic: str, partition: int, begin: int, end: int) -> Iterator[Envelope]:
        """Yield the records from offset `begin` to before `end`, except those that no longer exist.

        Only this partition is read afterwards. Raises RetriableError when nothing arrives within the timeout.
        """
        self._assigned.clear()
        self.seek(topic, partition, begin)
        deadline = time.monotonic() + self._timeout_ms / 1000
        while (reached := self.position(topic, partition)) < end:
            for envelope in self.poll(timeout_s=1.0):
                if envelope.offset is not None and envelope.offset < end:
                    yield envelope
            if self.position(topic, partition) > reached:
                deadline = time.monotonic() + self._timeout_ms / 1000
            elif time.monotonic() > deadline:
                message = f"{topic}/{partition}: no record from offset {reached} to before {end} has arrived"
                raise RetriableError(message)

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        """Return for each partition the offset that the next record will get."""
        places = self._places(topic)
        with kafka_errors(f"reading the end offsets of {topic}"):
            offsets = self._client.end_offsets(places, timeout_ms=self._timeout_ms)
        return {place.partition: offsets[place] for place in places}

    def beginning_offsets(self, topic: str) -> Mapping[int, int]:
        """Return for each partition the offset of the oldest record that still exists."""
        places = self._places(topic)
        with kafka_errors(f"reading the beginning offsets of {topic}"):
            offsets = self._client.beginning_offsets(places, timeout_ms=self._timeout_ms)
        return {place.partition: offsets[place] for place in places}

    def close(self) -> None:
        """Close the connection."""
        self._client.close(autocommit=False)

    def _places(self, topic: str) -> list[TopicPartition]:
        with kafka_errors(f"describing topic {topic}"):
            partitions = self._client.partitions_for_topic(topic)
        if not partitions:
            message = f"topic {topic} does not exist at {self._connection.bootstrap}"
            raise SystemicError(message)
        return [TopicPartition(topic, partition) for partition in sorted(partitions)]


def read_topic(consumer: KafkaConsumer, topic: str) -> Iterator[Envelope]:
    """Yield every envelope from the topic's beginning to its present end, partition by partition in order.

    Promise: it ends even while others write, and if transaction markers or removed records are at the end of
    the topic. The consumer must not be used for another topic at the same time.
    """
    ends = {p: end for p, end in consumer.end_offsets(topic).items() if end > 0}
    begins = consumer.beginning_offsets(topic)
    open_partitions = {partition for partition, end in ends.items() if begins[partition] < end}
    for partition in sorted(open_partitions):
        consumer.seek(topic, partition, begins[partition])
    while open_partitions:
        for envelope in consumer.poll(timeout_s=1.0):
            if envelope.offset is not None and envelope.offset < ends[envelope.partition]:
                yield envelope
        open_partitions = {p for p in open_partitions if consumer.position(topic, p) < ends[p]}


def _envelope(record: Any) -> Envelope:
    return Envelope(
        topic=record.topic,
        partition=record.partition,
        payload=record.value or b"",
        timestamp_ms=record.timestamp,
        offset=record.offset,
        headers=dict(record.headers),
    )
