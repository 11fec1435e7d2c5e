"""The time rule of the IDL, as a property of what PartitionMessageBuilder writes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from streamjobs.changes.row_change import RowChange
from tests.unit.changes import click
from thrift_idl import codec
from thrift_idl.codec import BuiltMessage, Header, Limits, PartitionMessageBuilder

BY_EVENT = Header("demo", "event_time_ms")


@dataclass(frozen=True)
class Flush:
    pass


@dataclass(frozen=True)
class Heartbeat:
    time_ms: int


TIMES = st.integers(-50, 20_000) | st.none()
STEPS = st.lists(TIMES | st.builds(Flush) | st.builds(Heartbeat, st.integers(0, 20_000)), max_size=60)
LIMITS = st.builds(Limits, st.integers(1, 6), st.just(65_536), st.integers(0, 3000))
Log = dict[int, list[BuiltMessage]]


def write(steps: list[object], builder: PartitionMessageBuilder) -> tuple[Log, list[RowChange]]:
    log: Log = defaultdict(list)
    sent = []
    for number, step in enumerate([*steps, Flush()]):
        match step:
            case Flush():
                built = builder.flush(BY_EVENT)
            case Heartbeat(time_ms):
                built = builder.heartbeat(BY_EVENT, time_ms)
            case _:
                sent.append(click(number, step))  # type: ignore[arg-type]  # the rest are event times
                builder.add(sent[-1])
                continue
        for partition, message in built:
            log[partition].append(message)
    return log, sent


def event_time(change: RowChange) -> int | None:
    value = change.image[2]
    return int(value) if isinstance(value, bytes) else None


@given(STEPS, st.integers(1, 3), st.integers(0, 4000), LIMITS, st.integers(0, 9000))
def test_every_message_keeps_the_time_rule(
    steps: list[object], partitions: int, disorder_ms: int, limits: Limits, held_ms: int
) -> None:
    builder = PartitionMessageBuilder(partitions, disorder_ms=disorder_ms, limits=limits)
    builder.resume(0, held_ms)
    log, sent = write(steps, builder)
    received = []
    for partition, messages in log.items():
        newest = held_ms if partition == 0 else 0
        for message in messages:
            decoded = codec.decode(message.payload)
            assert (decoded.time_ms, len(decoded.changes)) == (message.time_ms, message.rows)
            low = max(newest - disorder_ms, 0)
            times = [time for change in decoded.changes if (time := event_time(change)) is not None]
            assert message.time_ms >= low
            if message.rows:
                assert message.time_ms == max(min(times, default=low), low)
                assert [time for time in times if time < message.time_ms] == [t for t in times if t < low]
            assert max(times, default=0) - min(times, default=0) <= limits.max_span_ms + disorder_ms
            newest = max(newest, message.time_ms)
            received += [(partition, change) for change in decoded.changes]
    expected = [(codec.partition_of(change, partitions), change) for change in sent]
    for partition in range(partitions):
        assert [c for p, c in received if p == partition] == [c for p, c in expected if p == partition]


@given(st.lists(st.integers(0, 10_000), min_size=1), st.integers(0, 500), st.integers(1, 9))
def test_disorder_within_the_bound_makes_nothing_late(times: list[int], disorder_ms: int, rows: int) -> None:
    """Times that fall behind the largest so far by at most the bound are never below their message's time."""
    newest = 0
    bounded = []
    for time in times:
        newest = max(newest, time)
        bounded.append(max(time, newest - disorder_ms))
    builder = PartitionMessageBuilder(1, disorder_ms=disorder_ms, limits=Limits(max_rows=rows))
    log, _ = write(list(bounded), builder)
    for message in log[0]:
        for change in codec.decode(message.payload).changes:
            assert (event_time(change) or 0) >= message.time_ms


def test_heartbeats_tell_time_where_no_rows_wait() -> None:
    builder = PartitionMessageBuilder(3, disorder_ms=100)
    builder.resume(1, 900)
    builder.resume(2, 5000)
    waiting = click(1, 5)
    builder.add(waiting)
    busy = codec.partition_of(waiting, 3)
    expected = {0: 1000, 1: 1000, 2: 4900}
    del expected[busy]
    beats = dict(builder.heartbeat(BY_EVENT, 1000))
    assert {partition: beat.time_ms for partition, beat in beats.items()} == expected
    for beat in beats.values():
        assert beat.rows == 0
        assert codec.decode(beat.payload) == codec.DecodedMessage(BY_EVENT, beat.time_ms, [])


def test_heartbeats_go_to_the_partitions_that_are_named() -> None:
    builder = PartitionMessageBuilder(4, disorder_ms=0)
    assert [partition for partition, _ in builder.heartbeat(BY_EVENT, 7, [3, 1])] == [3, 1]


def test_a_row_after_a_later_heartbeat_is_late() -> None:
    builder = PartitionMessageBuilder(1, disorder_ms=100)
    list(builder.heartbeat(BY_EVENT, 1000))
    builder.add(click(1, 899))
    builder.add(click(2, 900))
    ((_, message),) = builder.flush(BY_EVENT)
    assert (message.time_ms, message.rows) == (900, 2)


def test_a_message_of_rows_without_time_takes_the_lowest_time_allowed() -> None:
    builder = PartitionMessageBuilder(1, disorder_ms=100, limits=Limits(max_rows=1))
    for number, time in enumerate([None, 1000, None]):
        builder.add(click(number, time))
    assert [message.time_ms for _, message in builder.flush(BY_EVENT)] == [0, 1000, 900]
