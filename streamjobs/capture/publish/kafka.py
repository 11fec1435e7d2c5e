"""The Kafka clients of a capture: producer, topics, dead letters, the stored position."""

from __future__ import annotations

from collections.abc import Mapping

from connectors.kafka import (
    KafkaConnection,
    KafkaConsumer,
    KafkaDeadLetters,
    KafkaProducer,
    KafkaRegister,
    prepare_topics,
    read_register,
)
from streamjobs.capture.config.settings import BrokerSettings, OffsetSettings
from streamjobs.capture.publish.large_rows import OVERHEAD_BYTES, refuse_small_topic
from streamjobs.capture.publish.partitions import Topic
from streamjobs.capture.state import CaptureState, FileStore, RegisterStore, StateStore, read_file
from thrift_idl import bounds

_IN_FLIGHT_BYTES = 16 << 20
_BATCH_BYTES = 512 << 10


class KafkaBroker:
    """Opens the Kafka clients of one capture; the caller closes all of them."""

    def __init__(self, settings: BrokerSettings, source: str) -> None:
        self._settings = settings
        self._source = source
        self.connection = KafkaConnection(
            settings.bootstrap,
            protocol=settings.protocol,
            mechanism=settings.mechanism,
            username=settings.username,
            password=settings.password.reveal() if settings.password else None,
            ca_file=settings.ca_file,
        )

    def producer(self) -> KafkaProducer:
        """Return a new producer."""
        return KafkaProducer(
            self.connection,
            client_id=f"streamjobs-capture-{self._source}",
            max_in_flight_bytes=_IN_FLIGHT_BYTES,
            max_record_bytes=bounds.MAX_MESSAGE_BYTES + OVERHEAD_BYTES,
            batch_bytes=_BATCH_BYTES,
        )

    def reader(self) -> KafkaConsumer:
        """Return a consumer that reads the capture's own topics."""
        return KafkaConsumer(self.connection, client_id=f"streamjobs-capture-{self._source}-reader")

    def topics(self, wanted: Mapping[str, int]) -> dict[str, Topic]:
        """Find topics, or create them with this number of partitions.

        Raises ConfigError for a topic that accepts smaller requests than a capture sends.
        """
        found = prepare_topics(self.connection, wanted)
        for name, one in found.items():
            refuse_small_topic(name, one.max_bytes, _BATCH_BYTES)
        return {
            name: Topic(one.partitions, one.newest_ms, max_bytes=one.max_bytes) for name, one in found.items()
        }

    def dead_letters(self) -> KafkaDeadLetters:
        """Return a writer of the dead-letter topic."""
        return KafkaDeadLetters(self.connection, self._settings.dead_letters)

    def stored(self, settings: OffsetSettings) -> CaptureState | None:
        """Read the stored position without taking it over; None if there is none."""
        if settings.file is not None:
            return read_file(settings.file, self._source)
        data = read_register(self.connection, settings.topic, self._source)
        return None if data is None else CaptureState.from_json(data)

    def store(self, settings: OffsetSettings) -> StateStore:
        """Take over the stored position of this source."""
        if settings.file is not None:
            return FileStore(settings.file, self._source)
        return RegisterStore(lambda: KafkaRegister(self.connection, settings.topic, self._source))
