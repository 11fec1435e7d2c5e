"""The handoff against a simulated table and log: no gap, no overlap, whatever the interleaving."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamjobs.capture.snapshot.handoff import Handoff, Place
from streamjobs.capture.state import TablePart
from streamjobs.changes.position import Half, Position
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ChangeKind, Column, SqlType, TableId, TableSchema
from streamjobs.errors import RetriableError
from streamjobs.retry import SystemClock

TABLE = TableId("shop", "item")
SCHEMA = TableSchema(
    TABLE, (Column("id", SqlType.INT, "int", key=True), Column("version", SqlType.INT, "int"))
)
Table = dict[int, int]


class Server:
    """A table with its log: version k of a key is written by the k-th transaction."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.states: list[Table] = [{key: 0 for key in range(0, 40, 2)}]

    def commit(self) -> None:
        table = dict(self.states[-1])
        key = self.random.randrange(40)
        if key in table and self.random.random() < 0.3:
            del table[key]
        else:
            table[key] = len(self.states)
        self.states.append(table)

    @property
    def end(self) -> int:
        return len(self.states) - 1


@dataclass(frozen=True)
class Rows:
    place: int
    rows: list[tuple[int, int]]
    limit: int

    def batches(self) -> Iterator[RowBatch]:
        images = [(b"%d" % key, b"%d" % version) for key, version in self.rows]
        position = Position(0, 1, self.place)
        yield RowBatch(SCHEMA, ChangeKind.SNAPSHOT, images, (), position, 0, "", Half.SNAPSHOT)

    def rest(self, part: TablePart) -> TablePart:
        last = (str(self.rows[-1][0]),) if self.rows else part.after
        done = len(self.rows) < self.limit
        return replace(part, after=last, done=done, rows=part.rows + len(self.rows))


class Reader:
    """Reads chunks of the server, as of its end or an older place that is not before the stream's."""

    def __init__(self, server: Server, limit: int) -> None:
        self.server = server
        self.limit = limit
        self.fails = 0

    def read(self, table: TableId, part: TablePart, at_least: Place, opened: Callable[[Place], None]) -> Rows:
        assert table == TABLE
        if self.fails:
            self.fails -= 1
            message = "the server went away"
            raise RetriableError(message)
        place = self.server.random.randint(at_least[1], self.server.end)
        opened((1, place))
        after = int(part.after[0]) if part.after else -1
        until = int(part.until[0]) if part.until else 1 << 30
        found = sorted((k, v) for k, v in self.server.states[place].items() if after < k <= until)
        return Rows(place, found[: self.limit], self.limit)

    def close(self) -> None:
        return


def replay(server: Server, handoff: Handoff) -> Table:
    """Run a stream with writers; each snapshot row must be what the changes before it have made."""
    known: dict[int, int | None] = {}

    def send(place: int) -> bool:
        sent = False
        for batch in handoff.due((1, place)):
            assert isinstance(batch, RowBatch)
            assert batch.position.offset <= place
            for key, version in batch.images:
                assert isinstance(key, bytes)
                assert isinstance(version, bytes)
                assert known.get(int(key), int(version)) == int(version)
                known[int(key)] = int(version)
            sent = True
        return sent

    at = 0
    while handoff.active or at < server.end:
        if server.random.random() < 0.7 and server.end < 300:
            server.commit()
        handoff.start_reads((1, at))
        send(at)
        if at < server.end:
            before, after = server.states[at], server.states[at + 1]
            at += 1
            for key in before.keys() | after.keys():
                if before.get(key) != after.get(key):
                    known[key] = after.get(key)
    send(at)
    return {key: version for key, version in known.items() if version is not None}


def handoff_of(reader: Reader, parts: list[TablePart], readers: int = 3) -> Handoff:
    return Handoff(
        reader, {str(TABLE): parts}, readers=readers, max_rows_per_second=None, clock=SystemClock()
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.booleans())
def test_snapshot_and_stream_end_as_the_table(seed: int, limit: int, split: bool) -> None:
    server = Server(seed)
    cut = ("17",)
    parts = [TablePart(until=cut), TablePart(after=cut)] if split else [TablePart()]
    handoff = handoff_of(Reader(server, limit), parts)
    try:
        assert replay(server, handoff) == server.states[-1]
    finally:
        handoff.close()


def batches(handoff: Handoff) -> list[RowBatch]:
    return [batch for batch in handoff.due((1, 0)) if isinstance(batch, RowBatch)]


def test_parts_go_on_where_they_were() -> None:
    server = Server(1)
    first = handoff_of(Reader(server, 5), [TablePart()], readers=1)
    first.start_reads((1, 0))
    assert [len(batch) for batch in batches(first)] == [5]
    left = first.parts[str(TABLE)]
    first.close()
    assert left == (TablePart(after=("8",), rows=5),)
    second = handoff_of(Reader(server, 100), list(left))
    second.start_reads((1, 0))
    assert [[image[0] for image in batch.images] for batch in batches(second)] == [
        [b"%d" % key for key in range(10, 40, 2)]
    ]
    assert not second.active
    second.close()


def test_a_table_that_is_asked_for_while_it_is_read_is_read_again_from_its_start() -> None:
    handoff = handoff_of(Reader(Server(1), 15), [TablePart()])
    handoff.start_reads((1, 0))
    assert [len(batch) for batch in batches(handoff)] == [15]
    handoff.start_reads((1, 0))
    handoff.begin(TABLE, [TablePart(until=("17",)), TablePart(after=("17",))])
    handoff.start_reads((1, 0))  # nothing before the running chunk has ended
    assert handoff.parts == {str(TABLE): (TablePart(until=("17",)), TablePart(after=("17",)))}
    assert [len(batch) for batch in batches(handoff)] == [5]
    handoff.start_reads((1, 0))
    assert [len(batch) for batch in batches(handoff)] == [9, 11]
    assert not handoff.active
    handoff.close()


def test_a_failed_read_is_raised_in_the_stream() -> None:
    reader = Reader(Server(1), 5)
    reader.fails = 1
    handoff = handoff_of(reader, [TablePart()])
    handoff.start_reads((1, 0))
    with pytest.raises(RetriableError, match="the server went away"):
        list(handoff.due((1, 0)))
    handoff.close()


def test_reads_are_throttled() -> None:
    class Clock(SystemClock):
        now_s = 0.0

        def monotonic_s(self) -> float:
            return self.now_s

    clock = Clock()
    reader = Reader(Server(1), 5)
    parts = {str(TABLE): [TablePart()]}
    handoff = Handoff(reader, parts, readers=1, max_rows_per_second=10, clock=clock)
    handoff.start_reads((1, 0))
    assert len(list(handoff.due((1, 0)))) == 1
    handoff.start_reads((1, 0))
    assert list(handoff.due((1, 0))) == []
    clock.now_s = 0.5
    handoff.start_reads((1, 0))
    assert len(list(handoff.due((1, 0)))) == 1
    handoff.close()
