"""Rows that their topic never takes: dead letters with key, size and limit, and all others are sent."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mysql.events import BadRow
from streamjobs.capture.config.routes import Route, Routes
from streamjobs.capture.config.settings import MessageSettings
from streamjobs.capture.publish.large_rows import OVERHEAD_BYTES, refuse_small_topic
from streamjobs.capture.publish.outbox import Outbox
from streamjobs.capture.publish.partitions import Topic
from streamjobs.changes.position import Position
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ChangeKind, Column, Row, SqlType, TableId, TableSchema
from streamjobs.errors import ConfigError, SystemicError
from tests.unit.test_capture_outbox import Clock, Sent
from thrift_idl import bounds
from thrift_idl.codec import decode

LIMIT = 70_000
PAGES = TableSchema(
    TableId("shop", "page"),
    (
        Column("id", SqlType.BIGINT, "bigint", key=True),
        Column("title", SqlType.TEXT, "varchar(20)"),
        Column("body", SqlType.BYTES, "longblob"),
    ),
)
FITS, LARGE, HUGE = 100, LIMIT, bounds.MAX_MESSAGE_BYTES + 1
"""A body that fits; one that the topic never takes; one that no message can hold."""


class Box:
    """An outbox into a topic that takes LIMIT bytes at once, and what it sent and refused."""

    def __init__(self, **settings: object) -> None:
        self.sent, self.refused = Sent(), list[BadRow]()
        self.outbox = Outbox(
            "shop",
            Routes([Route.made("shop.*")]),
            replace(MessageSettings(), **settings),  # type: ignore[arg-type]
            self.sent,
            lambda wanted: {name: Topic(2, {}, max_bytes=LIMIT) for name in wanted},
            Clock(),
            self.refused.append,
        )

    def add(self, *sizes: int, kind: ChangeKind = ChangeKind.INSERT) -> None:
        images: list[Row] = [(b"%d" % n, b"t", b"x" * size) for n, size in enumerate(sizes)]
        befores: list[Row] = [(b"%d" % n, b"t", b"y") for n in range(len(sizes))]
        updated = befores if kind is ChangeKind.UPDATE else ()
        self.outbox.add(RowBatch(PAGES, kind, images, updated, Position(0, 7, 400, 3), 1000))

    def keys(self) -> list[bytes]:
        self.outbox.acknowledge()
        rows = [change for one in self.sent.envelopes for change in decode(one.payload).changes]
        assert all(len(one.payload) + OVERHEAD_BYTES <= LIMIT for one in self.sent.envelopes)
        return sorted(bytes(change.image[0]) for change in rows if isinstance(change.image[0], bytes))


def test_a_row_that_the_topic_never_takes_is_told_with_key_size_and_limit() -> None:
    box = Box()
    box.add(FITS, LARGE, FITS)
    assert box.keys() == [b"0", b"2"]
    (bad,) = box.refused
    assert (bad.schema, bad.kind, bad.column, bad.data) == (PAGES, ChangeKind.INSERT, "body", b"x" * 64)
    assert bad.position == Position(0, 7, 400, 4)
    size = bad.reason.split(" has ")[1].split(" ")[0]
    assert int(size) > LARGE
    assert bad.reason == (
        f"the row with id = 1 has {size} bytes, and topic shop.page accepts at most 70000 at once "
        "(max.message.bytes): its downstream copy stays as it was. Raise the limit, restart this capture, "
        "then snapshot the table: `streamjobs capture snapshot shop.page`"
    )


@pytest.mark.parametrize(
    "kind", [ChangeKind.INSERT, ChangeKind.UPDATE, ChangeKind.DELETE, ChangeKind.SNAPSHOT]
)
@pytest.mark.parametrize("size", [LARGE, HUGE])
def test_every_kind_of_change(kind: ChangeKind, size: int) -> None:
    box = Box()
    box.add(FITS, size, FITS, kind=kind)
    assert box.keys() == [b"0", b"2"]
    assert [(bad.kind, bad.position.row) for bad in box.refused] == [(kind, 4)]


def test_each_row_is_either_sent_or_told_of() -> None:
    counts: Counter[str] = Counter()

    @given(st.lists(st.sampled_from([0, FITS, 20_000, LARGE, LARGE + 5]), max_size=12))
    def check(sizes: list[int]) -> None:
        box = Box()
        box.add(*sizes)
        sent = box.keys()
        told = [bad.reason.split(" = ")[1].split(" ")[0].encode() for bad in box.refused]
        assert sorted([*sent, *told]) == sorted(b"%d" % n for n in range(len(sizes)))
        assert len(told) == sum(size >= LARGE for size in sizes)
        counts["rows sent"] += len(sent)
        counts["rows refused"] += len(told)
        counts["batches of both"] += bool(sent and told)
        counts["messages"] += len(box.sent.envelopes)

    check()
    least = {"rows sent": 100, "rows refused": 80, "batches of both": 20, "messages": 100}
    print(", ".join(f"{counts[name]:,} {name}" for name in least))
    assert [name for name, count in least.items() if counts[name] < count] == [], counts


def test_a_table_that_is_partitioned_by_a_column() -> None:
    box = Box()
    box.outbox._routes = Routes([replace(Route.made("shop.*"), partition_by=("title",))])
    box.add(FITS, HUGE, LARGE, FITS, kind=ChangeKind.UPDATE)
    assert box.keys() == [b"0", b"3"]
    assert sorted(bad.position.row for bad in box.refused) == [4, 5]


def test_the_capture_ends_where_it_is_told_to() -> None:
    box = Box(stop_at_large_rows=True)
    box.add(FITS, LARGE)
    with pytest.raises(
        SystemicError, match=r"shop\.page\.body in a row of an INSERT at .*the row with id = 1"
    ):
        box.keys()
    with pytest.raises(SystemicError, match="the row with id = 0 has"):
        Box(stop_at_large_rows=True).add(HUGE)


def test_a_topic_that_takes_less_than_capture_sends_at_once_is_refused() -> None:
    refuse_small_topic("shop.page", 600_000, 512 << 10)
    with pytest.raises(ConfigError) as caught:
        refuse_small_topic("shop.page", 400_000, 512 << 10)
    assert str(caught.value) == (
        "topic shop.page accepts at most 400000 bytes at once (max.message.bytes), and capture sends up to "
        "524288: kafka-configs.sh --alter --entity-type topics --entity-name shop.page --add-config "
        "max.message.bytes=1048588"
    )
