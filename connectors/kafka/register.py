"""A register: one value in a compacted topic, which only one process at a time may replace."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import kafka
from kafka.errors import KafkaError

from connectors.kafka.connection import client_options, kafka_errors
from connectors.kafka.consumer import KafkaConsumer, read_topic
from connectors.kafka.topics import describe_topic, ensure_topic
from streamjobs.brokers.kafka import KafkaConnection, connection_of
from streamjobs.errors import SystemicError

REGISTER_CONFIGS = MappingProxyType(
    {
        "cleanup.policy": "compact",
        "message.timestamp.type": "CreateTime",
        "segment.bytes": str(8 * 1024 * 1024),
        "min.cleanable.dirty.ratio": "0.1",
    }
)
"""Only the newest record of each name is kept."""
_FENCED = frozenset({"ProducerFencedError", "InvalidProducerEpochError", "TransactionCoordinatorFencedError"})


class KafkaRegister:
    """A named value, with slots for more values, in a topic; a record is name/slot, a line feed, the value.

    Promise: `write` returns when the broker has the value on all replicas. The process that opens the
    register last owns it: a `write` of an earlier owner raises SystemicError and changes nothing (the broker
    fences its transactions). Use it from one thread.
    """

    def __init__(
        self, bootstrap: str | KafkaConnection, topic: str, name: str, *, timeout_s: float = 30.0
    ) -> None:
        self._connection = connection_of(bootstrap)
        self._topic = topic
        self._name = name
        ensure_topic(self._connection, topic, 1, REGISTER_CONFIGS)
        with kafka_errors(f"taking over {name} in topic {topic}"):
            self._client: Any = kafka.KafkaProducer(
                **client_options(self._connection, f"streamjobs-register-{name}"),
                acks="all",
                enable_idempotence=True,
                transactional_id=f"{topic}/{name}",
                transaction_timeout_ms=int(timeout_s * 1000),
                allow_auto_create_topics=False,
                max_block_ms=int(timeout_s * 1000),
                delivery_timeout_ms=int(timeout_s * 1000),
                request_timeout_ms=int(timeout_s * 1000) - 1000,
                linger_ms=0,
                metrics_enabled=False,
            )
            try:
                self._client.init_transactions()
            except BaseException:
                self._client.close(timeout=0)
                raise

    def read(self, slot: str = "") -> bytes | None:
        """Return the last written value of a slot, None when it was never written."""
        return read_register(self._connection, self._topic, self._name, slot)

    def write(self, value: bytes, slot: str = "") -> None:
        """Replace the value of a slot."""
        with kafka_errors(f"storing {self._name} in topic {self._topic}"):
            try:
                self._client.begin_transaction()
                key = _key(self._name, slot)
                self._client.send(self._topic, key + b"\n" + value, key=key, partition=0)
                self._client.commit_transaction()
            except KafkaError as exc:
                if type(exc).__name__ in _FENCED:
                    message = (
                        f"{self._name} in topic {self._topic} was taken over by another process: "
                        "one source is captured by one process"
                    )
                    raise SystemicError(message) from exc
                raise

    def close(self) -> None:
        """Close the connection."""
        self._client.close(timeout=5)


def read_register(bootstrap: str | KafkaConnection, topic: str, name: str, slot: str = "") -> bytes | None:
    """Return the value of a slot without taking over the register; None when it or the topic is missing."""
    if describe_topic(bootstrap, topic) is None:
        return None
    consumer = KafkaConsumer(bootstrap, "read_committed")
    value = None
    try:
        for envelope in read_topic(consumer, topic):
            key, _, data = envelope.payload.partition(b"\n")
            if key == _key(name, slot):
                value = data
    finally:
        consumer.close()
    return value


def _key(name: str, slot: str) -> bytes:
    return f"{name}/{slot}".encode() if slot else name.encode()
