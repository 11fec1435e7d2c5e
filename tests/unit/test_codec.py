"""What is built is what is read: round trips, limits, heartbeats, routing, and the stock generated code."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from crc32c import crc32c
from hypothesis import given
from hypothesis import strategies as st
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport.TTransport import TMemoryBuffer

from streamjobs.changes.position import Position
from streamjobs.changes.row_change import ABSENT, Column, RowChange, SqlType, TableId, TableSchema
from streamjobs.errors import ConfigError
from tests.unit.changes import CLICK, change_lists, click
from thrift_idl import codec
from thrift_idl.codec import Header, Limits, MessageBuilder, PartitionMessageBuilder
from thrift_idl.gen.dbms_row_change import ttypes

DEMO = Header("demo")
BY_EVENT = Header("demo", "event_time_ms")


def messages(
    changes: Sequence[RowChange], header: Header = DEMO, limits: Limits = codec.DEFAULT_LIMITS
) -> list[codec.BuiltMessage]:
    builder = MessageBuilder(limits)
    for change in changes:
        builder.add(change)
    assert builder.rows == len(changes)
    built = list(builder.flush(header))
    assert builder.rows == 0
    return built


@given(
    change_lists(),
    st.builds(Limits, st.integers(1, 5), st.integers(1, 2000), st.integers(0, 2**62)),
    st.text(st.characters(codec="utf-8"), max_size=9),
)
def test_what_is_built_is_what_is_read(changes: list[RowChange], limits: Limits, source: str) -> None:
    built = messages(changes, Header(source), limits)
    read = [codec.decode(message.payload) for message in built]
    assert [change for message in read for change in message.changes] == changes
    for message, decoded in zip(built, read, strict=True):
        assert decoded.header == Header(source)
        assert message.rows == len(decoded.changes) <= limits.max_rows
        assert message.rows == 1 or len(message.payload) <= limits.max_bytes
        assert decoded.time_ms == message.time_ms
        assert message.time_ms == max(0, min(change.committed_at_ms for change in decoded.changes))


def test_an_update_that_changes_nothing_keeps_both_images() -> None:
    row = (b"1", b"x", b"1000")
    change = RowChange.update(CLICK, row, row, Position(0, 1, 1), 1000)
    (message,) = messages([change])
    assert codec.decode(message.payload).changes == [change]


@given(change_lists())
def test_generated_code_reads_and_writes_the_same_bytes(changes: list[RowChange]) -> None:
    for built in messages(changes):
        outer, body = ttypes.Message(), ttypes.Body()
        outer.read(TBinaryProtocol(TMemoryBuffer(built.payload)))
        outer.validate()
        assert outer.crc32c & 0xFFFFFFFF == crc32c(outer.body)
        body.read(TBinaryProtocol(TMemoryBuffer(outer.body)))
        rewritten = []
        for thing in (body, outer):
            buffer = TMemoryBuffer()
            thing.write(TBinaryProtocol(buffer))
            rewritten.append(buffer.getvalue())
        assert rewritten == [outer.body, built.payload]


@pytest.mark.parametrize("length", [0, 4095, 4096])
@pytest.mark.parametrize("width", [1, 256, 257])
def test_long_values_and_wide_tables_are_written_as_generated_code_writes_them(
    width: int, length: int
) -> None:
    columns = tuple(Column(f"c{i}", SqlType.TEXT, "text") for i in range(width))
    schema = TableSchema(TableId("d", "t"), columns)
    row = (*(b"%d" % i for i in range(width - 1)), b"y" * length)
    changes = [RowChange.insert(schema, each, Position(0, 0, 0), 1) for each in (row, (*row[:-1], None))]
    (message,) = messages([*changes, RowChange.delete(schema, row, Position(0, 0, 0), 1)])
    body = ttypes.Body()
    body.read(TBinaryProtocol(TMemoryBuffer(message.payload[21:-1])))
    buffer = TMemoryBuffer()
    body.write(TBinaryProtocol(buffer))
    assert buffer.getvalue() == message.payload[21:-1]
    assert codec.decode(message.payload).changes[:2] == changes


@pytest.mark.parametrize("value", ["text", 7])
def test_a_value_that_is_not_bytes_is_a_bug_of_ours(value: object) -> None:
    with pytest.raises(TypeError):
        messages([RowChange.insert(CLICK, (b"1", value, b"5"), Position(0, 0, 0), 1)])  # type: ignore[arg-type]


@given(change_lists())
def test_sizes_are_counted_exactly(changes: list[RowChange]) -> None:
    whole = messages(changes, limits=Limits(max_span_ms=2**65))
    if not whole or len(whole) > 1 or whole[0].rows == 1:
        return
    exact = len(whole[0].payload)
    assert len(messages(changes, limits=Limits(max_bytes=exact, max_span_ms=2**65))) == 1
    assert len(messages(changes, limits=Limits(max_bytes=exact - 1, max_span_ms=2**65))) > 1


def test_body_gives_the_parser_rows_columns_and_one_shared_schema() -> None:
    changes = [click(1, 5, "é".encode()), click(2, None, ABSENT)]
    payloads = [message.payload for message in messages(changes, limits=Limits(max_rows=1))]
    first, second = [codec.decode_body(payload).changes[0] for payload in payloads]
    assert (first.database, first.table) == ("ad", "click")
    assert first.schema == CLICK
    assert first.schema is second.schema
    assert first.columns == CLICK.columns
    row = first.rows[0]
    assert row.after is not None
    assert (row.kind, row.before, row.committed_at_ms, row.transaction_id) == (1, None, 1000, None)
    assert row.seq == changes[0].seq
    assert (row.after.values, row.after.nulls, row.after.absents) == ([b"1", "é".encode(), b"5"], None, None)
    gaps = second.rows[0].after
    assert gaps is not None
    assert (gaps.values, gaps.nulls, gaps.absents) == ([b"2", b"", b""], [2], [1])


def test_consecutive_changes_of_a_table_share_its_columns() -> None:
    other = TableSchema(TableId("ad", "impression"), CLICK.columns)
    second = RowChange.insert(other, (b"1", b"", b"2"), Position(0, 1, 1), 0)
    (message,) = messages([click(1, 1), click(2, 2), second, click(3, 3)])
    body = codec.decode_body(message.payload)
    assert [(change.table, len(change.rows)) for change in body.changes] == [
        ("click", 2),
        ("impression", 1),
        ("click", 1),
    ]


def test_a_span_of_event_times_cuts_messages() -> None:
    built = messages([click(i, t) for i, t in enumerate([0, 1000, 1001, 500, 5000])], BY_EVENT)
    assert [(message.rows, message.time_ms) for message in built] == [(2, 0), (2, 500), (1, 5000)]


def test_event_time_may_be_a_timestamp() -> None:
    schema = TableSchema(TableId("d", "t"), (Column("at", SqlType.TIMESTAMP, "timestamp(3)"),))
    change = RowChange.insert(schema, (b"1970-01-01 00:00:01.234567",), Position(0, 0, 0), 99)
    assert [message.time_ms for message in messages([change], Header("demo", "at"))] == [1234]


def test_a_row_over_the_byte_limit_travels_alone() -> None:
    big = b"x" * 100_000
    built = messages([click(1, 1), click(2, 1, big), click(3, 1)], BY_EVENT)
    assert [message.rows for message in built] == [1, 1, 1]
    assert codec.decode(built[1].payload).changes == [click(2, 1, big)]


def test_the_widest_table_with_the_largest_row_can_be_read() -> None:
    columns = tuple(Column(f"c{i}", SqlType.TEXT, "text", True, False) for i in range(4096))
    schema = TableSchema(TableId("d", "wide"), columns)
    before = (*(None for _ in range(2048)), *(ABSENT for _ in range(2047)), b"y" * 14_000_000)
    change = RowChange.update(schema, before, (b"",) * 4096, Position(0, 0, 0), 1, "gtid")
    (message,) = messages([change])
    assert codec.decode(message.payload).changes == [change]


def test_a_row_that_no_message_can_hold_is_refused_and_not_added() -> None:
    builder = MessageBuilder()
    with pytest.raises(
        codec.RowTooLargeError, match=r"INSERT of ad.click at 0:1:7:0, row 0, takes 16777\d+ bytes"
    ):
        builder.add(click(7, 1, b"x" * codec.MAX_MESSAGE_BYTES))
    assert builder.rows == 0


def test_a_row_just_small_enough_is_read() -> None:
    builder = MessageBuilder()
    value = b"x" * (codec.MAX_MESSAGE_BYTES - 3000)
    builder.add(click(7, 1, value))
    (message,) = builder.flush(DEMO)
    assert codec.decode(message.payload).changes == [click(7, 1, value)]


@pytest.mark.parametrize("name", ["nothing", "name"])
def test_an_event_time_column_that_cannot_be_one_is_refused_and_keeps_the_rows(name: str) -> None:
    builder = PartitionMessageBuilder(1, disorder_ms=0)
    builder.add(click(1, 1))
    with pytest.raises(ConfigError, match=r"ad.click has no column .* could be one of \['click_id', 'event"):
        builder.flush(Header("demo", name))
    assert builder.rows == 1
    assert [message.rows for _, message in builder.flush(BY_EVENT)] == [1]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Limits(max_rows=0),
        lambda: Limits(max_bytes=1 << 20),
        lambda: Limits(max_span_ms=-1),
        lambda: PartitionMessageBuilder(0, disorder_ms=0),
        lambda: PartitionMessageBuilder(1, disorder_ms=-1),
    ],
)
def test_limits_out_of_range_are_refused(make: type) -> None:
    with pytest.raises(ConfigError):
        make()


def test_a_header_that_is_too_long_is_refused() -> None:
    with pytest.raises(ConfigError, match="header takes"):
        messages([click(1, 1)], Header("s" * 5000))


def test_a_row_of_the_wrong_width_is_a_bug_of_the_producer() -> None:
    with pytest.raises(AssertionError, match="1 values for 3 columns"):
        MessageBuilder().add(RowChange.insert(CLICK, (b"1",), Position(0, 0, 0), 0))


def test_partitions_follow_the_key_by_the_published_hash() -> None:
    changed = RowChange.update(CLICK, (b"7", b"a", b"1"), (b"7", b"b", None), Position(0, 0, 1), 0)
    expected = crc32c(b"\0\0\0\x017") % 5
    assert {codec.partition_of(change, 5) for change in (click(7, 1), changed)} == {expected}
    keyless = TableSchema(
        TableId("d", "t"), (Column("a", SqlType.INT, "int"), Column("b", SqlType.INT, "int"))
    )
    row = RowChange.delete(keyless, (None, ABSENT), Position(0, 0, 1), 0)
    assert codec.partition_of(row, 5) == crc32c(b"\xff\xff\xff\xff\xff\xff\xff\xfe") % 5


def test_keys_spread_over_partitions() -> None:
    counts = [0] * 4
    for i in range(4000):
        counts[codec.partition_of(click(10**6 + i, 1), 4)] += 1
    assert all(math.isclose(count, 1000, rel_tol=0.2) for count in counts)
