"""Heartbeats are no rows: what is left to read counts from the first message with a row on."""

from __future__ import annotations

from collections.abc import Iterator

from streamjobs.brokers.contract import Envelope
from streamjobs.changes.position import Position
from streamjobs.changes.row_change import Column, RowChange, SqlType, TableId, TableSchema
from streamjobs.job.cluster import unread
from streamjobs.job.cluster.unread import Unread, is_heartbeat
from thrift_idl.codec import Header, MessageBuilder, PartitionMessageBuilder

ITEM = TableSchema(TableId("shop", "item"), (Column("item_id", SqlType.BIGINT, "bigint", key=True),))


def row() -> bytes:
    builder = MessageBuilder()
    builder.add(RowChange.insert(ITEM, (b"1",), Position(0, 1, 0), 1000))
    (built,) = builder.flush(Header("shop"))
    return built.payload


def heartbeat() -> bytes:
    builder = PartitionMessageBuilder(1, disorder_ms=0)
    ((_, built),) = builder.heartbeat(Header("shop"), 1000, [0])
    return built.payload


class Log:
    """One partition; an offset without a payload is the mark of a transaction."""

    def __init__(self, *payloads: bytes | None) -> None:
        self.payloads = list(payloads)
        self.looked_at: list[int] = []

    def read_range(self, topic: str, partition: int, begin: int, end: int) -> Iterator[Envelope]:
        for offset in range(begin, min(end, len(self.payloads))):
            payload = self.payloads[offset]
            if payload is not None:
                self.looked_at.append(offset)
                yield Envelope(topic, partition, payload, 1000, offset)


def left(log: Log, position: int, counts: Unread | None = None) -> int:
    return (counts or Unread(lambda: log)).count("shop.item", 0, position, len(log.payloads))


def test_what_is_a_heartbeat() -> None:
    assert [is_heartbeat(each) for each in (heartbeat(), row(), b"", b"junk")] == [True, False, False, False]


def test_heartbeats_alone_are_nothing_to_read() -> None:
    assert left(Log(row(), heartbeat(), heartbeat()), 1) == 0


def test_all_from_the_first_row_on_is_to_be_read() -> None:
    assert left(Log(heartbeat(), row(), heartbeat(), row()), 0) == 3


def test_a_message_of_others_is_to_be_read() -> None:
    assert left(Log(heartbeat(), b"junk", heartbeat()), 0) == 2


def test_marks_of_transactions_at_the_end_are_nothing_to_read() -> None:
    assert left(Log(row(), heartbeat(), None), 1) == 0


def test_each_heartbeat_is_looked_at_once() -> None:
    log = Log(heartbeat(), heartbeat())
    counts = Unread(lambda: log)
    assert left(log, 0, counts) == 0
    log.payloads += [heartbeat(), heartbeat()]
    assert left(log, 1, counts) == 0
    log.payloads += [row(), row()]
    assert left(log, 2, counts) == 2
    assert left(log, 3, counts) == 2
    assert log.looked_at == [0, 1, 2, 3, 4]


def test_a_row_that_was_read_meanwhile_is_not_counted_any_more() -> None:
    log = Log(row(), heartbeat(), row(), heartbeat())
    counts = Unread(lambda: log)
    assert [left(log, position, counts) for position in (0, 1, 3, 4)] == [4, 2, 0, 0]


def test_a_long_row_of_heartbeats_is_looked_at_in_parts() -> None:
    log = Log(*[heartbeat()] * (unread._LOOKED_AT + 1))
    counts = Unread(lambda: log)
    assert [left(log, 0, counts), left(log, 0, counts)] == [1, 0]
