"""The producer: sends envelopes to explicit partitions, in order, acknowledged by all replicas."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

import kafka
from kafka.errors import KafkaError

from connectors.kafka.connection import client_options, error_of, kafka_errors
from connectors.kafka.topics import describe_topic
from streamjobs.brokers.contract import Envelope, Receipt
from streamjobs.brokers.kafka import KafkaConnection, connection_of
from streamjobs.errors import RetriableError, StreamjobsError, SystemicError

_RECORD_OVERHEAD_BYTES = 200
"""Memory of one unacknowledged record in addition to its payload (futures, bookkeeping)."""

_ABANDON_S = 5.0
_METADATA_AGE_MS = 60_000


class KafkaProducer:
    """Sends envelopes; fulfils `streamjobs.brokers.contract.Producer`.

    Promise: idempotent and acks=all, so within one producer no record is lost or reordered in its partition,
    also when a broker dies and restarts within `delivery_timeout_s`. No record is duplicated while its
    timestamp is younger than the broker's `producer.id.expiration.ms` (a day by default): a broker forgets
    who wrote older ones, and a record that is sent again is then stored twice (docs/decisions/0036). After
    the first failure the producer cannot be used: every further call raises that failure again; make a new
    one and send again from the last `flush` that returned.
    """

    def __init__(
        self,
        bootstrap: str | KafkaConnection,
        *,
        client_id: str = "streamjobs-producer",
        max_in_flight_bytes: int = 32 * 1024 * 1024,
        max_record_bytes: int = 8 * 1024 * 1024,
        batch_bytes: int = 512 * 1024,
        linger_ms: int = 10,
        compression: str | None = None,
        delivery_timeout_s: float = 120.0,
        connect_timeout_s: float = 30.0,
    ) -> None:
        self._connection = connection_of(bootstrap)
        self._client_id = client_id
        self._max_in_flight_bytes = max_in_flight_bytes
        self._timeout_s = delivery_timeout_s
        self._partitions: dict[str, int] = {}
        self._changed = threading.Condition()
        self._in_flight_bytes = 0
        self._receipts = 0
        self._waiting: Counter[int] = Counter()
        self._failure: StreamjobsError | None = None
        with kafka_errors(f"connecting to Kafka at {self._connection.bootstrap}"):
            self._client = kafka.KafkaProducer(
                **client_options(self._connection, client_id),
                acks="all",
                enable_idempotence=True,
                allow_auto_create_topics=False,
                batch_size=batch_bytes,
                linger_ms=linger_ms,
                compression_type=compression,
                max_request_size=max_record_bytes,
                delivery_timeout_ms=int(delivery_timeout_s * 1000),
                request_timeout_ms=min(30_000, max(1, int(delivery_timeout_s * 1000) - linger_ms)),
                max_block_ms=int(delivery_timeout_s * 1000),
                bootstrap_timeout_ms=int(connect_timeout_s * 1000),
                metadata_max_age_ms=_METADATA_AGE_MS,
                metrics_enabled=False,
            )

    def send(self, envelope: Envelope) -> None:
        """Queue one envelope for its explicit partition; blocks while too much is unacknowledged."""
        if not 0 <= envelope.partition < self._known_partitions(envelope.topic):
            message = f"topic {envelope.topic} has no partition {envelope.partition}"
            raise SystemicError(message)
        size = len(envelope.payload) + _RECORD_OVERHEAD_BYTES
        place = f"{envelope.topic}/{envelope.partition}"
        number = self._receipts
        self._reserve(size, number)
        try:
            with kafka_errors(f"sending to {place}"):
                future = self._client.send(
                    envelope.topic,
                    envelope.payload,
                    partition=envelope.partition,
                    timestamp_ms=envelope.timestamp_ms,
                    headers=list(envelope.headers.items()),
                )
        except StreamjobsError as exc:
            self._settle(size, number, exc)
            raise
        future.add_callback(lambda _: self._settle(size, number, None))
        future.add_errback(lambda exc: self._settle(size, number, error_of(exc, f"sending to {place}")))

    def flush(self) -> None:
        """Wait until everything is acknowledged.

        Raises: the first failure of a sent record; RetriableError at the timeout.
        """
        with kafka_errors(f"flushing to Kafka at {self._connection.bootstrap}"):
            self._client.flush(self._timeout_s)
        self._wait_until(0)

    def receipt(self) -> Receipt:
        """Return the receipt for everything sent so far, without waiting."""
        self._receipts += 1
        return _Receipt(self, self._receipts - 1)

    def acknowledged(self, number: int, timeout_s: float) -> bool:
        """Return whether all sent before the receipt `number` is acknowledged; see `Receipt.wait`."""
        with self._changed:
            if timeout_s > 0:
                self._changed.wait_for(lambda: self._failure or self._is_settled(number), timeout_s)
            if self._failure is not None:
                raise self._failure
            return self._is_settled(number)

    def partitions(self, topic: str) -> int:
        """Return the topic's number of partitions, at most a minute old.

        Raises: SystemicError when there is no such topic; other errors as `error_of` maps them.
        """
        self._known_partitions(topic)
        with kafka_errors(f"reading the partitions of {topic}"):
            now = len(self._client.partitions_for(topic))
        self._partitions[topic] = max(now, self._partitions[topic])
        return self._partitions[topic]

    def close(self) -> None:
        """Flush and close the connection, also when the flush fails."""
        timeout_s = 0.0
        try:
            self.flush()
            timeout_s = self._timeout_s
        finally:
            self._client.close(timeout=timeout_s)

    def abandon(self) -> None:
        """Close the connection at once; records not yet acknowledged may or may not arrive."""
        sender = self._client._sender  # noqa: SLF001 (close() waits for what is pending first, and raises)
        if sender is not None:
            sender.force_close()
            sender.join(_ABANDON_S)
        with suppress(KafkaError):
            self._client.close(timeout=0)

    def _known_partitions(self, topic: str) -> int:
        known = self._partitions.get(topic)
        if known is None:
            info = describe_topic(self._connection, topic, client_id=self._client_id)
            if info is None:
                message = f"topic {topic} does not exist at {self._connection.bootstrap}; create it first"
                raise SystemicError(message)
            known = self._partitions[topic] = info.partitions
        return known

    def _is_settled(self, number: int) -> bool:
        return all(waiting > number for waiting in self._waiting)

    def _reserve(self, size: int, number: int) -> None:
        with self._changed:
            busy = self._in_flight_bytes + size > self._max_in_flight_bytes and self._in_flight_bytes > 0
        if busy:
            self._wait_until(max(0, self._max_in_flight_bytes - size))
        with self._changed:
            if self._failure is not None:
                raise self._failure
            self._in_flight_bytes += size
            self._waiting[number] += 1

    def _wait_until(self, in_flight_bytes: int) -> None:
        deadline = time.monotonic() + self._timeout_s
        with self._changed:
            while self._failure is None and self._in_flight_bytes > in_flight_bytes:
                if not self._changed.wait(max(0.0, deadline - time.monotonic())):
                    message = (
                        f"Kafka at {self._connection.bootstrap} did not acknowledge "
                        f"{self._in_flight_bytes} bytes within {self._timeout_s:g} s"
                    )
                    raise RetriableError(message)
            if self._failure is not None:
                raise self._failure

    def _settle(self, size: int, number: int, failure: StreamjobsError | None) -> None:
        with self._changed:
            self._in_flight_bytes -= size
            self._waiting[number] -= 1
            if not self._waiting[number]:
                del self._waiting[number]
            self._failure = self._failure or failure
            self._changed.notify_all()


@dataclass(frozen=True)
class _Receipt:
    producer: KafkaProducer
    number: int

    def wait(self, timeout_s: float, /) -> bool:
        return self.producer.acknowledged(self.number, timeout_s)
