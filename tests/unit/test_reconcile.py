"""Reconciliation: when a topic is read back, what is deleted in it, and what stays pending."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from connectors.mysql.position import LogPosition
from streamjobs.brokers.contract import Envelope, Receipt
from streamjobs.capture.config.routes import Route, Routes
from streamjobs.capture.config.settings import MessageSettings
from streamjobs.capture.publish.outbox import Outbox
from streamjobs.capture.publish.partitions import Topic
from streamjobs.capture.snapshot.reconcile import Reconciliation
from streamjobs.capture.status.status import CaptureStatus, Telemetry
from streamjobs.changes.position import Half, Position
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ABSENT, ChangeKind, Column, RowChange, SqlType, TableId, TableSchema
from streamjobs.errors import RetriableError
from streamjobs.retry import SystemClock
from tests.integration.waiting import wait_for
from tests.unit.test_capture_outbox import refused
from thrift_idl.codec import decode

PARTITIONS = 3
ITEM, SHOP = TableId("shop", "item"), TableId("shop", "shop")


def schema(table: TableId) -> TableSchema:
    columns = (Column("id", SqlType.INT, "int", key=True), Column("v", SqlType.INT, "int"))
    return TableSchema(table, columns)


@dataclass
class Broker:
    """Topics in memory: what is sent is there once it was flushed."""

    topics: dict[str, list[list[Envelope]]] = field(default_factory=dict)
    unsent: list[Envelope] = field(default_factory=list)
    fails: bool = False

    def open(self, wanted: Mapping[str, int]) -> dict[str, Topic]:
        for name in wanted:
            self.topics.setdefault(name, [[] for _ in range(PARTITIONS)])
        return {
            name: Topic(PARTITIONS, {n: max((one.timestamp_ms for one in part), default=None)
                                     for n, part in enumerate(self.topics[name])})
            for name in wanted
        }  # fmt: skip

    def send(self, envelope: Envelope) -> None:
        self.unsent.append(envelope)

    def flush(self) -> None:
        for envelope in self.unsent:
            self.topics[envelope.topic][envelope.partition].append(envelope)
        self.unsent = []

    def receipt(self) -> Receipt:
        raise NotImplementedError

    def partitions(self, topic: str) -> int:
        return len(self.topics[topic])

    def close(self) -> None:
        return

    def reader(self) -> Reader:
        return Reader(self)

    def changes(self, topic: str) -> list[RowChange]:
        return [
            change
            for part in self.topics[topic]
            for envelope in part
            if envelope.payload != b"no message"
            for change in decode(envelope.payload).changes
        ]


@dataclass
class Reader:
    """Reads a topic of the broker, two messages at a time."""

    broker: Broker
    places: dict[tuple[str, int], int] = field(default_factory=dict)
    closed: bool = False

    def seek(self, topic: str, partition: int, offset: int) -> None:
        self.places[topic, partition] = offset

    def position(self, topic: str, partition: int) -> int:
        return self.places[topic, partition]

    def poll(self, timeout_s: float) -> Sequence[Envelope]:
        assert timeout_s > 0
        if self.broker.fails:
            message = "the broker is away"
            raise RetriableError(message)
        for (topic, partition), offset in self.places.items():
            if found := self.broker.topics[topic][partition][offset : offset + 2]:
                self.places[topic, partition] += len(found)
                return found
        return []

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        return {n: len(part) for n, part in enumerate(self.broker.topics[topic])}

    def beginning_offsets(self, topic: str) -> Mapping[int, int]:
        return dict.fromkeys(range(len(self.broker.topics[topic])), 0)

    def close(self) -> None:
        self.closed = True


class Run:
    """A capture of two tables, each row change at the next place of the log."""

    def __init__(self, broker: Broker, pending: Mapping[str, str] = {}, **route: str) -> None:
        self.broker, self.at, self.there = (
            broker,
            100 * sum(map(len, broker.topics.values())) + 4,
            {ITEM, SHOP},
        )
        routes = Routes([Route.made("shop.*", **route)])  # type: ignore[arg-type]
        self.telemetry = Telemetry(CaptureStatus("shop"))
        self.outbox = Outbox(
            "shop", routes, MessageSettings(max_rows=3), broker, broker.open, SystemClock(), refused
        )
        self.outbox.open(ITEM, SHOP)
        self.sweeps = Reconciliation(
            "shop", 0, routes, self.outbox, broker.reader, self.there.intersection, pending, self.telemetry
        )

    @property
    def place(self) -> LogPosition:
        return LogPosition("bin.1", self.at)

    def send(self, table: TableId, kind: ChangeKind, *ids: int) -> None:
        rows = [(b"%d" % id_, b"%d" % self.at) for id_ in ids]
        read = kind is ChangeKind.SNAPSHOT
        # a transaction's first rows stand behind the event that begins it
        place = Position(0, 1, self.at + (0 if read else 5))
        half = Half.SNAPSHOT if read else Half.ONLY
        self.outbox.add(RowBatch(schema(table), kind, rows, (), place, 1000, "", half))
        self.at += 10

    def swept(self, *reading: TableId) -> None:
        """Let it go on until it has nothing to do."""
        wait_for(
            lambda: self.sweeps.turn(self.place, reading, lambda: None) or not self.sweeps.active,
            "a topic is swept",
        )

    def deletes(self, topic: str) -> list[RowChange]:
        """The DELETEs in a topic."""
        self.outbox.acknowledge()
        return [one for one in self.broker.changes(topic) if one.kind is ChangeKind.DELETE]

    def ids(self, table: TableId) -> list[int]:
        """The rows that a consumer holds, who goes by `seq`."""
        self.outbox.acknowledge()
        held: set[int] = set()
        for change in sorted(self.broker.changes(str(table)), key=lambda one: one.seq):
            number = int(change.image[0] or b"")  # type: ignore[arg-type]
            held.discard(number) if change.kind is ChangeKind.DELETE else held.add(number)
        return sorted(held)


@pytest.fixture
def run() -> Run:
    """Ten rows of each table that an earlier run has sent, and 0 to 4 of `item` read whole since."""
    first = Run(Broker())
    for table in (ITEM, SHOP):
        first.send(table, ChangeKind.INSERT, *range(10))
    first.outbox.acknowledge()
    second = Run(first.broker)
    second.at = first.at
    second.sweeps.begin(ITEM, second.place)
    second.send(ITEM, ChangeKind.SNAPSHOT, *range(5))
    return second


def test_what_a_whole_read_did_not_find_is_deleted(run: Run) -> None:
    run.swept()
    assert run.ids(ITEM) == [0, 1, 2, 3, 4]
    assert run.ids(SHOP) == list(range(10))
    assert not run.sweeps.pending
    assert run.telemetry.status.gone_rows == 5
    places = [(change.position.offset, change.position.row) for change in run.deletes("shop.item")]
    assert sorted(places) == [(run.at, row) for row in range(5)]
    assert {change.image[1] for change in run.deletes("shop.item")} == {ABSENT}
    run.sweeps.close()


def test_rows_that_come_while_the_topic_is_read_stay(run: Run) -> None:
    run.sweeps.turn(run.place, (), lambda: None)  # begins to read
    run.send(ITEM, ChangeKind.INSERT, 7)
    run.swept()
    run.send(ITEM, ChangeKind.INSERT, 9)
    assert run.ids(ITEM) == [0, 1, 2, 3, 4, 7, 9]
    run.sweeps.close()


def test_a_topic_waits_for_all_of_its_tables() -> None:
    first = Run(Broker(), topic="all")
    for table in (ITEM, SHOP):
        first.send(table, ChangeKind.INSERT, *range(4))
    first.outbox.acknowledge()
    run = Run(first.broker, topic="all")
    run.at = first.at
    for table in (ITEM, SHOP):
        run.sweeps.begin(table, run.place)
    run.send(ITEM, ChangeKind.SNAPSHOT, 1)
    for _ in range(5):
        assert not run.sweeps.turn(run.place, [SHOP], lambda: None)
    assert not run.deletes("all")
    run.send(SHOP, ChangeKind.SNAPSHOT, 2)
    run.swept()
    gone = [(str(one.schema.table), one.image[0]) for one in run.deletes("all")]
    assert sorted(gone) == [("shop.item", b"0"), ("shop.item", b"2"), ("shop.item", b"3"),
                            ("shop.shop", b"0"), ("shop.shop", b"1"), ("shop.shop", b"3")]  # fmt: skip
    run.sweeps.close()


def test_a_table_that_is_read_again_meanwhile_stays_pending(run: Run) -> None:
    run.sweeps.turn(run.place, (), lambda: None)
    run.sweeps.begin(ITEM, run.place)
    for _ in range(20):
        run.sweeps.turn(run.place, [ITEM], lambda: None)
    assert run.sweeps.pending == {"shop.item": str(run.place.position(0))}
    assert not run.deletes("shop.item")
    run.send(ITEM, ChangeKind.SNAPSHOT, 3)
    run.swept()
    assert run.ids(ITEM) == [3]
    run.sweeps.close()


def test_what_is_pending_is_swept_by_the_next_run(run: Run) -> None:
    pending = run.sweeps.pending
    run.sweeps.turn(run.place, (), lambda: None)
    run.sweeps.close()
    run.outbox.acknowledge()
    after = Run(run.broker, pending)
    after.at = run.at
    after.swept()
    assert after.ids(ITEM) == [0, 1, 2, 3, 4]
    after.sweeps.close()


def test_a_table_that_was_dropped_keeps_its_rows(run: Run) -> None:
    run.there.discard(ITEM)
    run.swept()
    assert run.ids(ITEM) == list(range(10))
    run.sweeps.close()


def test_a_table_with_undecodable_rows_keeps_its_rows(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.sweeps.undecodable(ITEM)
    assert not run.sweeps.active
    assert "shop.item has rows that cannot be decoded" in caplog.text
    assert run.ids(ITEM) == list(range(10))
    run.sweeps.close()


def test_a_foreign_message_deletes_nothing(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.broker.topics["shop.item"][1].append(Envelope("shop.item", 1, b"no message", 1, offset=5))
    run.swept()
    assert "shop.item/1/5 is not a message of streamjobs" in caplog.text
    assert run.ids(ITEM) == list(range(10))
    run.sweeps.close()


def test_trouble_with_the_broker_is_raised_and_leaves_it_pending(run: Run) -> None:
    run.broker.fails = True
    with pytest.raises(RetriableError, match="the broker is away"):
        run.swept()
    assert run.sweeps.pending
    run.sweeps.close()


def test_an_empty_topic_is_not_read_back() -> None:
    run = Run(Broker())
    run.sweeps.begin(ITEM, run.place)
    run.sweeps.forget_new_topics()
    assert not run.sweeps.active
    run.sweeps.close()
