"""The outbox: batches as their changes one by one, times that never go back, rows that move."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mysql.events import BadRow
from streamjobs.brokers.contract import Envelope, Receipt
from streamjobs.capture.config.routes import Route, Routes
from streamjobs.capture.config.settings import MessageSettings
from streamjobs.capture.publish.outbox import Outbox
from streamjobs.capture.publish.partitions import Topic
from streamjobs.changes.position import Half, Position
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ABSENT, ChangeKind, Column, Row, SqlType, TableId, TableSchema
from streamjobs.errors import ConfigError
from streamjobs.retry import SystemClock
from tests.unit.changes import POSITIONS, VALUES, schemas
from thrift_idl.codec import Header, PartitionMessageBuilder, decode, partition_of_row

ITEM = TableSchema(
    TableId("shop", "item"),
    (
        Column("id", SqlType.INT, "int", key=True),
        Column("shop", SqlType.INT, "int"),
        Column("at_ms", SqlType.BIGINT, "bigint"),
    ),
)


@dataclass
class Sent:
    """A producer that keeps what it is given."""

    envelopes: list[Envelope] = field(default_factory=list)
    count: int = 4

    def send(self, envelope: Envelope) -> None:
        self.envelopes.append(envelope)

    def flush(self) -> None:
        return

    def receipt(self) -> Receipt:
        raise NotImplementedError

    def partitions(self, topic: str) -> int:
        assert topic
        return self.count

    def close(self) -> None:
        return


class Clock(SystemClock):
    now_s = 100.0

    def monotonic_s(self) -> float:
        return self.now_s


def refused(row: BadRow) -> None:
    """Every row of these tests fits."""
    raise AssertionError(row)


def outbox(
    *routes: Route, newest_ms: int | None = None, clock: Clock | None = None
) -> tuple[Outbox, list[Envelope]]:
    sent = Sent()
    made = Outbox(
        "shop",
        Routes(routes or [Route.made("shop.*")]),
        MessageSettings(),
        sent,
        lambda wanted: {
            name: Topic(partitions, dict.fromkeys(range(partitions), newest_ms))
            for name, partitions in wanted.items()
        },
        clock or Clock(),
        refused,
    )
    return made, sent.envelopes


def inserts(*rows: tuple[int, int, int], committed_at_ms: int = 1000) -> RowBatch:
    images: list[Row] = [tuple(b"%d" % value for value in row) for row in rows]
    return RowBatch(ITEM, ChangeKind.INSERT, images, (), Position(0, 1, 4), committed_at_ms, "0-1-7")


@st.composite
def batches(draw: st.DrawFn) -> RowBatch:
    schema = draw(schemas())
    rows = st.lists(st.tuples(*[VALUES] * len(schema.columns)), min_size=1, max_size=5)
    images = draw(rows)
    kind = draw(st.sampled_from(ChangeKind))
    befores = draw(st.permutations(images)) if kind is ChangeKind.UPDATE else ()
    position = draw(POSITIONS.filter(lambda place: place.row < 2**32 - 10))
    transaction = draw(st.text(st.characters(codec="utf-8"), max_size=6))
    return RowBatch(
        schema, kind, images, befores, position, draw(st.integers(0, 2**50)), transaction,
        draw(st.sampled_from(Half)),
    )  # fmt: skip


@given(st.lists(batches(), max_size=4))
def test_a_batch_is_built_as_its_changes_one_by_one(found: list[RowBatch]) -> None:
    one, many = (PartitionMessageBuilder(3, disorder_ms=0) for _ in range(2))
    for batch in found:
        many.add_batch(batch)
        for change in batch:
            one.add(change)
    assert (one.rows, one.bytes) == (many.rows, many.bytes)
    assert list(one.flush(Header("s"))) == list(many.flush(Header("s")))


def test_commit_times_never_go_back() -> None:
    box, sent = outbox(newest_ms=5000)
    for committed_at_ms in (4000, 6000, 5500):
        box.add(inserts((committed_at_ms, 1, 1), committed_at_ms=committed_at_ms))
    box.acknowledge()
    times = {
        change.image[0]: change.committed_at_ms
        for envelope in sent
        for change in decode(envelope.payload).changes
    }
    assert times == {b"4000": 5000, b"6000": 6000, b"5500": 6000}


def test_commit_times_are_bounded_by_the_clock_and_later_rows_are_as_they_were() -> None:
    box, sent = outbox()
    box.bound(7000)
    for number, committed_at_ms in enumerate((6000, 2_114_380_800_000, 6500, 6900)):
        box.add(inserts((number, 1, 1), committed_at_ms=committed_at_ms))
    box.passed(2_114_380_800_000)
    box.bound(9000)
    box.add(inserts((4, 1, 1), committed_at_ms=8000))
    box.acknowledge()
    times = {
        change.image[0]: change.committed_at_ms
        for envelope in sent
        for change in decode(envelope.payload).changes
    }
    assert times == {b"0": 6000, b"1": 7000, b"2": 7000, b"3": 7000, b"4": 8000}
    assert box.future_batches == 1


def test_quiet_partitions_get_the_time_of_the_log() -> None:
    clock = Clock()
    box, sent = outbox(Route.made("shop.*", partitions=4), clock=clock)
    box.add(inserts((1, 1, 1)))
    box.acknowledge()
    sent.clear()
    clock.now_s += 2
    box.passed(3000)
    box.tick()
    assert sorted((e.partition, e.timestamp_ms) for e in sent) == [(n, 3000) for n in range(4)]
    assert all(decode(envelope.payload).changes == [] for envelope in sent)
    sent.clear()
    clock.now_s += 2
    box.tick()
    assert sent == []


def test_an_update_that_moves_is_a_delete_and_an_insert() -> None:
    box, sent = outbox(Route.made("shop.*", partitions=4, partition_by=("shop",)))
    before: Row = (b"1", b"1", b"0")
    moved = next(
        row
        for n in range(2, 99)
        if partition_of_row(row := (b"1", b"%d" % n, b"0"), (1,), 4) != partition_of_row(before, (1,), 4)
    )
    stays: Row = (b"1", b"1", b"9")
    box.add(RowBatch(ITEM, ChangeKind.UPDATE, [stays, moved], [before, stays], Position(0, 1, 4), 1000))
    box.acknowledge()
    changes = sorted(
        ((c, e.partition) for e in sent for c in decode(e.payload).changes), key=lambda pair: pair[0].seq
    )
    assert [(c.kind, c.half, c.before, c.after, partition) for c, partition in changes] == [
        (ChangeKind.UPDATE, Half.ONLY, before, stays, partition_of_row(stays, (1,), 4)),
        (ChangeKind.DELETE, Half.KEY_CHANGE_DELETE, stays, None, partition_of_row(stays, (1,), 4)),
        (ChangeKind.INSERT, Half.KEY_CHANGE_INSERT, None, moved, partition_of_row(moved, (1,), 4)),
    ]


def test_columns_that_are_not_there_are_refused() -> None:
    box, _ = outbox(Route.made("shop.*", partition_by=("shop",)))
    position = Position(0, 1, 4)
    minimal: list[Row] = [(b"1", ABSENT, ABSENT)]
    full: list[Row] = [(b"1", b"2", b"3")]
    for kind, images, befores in (
        (ChangeKind.DELETE, minimal, ()),
        (ChangeKind.UPDATE, full, minimal),
    ):
        with pytest.raises(ConfigError, match=r"rows of shop\.item at 0:1:4:0 lack the column 'shop'"):
            box.add(RowBatch(ITEM, kind, images, befores, position, 1000))
    box, _ = outbox(Route.made("shop.*", partition_by=("nope",)))
    with pytest.raises(ConfigError, match=r"shop\.item has no column 'nope' to partition by"):
        box.add(inserts((1, 1, 1)))


def test_one_topic_has_one_event_time() -> None:
    box, _ = outbox(
        Route.made("shop.item", topic="all", event_time_column="at_ms", disorder_ms=5000),
        Route.made("shop.*", topic="all"),
    )
    box.open(TableId("shop", "item"))
    with pytest.raises(ConfigError, match=r"topic all would have shop\.user .* use separate topics"):
        box.open(TableId("shop", "user"))


def test_tables_without_a_key_are_refused_where_the_route_says_so() -> None:
    keyless = TableSchema(ITEM.table, tuple(Column(c.name, c.type, c.native_type) for c in ITEM.columns))
    box, _ = outbox(Route.made("shop.*", refuse_without_key=True))
    with pytest.raises(ConfigError, match=r"shop\.item has no primary key"):
        box.add(RowBatch(keyless, ChangeKind.INSERT, [(b"1",) * 3], (), Position(0, 1, 4), 1000))


def test_partitions_that_a_topic_gets_hear_the_time_and_get_no_rows(caplog: pytest.LogCaptureFixture) -> None:
    sent, clock = Sent(count=2), Clock()
    routes = Routes([Route.made("shop.*")])
    made = Outbox(
        "shop", routes, MessageSettings(), sent, lambda _: {"shop.item": Topic(2, {})}, clock, refused
    )
    made.add(inserts(*((n, n, n) for n in range(40))))
    made.send()
    before = {envelope.partition for envelope in sent.envelopes}
    sent.count = 5
    clock.now_s += 11
    made.passed(2000)
    made.tick()
    assert "topic shop.item has new partitions, 5 instead of 2: rows stay in the first 2" in caplog.text
    assert [(one.partition, one.timestamp_ms) for one in sent.envelopes[len(before) :]] == [
        (n, 2000) for n in range(5)
    ]
    made.add(inserts(*((n, n, n) for n in range(40, 80)), committed_at_ms=3000))
    made.send()
    rows = [(one.partition, len(decode(one.payload).changes)) for one in sent.envelopes]
    assert {partition for partition, count in rows if count} == before == {0, 1}


def test_a_topic_that_has_grown_before_keeps_its_rows_in_the_first_partitions() -> None:
    sent, clock = Sent(count=5), Clock()
    routes = Routes([Route.made("shop.*", partition_by=("shop",))])
    topic = Topic(5, {0: 500, 1: None}, rows_in=2)
    made = Outbox("shop", routes, MessageSettings(), sent, lambda _: {"shop.item": topic}, clock, refused)
    moves = [((b"%d" % n, b"1", b"0"), (b"%d" % n, b"%d" % n, b"0")) for n in range(20)]
    befores, images = zip(*moves, strict=True)
    made.add(RowBatch(ITEM, ChangeKind.UPDATE, images, befores, Position(0, 1, 4), 1000))
    made.send()
    assert {envelope.partition for envelope in sent.envelopes} == {0, 1}
