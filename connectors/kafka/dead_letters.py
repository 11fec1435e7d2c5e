"""Dead letters in a Kafka topic: durable writes, complete reads, replays."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from connectors.kafka.consumer import KafkaConsumer, read_topic
from connectors.kafka.producer import KafkaProducer
from connectors.kafka.topics import DEAD_LETTER_CONFIGS, describe_topic, ensure_topic, newest_times
from streamjobs.brokers.contract import Envelope
from streamjobs.brokers.kafka import KafkaConnection, connection_of
from streamjobs.changes.dead_letter import DeadLetter, Replayed
from streamjobs.errors import ConfigError, StreamjobsError

MAX_LETTER_BYTES = 16 * 1024 * 1024
REPLAY_HEADER = "streamjobs.replay_of"


class KafkaDeadLetters:
    """Writes dead letters to a topic, which it creates if missing; fulfils `delivery.DeadLetters`.

    Promise: `add` returns when the broker has all of them. It connects for the first letter, and again after
    a failure, so a caller may simply call again.
    """

    def __init__(self, bootstrap: str | KafkaConnection, topic: str, *, partitions: int = 1) -> None:
        self._connection = connection_of(bootstrap)
        self._topic = topic
        self._partitions = partitions
        self._producer: KafkaProducer | None = None

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Store the letters; one id always goes to the same partition."""
        if self._producer is None:
            info = ensure_topic(self._connection, self._topic, self._partitions, DEAD_LETTER_CONFIGS)
            self._partitions = info.partitions
            self._producer = KafkaProducer(
                self._connection, client_id="streamjobs-dead-letters", max_record_bytes=MAX_LETTER_BYTES
            )
        try:
            for letter in letters:
                partition = zlib.crc32(letter.id.encode()) % self._partitions
                self._producer.send(Envelope(self._topic, partition, letter.to_json(), letter.at_ms))
            self._producer.flush()
        except StreamjobsError:
            self._producer.abandon()
            self._producer = None
            raise

    def close(self) -> None:
        """Close the connection; nothing is pending."""
        if self._producer is not None:
            self._producer.close()
            self._producer = None


@dataclass(frozen=True)
class Unreadable:
    """A record in the dead-letter topic that is not a dead letter."""

    envelope: Envelope
    detail: str


def read_dead_letters(
    bootstrap: str | KafkaConnection, topic: str
) -> Iterator[DeadLetter | Replayed | Unreadable]:
    """Yield all letters and notes of replays that are in the topic now; an id may occur more than once.

    Raises: ConfigError when the topic does not exist.
    """
    if describe_topic(bootstrap, topic) is None:
        message = f"there is no dead-letter topic {topic} at {connection_of(bootstrap).bootstrap}"
        raise ConfigError(message)
    consumer = KafkaConsumer(bootstrap, "read_committed", client_id="streamjobs-dlq")
    try:
        for envelope in read_topic(consumer, topic):
            if (note := Replayed.from_json(envelope.payload)) is not None:
                yield note
                continue
            try:
                yield DeadLetter.from_json(envelope.payload)
            except ValueError as exc:
                yield Unreadable(envelope, str(exc))
    finally:
        consumer.close()


@dataclass(frozen=True)
class Replay:
    """The decision of `plan_replay` for each letter of a selection.

    `envelopes` are to be sent, one per message, with topic, partition and time of the target; `sent` are
    their letters, in the same order. `covered` letters are further rows of such a message; `lost` letters
    have no bytes, and the broker no longer has their message. Letters `without_origin` name no message of a
    broker: a result that a query computed, or a row that a capture did not send.
    """

    envelopes: tuple[Envelope, ...]
    sent: tuple[DeadLetter, ...]
    covered: tuple[DeadLetter, ...]
    lost: tuple[DeadLetter, ...]
    without_origin: tuple[DeadLetter, ...]


def plan_replay(
    bootstrap: str | KafkaConnection,
    letters: Sequence[DeadLetter],
    *,
    to_topic: str | None = None,
    disorder_ms: int = 0,
) -> Replay:
    """Decide what to send to process these letters' messages again; send nothing.

    The bytes are those of the letter or, if it has none, those at its origin. They are not changed. The
    partition number is that of the origin. The broker time is the old one, but at least the newest time of
    the target partition minus `disorder_ms`: every message follows this rule. So rows with an older event
    time are late, and a job with a watermark makes them `late` dead letters.
    Raises: ConfigError when a topic does not exist.
    """
    known: dict[tuple[str, int, int], DeadLetter] = {}
    for letter in letters:
        if letter.has_origin:
            known.setdefault(_place(letter), letter)
    found = fetch_messages(bootstrap, list(known))
    newest: dict[str, dict[int, int | None]] = {}
    envelopes = []
    sent = {}
    for place, letter in sorted(known.items(), key=lambda item: item[0]):
        original = found.get(place)
        raw = letter.raw if letter.raw is not None else original.payload if original else None
        if raw is None:
            continue
        sent[place] = letter
        topic = to_topic or letter.topic
        times = newest.setdefault(topic, dict(newest_times(bootstrap, topic)))
        partition = letter.partition % len(times)
        time_ms = original.timestamp_ms if original else letter.event_time_ms or letter.at_ms
        floor_ms = times[partition]
        if floor_ms is not None:
            time_ms = max(time_ms, floor_ms - disorder_ms)
            times[partition] = max(floor_ms, time_ms)
        headers = dict(original.headers if original else {}) | {REPLAY_HEADER: letter.id.encode()}
        envelopes.append(Envelope(topic, partition, raw, time_ms, headers=headers))
    return Replay(
        tuple(envelopes),
        tuple(sent.values()),
        tuple(each for each in letters if _place(each) in sent and sent[_place(each)] is not each),
        tuple(each for each in letters if each.has_origin and _place(each) not in sent),
        tuple(each for each in letters if not each.has_origin),
    )


def _place(letter: DeadLetter) -> tuple[str, int, int]:
    return letter.topic, letter.partition, letter.offset


def send_replay(bootstrap: str | KafkaConnection, replay: Replay) -> None:
    """Send a plan's envelopes; return when the broker has all of them."""
    _send(bootstrap, replay.envelopes)


def mark_replayed(
    bootstrap: str | KafkaConnection, replay: Replay, letters_topic: str, *, at_ms: int
) -> None:
    """Write a note to the topic of letters for each sent letter of a plan; return when the broker has them.

    If a note is missing nothing is lost: a message that is sent once more changes nothing.
    """
    notes = [Envelope(letters_topic, 0, note.to_json(), at_ms) for note in _notes(replay, at_ms)]
    _send(bootstrap, notes)


def _send(bootstrap: str | KafkaConnection, envelopes: Iterable[Envelope]) -> None:
    producer = KafkaProducer(bootstrap, client_id="streamjobs-dlq", max_record_bytes=MAX_LETTER_BYTES)
    try:
        for envelope in envelopes:
            producer.send(envelope)
    finally:
        producer.close()


def _notes(replay: Replay, at_ms: int) -> Iterator[Replayed]:
    targets = {
        _place(letter): f"{envelope.topic}/{envelope.partition}"
        for letter, envelope in zip(replay.sent, replay.envelopes, strict=True)
    }
    for letter in (*replay.sent, *replay.covered):
        yield Replayed(letter.id, targets[_place(letter)], at_ms)


def fetch_messages(
    bootstrap: str | KafkaConnection, places: Sequence[tuple[str, int, int]]
) -> dict[tuple[str, int, int], Envelope]:
    """Return the messages at these `(topic, partition, offset)` that the broker still has."""
    found: dict[tuple[str, int, int], Envelope] = {}
    consumer = KafkaConsumer(bootstrap, client_id="streamjobs-dlq")
    try:
        for topic in sorted({place[0] for place in places}):
            begins, ends = consumer.beginning_offsets(topic), consumer.end_offsets(topic)
            for place in sorted(place for place in places if place[0] == topic):
                _, partition, offset = place
                if begins.get(partition, 0) <= offset < ends.get(partition, 0):
                    envelope = consumer.read_one(topic, partition, offset)
                    if envelope is not None:
                        found[place] = envelope
    finally:
        consumer.close()
    return found
