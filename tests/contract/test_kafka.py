"""Kafka against a real broker: order, bounds, transactions, refusals, and a broker that is killed."""

from __future__ import annotations

import gc
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import kafka
import pytest

from connectors.kafka import (
    REPLAYABLE_CONFIGS,
    KafkaConsumer,
    KafkaDeadLetters,
    KafkaProducer,
    PreparedTopic,
    Replay,
    committed_offsets,
    create_topic,
    delete_topic,
    describe_topic,
    ensure_topic,
    fetch_messages,
    list_topics,
    mark_replayed,
    newest_times,
    plan_replay,
    prepare_topics,
    read_dead_letters,
    read_topic,
    send_replay,
)
from streamjobs.brokers.contract import Envelope
from streamjobs.changes.dead_letter import DeadLetter, Replayed, Stage
from streamjobs.errors import ConfigError, RetriableError, SystemicError
from streamjobs.job.cluster.preflight import BROKERS_DEFAULT
from streamjobs.local.kafka import KafkaServer
from tests.patience import limit_s

pytestmark = pytest.mark.services
OLD_MS = 1_000_000_000_000
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _nothing_left_to_the_garbage_collector() -> Iterator[None]:
    """What a test left open is told while that test runs, not in one of the next."""
    yield
    gc.collect()


@pytest.fixture
def bootstrap(own_kafka: KafkaServer) -> str:
    return own_kafka.bootstrap


@pytest.fixture
def topic(bootstrap: str) -> str:
    name = f"topic-{next(_numbers)}"
    create_topic(bootstrap, name, 2)
    return name


def sent(bootstrap: str, envelopes: list[Envelope]) -> None:
    producer = KafkaProducer(bootstrap)
    for envelope in envelopes:
        producer.send(envelope)
    producer.close()


def everything(bootstrap: str, topic: str, isolation: str = "read_uncommitted") -> list[Envelope]:
    consumer = KafkaConsumer(
        bootstrap, "read_committed" if isolation == "read_committed" else "read_uncommitted"
    )
    try:
        return list(read_topic(consumer, topic))
    finally:
        consumer.close()


def test_envelopes_come_back_with_place_time_and_headers(bootstrap: str, topic: str) -> None:
    sent(bootstrap, [Envelope(topic, 1, bytes(range(256)), OLD_MS, headers={"a": b"\x00"})])
    assert everything(bootstrap, topic) == [
        Envelope(topic, 1, bytes(range(256)), OLD_MS, offset=0, headers={"a": b"\x00"})
    ]


def test_order_is_kept_in_each_partition(bootstrap: str, topic: str) -> None:
    sent(bootstrap, [Envelope(topic, n % 2, b"%d" % n, OLD_MS + n) for n in range(5000)])
    found = everything(bootstrap, topic)
    for partition in (0, 1):
        assert [int(e.payload) for e in found if e.partition == partition] == list(range(partition, 5000, 2))


def test_unacknowledged_bytes_are_bounded(bootstrap: str, topic: str) -> None:
    producer = KafkaProducer(bootstrap, max_in_flight_bytes=100_000)
    for n in range(200):
        producer.send(Envelope(topic, 0, b"x" * 10_000, OLD_MS + n))
        assert producer._in_flight_bytes <= 100_000
    producer.flush()
    assert producer._in_flight_bytes == 0
    producer.close()


def test_a_receipt_is_for_what_was_sent_before_it(own_kafka: KafkaServer, topic: str) -> None:
    producer = KafkaProducer(own_kafka.bootstrap)
    assert producer.receipt().wait(0.0)
    producer.send(Envelope(topic, 0, b"before", OLD_MS))
    before = producer.receipt()
    assert before.wait(limit_s(30.0))
    own_kafka.freeze()
    try:
        producer.send(Envelope(topic, 1, b"after", OLD_MS))
        after = producer.receipt()
        assert not after.wait(0.2)
        assert before.wait(0.0)
    finally:
        own_kafka.thaw()
    assert after.wait(limit_s(60.0))
    producer.close()
    assert len(everything(own_kafka.bootstrap, topic)) == 2


def test_a_producer_is_abandoned_with_rows_on_their_way(bootstrap: str, topic: str) -> None:
    producer = KafkaProducer(bootstrap, linger_ms=60_000)
    producer.send(Envelope(topic, 0, b"waits for others", OLD_MS))
    begun = time.monotonic()
    producer.abandon()
    assert time.monotonic() - begun < limit_s(5)
    producer.abandon()


def test_seek_reads_from_there_on_and_ends_are_told(bootstrap: str, topic: str) -> None:
    sent(bootstrap, [Envelope(topic, 0, b"%d" % n, OLD_MS) for n in range(10)])
    consumer = KafkaConsumer(bootstrap)
    assert consumer.beginning_offsets(topic) == {0: 0, 1: 0}
    assert consumer.end_offsets(topic) == {0: 10, 1: 0}
    consumer.seek(topic, 0, 7)
    read: list[bytes] = []
    deadline = time.monotonic() + limit_s(20)
    while len(read) < 3 and time.monotonic() < deadline:
        read += [envelope.payload for envelope in consumer.poll(0.5)]
    assert read == [b"7", b"8", b"9"]
    assert consumer.position(topic, 0) == 10
    consumer.close()


def test_committed_reader_sees_each_committed_record_once(bootstrap: str, topic: str) -> None:
    transactional = kafka.KafkaProducer(
        bootstrap_servers=bootstrap, transactional_id="t", reconnect_backoff_max_ms=1000
    )
    transactional.init_transactions()
    for text, commit in (("a", True), ("b", False), ("c", True)):
        transactional.begin_transaction()
        transactional.send(topic, text.encode(), partition=0, timestamp_ms=OLD_MS)
        transactional.flush()
        if commit:
            transactional.commit_transaction()
        else:
            transactional.abort_transaction()
    transactional.close()
    assert [e.payload for e in everything(bootstrap, topic, "read_committed")] == [b"a", b"c"]
    assert [e.payload for e in everything(bootstrap, topic)] == [b"a", b"b", b"c"]


def test_offset_that_is_gone_is_an_error_not_a_jump(bootstrap: str, topic: str) -> None:
    consumer = KafkaConsumer(bootstrap)
    consumer.seek(topic, 0, 1000)
    with pytest.raises(SystemicError, match="OffsetOutOfRange"):
        consumer.poll(20)
    consumer.close()


def test_committed_offsets_are_those_of_the_group_and_no_other(bootstrap: str, topic: str) -> None:
    sent(bootstrap, [Envelope(topic, 0, b"%d" % n, OLD_MS) for n in range(3)])
    for group, offset in (("CID_a", 2), ("CID_b", 3)):
        committed(bootstrap, group, topic, offset)
    assert committed_offsets(bootstrap, "CID_a") == {(topic, 0): 2}
    assert committed_offsets(bootstrap, "CID_b") == {(topic, 0): 3}
    committed(bootstrap, "CID_a", topic, 3)
    assert committed_offsets(bootstrap, "CID_a") == {(topic, 0): 3}
    assert committed_offsets(bootstrap, "CID_nobody") == {}


def committed(bootstrap: str, group: str, topic: str, offset: int) -> None:
    client = kafka.KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    place = kafka.TopicPartition(topic, 0)
    client.assign([place])
    client.commit({place: kafka.structs.OffsetAndMetadata(offset, "", -1)})
    client.close()


def test_single_messages_are_fetched_as_far_as_they_are_there(bootstrap: str, topic: str) -> None:
    sent(bootstrap, [Envelope(topic, n % 2, b"%d" % n, OLD_MS + n) for n in range(6)])
    wanted = [(topic, 1, 2), (topic, 0, 1), (topic, 0, 99), (topic, 7, 0)]
    assert fetch_messages(bootstrap, wanted) == {
        (topic, 0, 1): Envelope(topic, 0, b"2", OLD_MS + 2, offset=1),
        (topic, 1, 2): Envelope(topic, 1, b"5", OLD_MS + 5, offset=2),
    }
    assert fetch_messages(bootstrap, []) == {}
    with pytest.raises(SystemicError, match="topic nope does not exist"):
        fetch_messages(bootstrap, [("nope", 0, 0)])


def test_an_offset_that_holds_no_record_reads_as_none(bootstrap: str, topic: str) -> None:
    transactional = kafka.KafkaProducer(
        bootstrap_servers=bootstrap, transactional_id="markers", reconnect_backoff_max_ms=1000
    )
    transactional.init_transactions()
    for text in (b"a", b"b"):
        transactional.begin_transaction()
        transactional.send(topic, text, partition=0, timestamp_ms=OLD_MS)
        transactional.commit_transaction()
    transactional.close()
    consumer = KafkaConsumer(bootstrap, "read_committed")
    assert consumer.read_one(topic, 0, 1) is None  # the marker of the first transaction
    assert consumer.read_one(topic, 0, 2) == Envelope(topic, 0, b"b", OLD_MS, offset=2)
    consumer.close()


def test_unknown_topic_and_partition_are_refused(bootstrap: str, topic: str) -> None:
    producer, consumer = KafkaProducer(bootstrap), KafkaConsumer(bootstrap)
    with pytest.raises(SystemicError, match="topic nope does not exist"):
        producer.send(Envelope("nope", 0, b"", 0))
    with pytest.raises(SystemicError, match="has no partition 2"):
        producer.send(Envelope(topic, 2, b"", 0))
    with pytest.raises(SystemicError, match="topic nope does not exist"):
        consumer.end_offsets("nope")
    producer.close()
    consumer.close()
    assert "nope" not in list_topics(bootstrap)


def test_record_that_the_broker_refuses_spends_the_producer(bootstrap: str, topic: str) -> None:
    producer = KafkaProducer(bootstrap)
    producer.send(Envelope(topic, 0, b"x" * 2_000_000, OLD_MS))
    receipt = producer.receipt()
    with pytest.raises(SystemicError, match="MessageSizeTooLarge"):
        producer.flush()
    with pytest.raises(SystemicError, match="MessageSizeTooLarge"):
        receipt.wait(0.0)
    with pytest.raises(SystemicError, match="MessageSizeTooLarge"):
        producer.send(Envelope(topic, 0, b"small", OLD_MS))
    producer.abandon()


def test_nobody_at_the_address_is_retriable() -> None:
    with pytest.raises(RetriableError, match=r"connecting to Kafka at 127\.0\.0\.1:1"):
        KafkaProducer("127.0.0.1:1", connect_timeout_s=1)


def test_topics_for_event_time_keep_old_and_take_future_messages(bootstrap: str, topic: str) -> None:
    info = describe_topic(bootstrap, topic)
    assert info is not None
    assert {name: info.configs[name] for name in REPLAYABLE_CONFIGS} == dict(REPLAYABLE_CONFIGS)
    future_ms = OLD_MS * 4
    sent(bootstrap, [Envelope(topic, 0, b"", OLD_MS), Envelope(topic, 0, b"", future_ms)])
    assert newest_times(bootstrap, topic) == {0: future_ms, 1: None}


def test_ensure_topic_makes_it_once_and_keeps_what_exists(bootstrap: str) -> None:
    assert ensure_topic(bootstrap, "ensured", 3).partitions == 3
    assert ensure_topic(bootstrap, "ensured", 1).partitions == 3
    with pytest.raises(ConfigError, match="already exists"):
        create_topic(bootstrap, "ensured", 1)
    delete_topic(bootstrap, "ensured")
    delete_topic(bootstrap, "ensured")


def test_many_topics_are_prepared_together(bootstrap: str, topic: str) -> None:
    sent(bootstrap, [Envelope(topic, 1, b"", OLD_MS)])
    wanted = {f"{topic}.{number}": number % 3 + 1 for number in range(100)}
    found = prepare_topics(bootstrap, {**wanted, topic: 7})
    assert found.pop(topic) == PreparedTopic(2, {0: None, 1: OLD_MS}, 1_048_588)
    assert found == {
        name: PreparedTopic(count, dict.fromkeys(range(count)), 1_048_588) for name, count in wanted.items()
    }
    assert prepare_topics(bootstrap, wanted) == found
    info = describe_topic(bootstrap, f"{topic}.0")
    assert info is not None
    assert {name: info.configs[name] for name in REPLAYABLE_CONFIGS} == dict(REPLAYABLE_CONFIGS)


def test_topic_with_broker_time_is_refused(bootstrap: str) -> None:
    create_topic(bootstrap, "arrival", 1, {"message.timestamp.type": "LogAppendTime"})
    with pytest.raises(ConfigError, match="LogAppendTime, which replaces event times"):
        ensure_topic(bootstrap, "arrival", 1)
    with pytest.raises(ConfigError, match="topic arrival has message"):
        prepare_topics(bootstrap, {"arrival": 1})


@pytest.mark.parametrize("age", ["of today", "of 2001"])
def test_killed_broker_loses_and_reorders_nothing(own_kafka: KafkaServer, topic: str, age: str) -> None:
    """What is old may come twice: the broker has forgotten its writer (docs/decisions/0036)."""
    first_ms = OLD_MS if age == "of 2001" else time.time_ns() // 1_000_000
    producer = KafkaProducer(own_kafka.bootstrap, max_in_flight_bytes=1024 * 1024)
    count = 40_000
    failures: list[Exception] = []

    def produce() -> None:
        try:
            for n in range(count):
                producer.send(Envelope(topic, n % 2, b"%09d" % n + b"x" * 200, first_ms + n))
            producer.flush()
        except (RetriableError, SystemicError) as exc:
            failures.append(exc)

    thread = threading.Thread(target=produce)
    thread.start()
    consumer = KafkaConsumer(own_kafka.bootstrap)
    deadline = time.monotonic() + limit_s(60)
    while sum(consumer.end_offsets(topic).values()) < 2000:
        assert time.monotonic() < deadline
    consumer.close()
    own_kafka.kill()
    assert thread.is_alive()
    own_kafka.restart()
    thread.join(timeout=limit_s(150))
    assert failures == []
    producer.close()
    found = everything(own_kafka.bootstrap, topic)
    for partition in (0, 1):
        numbers = [int(e.payload[:9]) for e in found if e.partition == partition]
        if age == "of 2001":
            numbers = list(dict.fromkeys(numbers))
        assert numbers == list(range(partition, count, 2))


def test_dead_letters_are_kept_and_replayed_by_the_time_rule(bootstrap: str, topic: str) -> None:
    sent(bootstrap, [Envelope(topic, 1, b"bad", OLD_MS), Envelope(topic, 1, b"good", OLD_MS + 60_000)])
    letters = [
        _letter(topic, row=0, raw=b"bad"),
        _letter(topic, row=3, raw=b"bad"),
        _letter(topic, row=4, stage=Stage.LATE, raw=None),
        _letter(topic, row=0, offset=99, stage=Stage.LATE, raw=None),
    ]
    kept = KafkaDeadLetters(bootstrap, "letters")
    kept.add(letters)
    kept.close()
    assert list(read_dead_letters(bootstrap, "letters")) == letters
    replay = plan_replay(bootstrap, letters, disorder_ms=5000)
    header = {"streamjobs.replay_of": f"{topic}/1/0/0".encode()}
    assert replay.envelopes == (Envelope(topic, 1, b"bad", OLD_MS + 55_000, headers=header),)
    assert (replay.sent, replay.covered, replay.lost) == (
        (letters[0],),
        (letters[1], letters[2]),
        (letters[3],),
    )
    send_replay(bootstrap, replay)
    mark_replayed(bootstrap, replay, "letters", at_ms=OLD_MS)
    assert list(read_dead_letters(bootstrap, "letters"))[len(letters) :] == [
        Replayed(letter.id, f"{topic}/1", OLD_MS) for letter in letters[:3]
    ]
    last = everything(bootstrap, topic)[-1]
    assert last == Envelope(topic, 1, b"bad", OLD_MS + 55_000, offset=2, headers=header)


def test_record_that_is_no_dead_letter_is_told_apart(bootstrap: str, topic: str) -> None:
    sent(bootstrap, [Envelope(topic, 0, b"{}", OLD_MS)])
    (found,) = read_dead_letters(bootstrap, topic)
    assert "not a dead letter" in getattr(found, "detail", "")


def test_a_topic_gets_as_many_partitions_as_the_broker_gives_by_itself(bootstrap: str, topic: str) -> None:
    name = f"{topic}.made"
    assert ensure_topic(bootstrap, name, BROKERS_DEFAULT).partitions == 1
    assert describe_topic(bootstrap, name) is not None


def test_letters_that_name_no_message_of_a_broker_send_nothing(bootstrap: str, topic: str) -> None:
    sent(bootstrap, [Envelope(topic, 0, b"other", OLD_MS)])
    computed = replace(_letter(topic, row=-1, raw=None, offset=-1, stage=Stage.SINK), topic="", partition=-1)
    unsent = replace(_letter(topic, row=0, raw=b"row", offset=4711), partition=-1, job="capture shop")
    replay = plan_replay(bootstrap, [computed, unsent])
    assert replay == Replay((), (), (), (), (computed, unsent))


def _letter(
    topic: str, *, row: int, raw: bytes | None, offset: int = 0, stage: Stage = Stage.DECODE
) -> DeadLetter:
    return DeadLetter(
        id=f"{topic}/1/{offset}/{row}", stage=stage, reason="crc", detail="d", job="j", table="a.b",
        topic=topic, partition=1, offset=offset, row=row, at_ms=OLD_MS, raw=raw,
    )  # fmt: skip
