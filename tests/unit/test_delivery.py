"""Delivery over the in-memory sink: what reaches the store whatever fails."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.memory import MemorySink, MemoryStore
from streamjobs.changes.dead_letter import DeadLetter
from streamjobs.delivery import (
    DeadLetterCap,
    Delivery,
    DeliverySettings,
    delivery_settings,
    reduce_changes,
    split_batches,
)
from streamjobs.errors import RetriableError, SystemicError
from streamjobs.metrics import METRICS, MemoryMetrics
from streamjobs.retry import RetryPolicy
from streamjobs.sinks.contract import Attempt, Record, RecordKind, SinkColumn, SinkTable, WriteResult
from streamjobs.sinks.upsert_batch import Upserts

COLUMNS = (SinkColumn("id", "BIGINT"), SinkColumn("a", "STRING"), SinkColumn("b", "STRING"))
TABLE = SinkTable("t", COLUMNS, ("id",), {})
FIRST = Attempt("run", 0, 1, 0)


def upsert(key: int, version: int = 1, origin: str = "", **values: Any) -> Record:
    return Record((key,), {"id": key, "a": None, "b": None, **values}, RecordKind.UPSERT, version, origin)


def delete(key: int, version: int = 1) -> Record:
    return Record((key,), {"id": key}, RecordKind.DELETE, version)


@dataclass
class HeldClock:
    now_s: float = 1000.0
    sleeps: list[float] = field(default_factory=list)

    def monotonic_s(self) -> float:
        return self.now_s

    def now_ms(self) -> int:
        return int(self.now_s * 1000)

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now_s += seconds


@dataclass
class Letters:
    kept: list[DeadLetter] = field(default_factory=list)
    failures: int = 0

    def add(self, letters: Sequence[DeadLetter]) -> None:
        if self.failures:
            self.failures -= 1
            message = "the dead-letter topic is away"
            raise RetriableError(message)
        self.kept += letters


class UnsteadySink(MemorySink):
    """The memory sink behind a store that fails as the test says; notes what it was given."""

    failures: list[Exception]
    batches: list[list[Record]]
    given: list[Sequence[Record]]
    bears: int = 1_000_000

    def write(self, batch: Sequence[Record]) -> WriteResult:
        self.batches.append(list(batch))
        self.given.append(batch)
        if len(batch) > self.bears:
            message = "too slow for so many"
            raise RetriableError(message)
        if self.failures:
            raise self.failures.pop(0)
        return super().write(batch)


@dataclass
class Bench:
    sink: UnsteadySink
    delivery: Delivery
    letters: Letters
    metrics: MemoryMetrics
    clock: HeldClock

    @property
    def rows(self) -> dict[tuple[Any, ...], Any]:
        return {key: dict(row) for key, row in self.sink.store.rows.items()}


def bench(
    *,
    refuses: frozenset[tuple[Any, ...]] = frozenset(),
    tells: bool = True,
    alive: Callable[[], None] = lambda: None,
    cap: DeadLetterCap | None = None,
    failures: Sequence[Exception] = (),
    settings: DeliverySettings | None = None,
) -> Bench:
    sink = UnsteadySink(TABLE, MemoryStore(), refuses=lambda record: record.key in refuses, tells=tells)
    sink.failures, sink.batches, sink.given = list(failures), [], []
    letters, metrics, clock = Letters(), MemoryMetrics(), HeldClock()
    delivery = Delivery(
        sink, FIRST, job="j", table=TABLE, metrics=metrics, dead_letters=letters, alive=alive,
        policy=RetryPolicy(first_delay_s=0.1, max_delay_s=10, budget_s=60), cap=cap, clock=clock,
        settings=settings,
    )  # fmt: skip
    delivery.open()
    return Bench(sink, delivery, letters, metrics, clock)


def test_last_effect_of_each_key_is_written_sorted_by_key() -> None:
    it = bench()
    it.delivery.write([upsert(2, a="x"), upsert(1, a="y"), upsert(2, a="z")])
    assert it.sink.batches == [[upsert(1, a="y"), upsert(2, a="z")]]


def test_lone_update_before_is_a_delete() -> None:
    it = bench()
    it.delivery.write([upsert(1, a="x"), upsert(2, a="y")])
    it.delivery.write([delete(1)])
    assert it.rows == {(2,): {"id": 2, "a": "y", "b": None}}


def test_update_pair_split_over_two_batches_ends_as_the_update() -> None:
    it = bench()
    it.delivery.write([upsert(1, a="x")])
    it.delivery.write([delete(1)])
    it.delivery.write([upsert(1, a="y")])
    assert it.rows == {(1,): {"id": 1, "a": "y", "b": None}}


def test_absent_columns_are_laid_over_the_earlier_change_of_the_batch() -> None:
    first = Record((1,), {"id": 1, "a": "x"}, RecordKind.UPSERT, 1)
    second = Record((1,), {"id": 1, "b": "y"}, RecordKind.UPSERT, 2)
    assert [r.values for r in reduce_changes([first, second], TABLE)] == [{"id": 1, "a": "x", "b": "y"}]


def test_absent_columns_after_a_delete_are_null() -> None:
    second = Record((1,), {"id": 1, "b": "y"}, RecordKind.UPSERT, 2)
    assert [r.values for r in reduce_changes([delete(1), second], TABLE)] == [{"id": 1, "a": None, "b": "y"}]


def test_batches_respect_rows_and_bytes_and_a_giant_stands_alone() -> None:
    rows = [upsert(1), upsert(2), upsert(3), upsert(4, a="x" * 5000), upsert(5)]
    assert [[r.key[0] for r in b] for b in split_batches(rows, 2, 1000)] == [[1, 2], [3], [4], [5]]


def test_transient_trouble_is_retried_with_the_same_batch() -> None:
    it = bench(failures=[RetriableError("away"), RetriableError("away")])
    it.delivery.write([upsert(1)])
    assert it.sink.batches == [[upsert(1)]] * 3
    assert it.metrics.counts() == {
        "records_in": 1, "records_written": 1, "batches_written": 1, "bytes_written": 52, "retries": 2,
    }  # fmt: skip


def test_a_batch_that_is_tried_again_is_the_same_object() -> None:
    it = bench(failures=[RetriableError("a")])
    it.delivery.write([upsert(1), upsert(2)])
    first, second = it.sink.given
    assert first is second


def test_waits_grow_with_full_jitter_and_never_pass_the_limit() -> None:
    it = bench(failures=[RetriableError("away")] * 8)
    it.delivery.write([upsert(1)])
    limits = [min(10.0, 0.1 * 2**n) for n in range(8)]
    assert len(it.clock.sleeps) == 8
    assert all(0 <= wait <= limit for wait, limit in zip(it.clock.sleeps, limits, strict=True))


def test_store_that_keeps_failing_is_probed_with_one_record_and_then_with_more() -> None:
    it = bench(failures=[RetriableError("away")] * 7)
    it.delivery.write([upsert(n) for n in range(20)])
    assert [len(batch) for batch in it.sink.batches] == [20] * 5 + [1, 1, 1, 2, 4, 8, 5]
    assert len(it.rows) == 20
    assert it.metrics.gauges["circuit_open"]() == 1
    it.delivery.write([upsert(n) for n in range(2000)])
    assert it.metrics.gauges["circuit_open"]() == 0
    assert len(it.sink.batches[-1]) > 400


def test_store_too_slow_for_a_batch_gets_on_in_smaller_ones() -> None:
    it = bench()
    it.sink.bears = 10
    it.delivery.write([upsert(n) for n in range(300)])
    assert len(it.rows) == 300


def test_settings_bound_batches_and_ignore_deletes() -> None:
    it = bench(settings=DeliverySettings(max_rows=2, ignore_deletes=True))
    it.delivery.write([upsert(1), upsert(2), delete(1), upsert(3)])
    assert [[record.key[0] for record in batch] for batch in it.sink.batches] == [[1, 2], [3]]
    assert it.metrics.counts()["records_in"] == 4


def test_settings_are_read_from_the_tables_options() -> None:
    options = {"host": "h", "retryTimeout": "2 min", "batchSize": "500", "ignoreDelete": "true"}
    assert delivery_settings("redis", "t", options) == DeliverySettings(RetryPolicy(budget_s=120), 500, True)
    assert delivery_settings("rocksdb", "t", {}) == DeliverySettings()


def test_bytes_are_counted() -> None:
    it = bench()
    it.delivery.write([upsert(1, a="x" * 1000), upsert(2)])
    assert it.metrics.counts()["bytes_written"] == 1104


def test_spent_budget_fails_the_attempt_with_the_cause() -> None:
    it = bench(failures=[RetriableError("refused at 10.0.0.1")] * 10_000)
    with pytest.raises(RetriableError, match=r"gave up after \d+ tries in 60 s: refused at 10.0.0.1"):
        it.delivery.write([upsert(1)])
    assert it.letters.kept == []


def test_systemic_trouble_stops_at_once_without_dead_letters() -> None:
    it = bench(failures=[SystemicError("access denied")])
    with pytest.raises(SystemicError, match="access denied"):
        it.delivery.write([upsert(1)])
    assert (len(it.sink.batches), it.letters.kept) == (1, [])


def test_own_bug_is_caught_nowhere() -> None:
    it = bench(failures=[KeyError("bug")])
    with pytest.raises(KeyError):
        it.delivery.write([upsert(1)])


def test_worker_whose_parent_is_dead_writes_nothing() -> None:
    calls = 0

    def alive() -> None:
        nonlocal calls
        calls += 1
        if calls > 2:
            message = "the TaskManager is gone"
            raise SystemicError(message)

    it = bench(alive=alive, failures=[RetriableError("away")])
    with pytest.raises(SystemicError, match="gone"):
        it.delivery.write([upsert(1)])
    assert (len(it.sink.batches), it.rows) == (1, {})


def test_every_metric_in_use_is_in_the_table() -> None:
    it = bench()
    assert {*it.metrics.counters, *it.metrics.gauges, *it.metrics.distributions} <= set(METRICS)


def test_versions_count_up_below_the_epoch() -> None:
    delivery = Delivery(
        MemorySink(TABLE), FIRST, job="j", table=TABLE, metrics=MemoryMetrics(), dead_letters=Letters(),
        alive=lambda: None, epoch=7,
    )  # fmt: skip
    assert [delivery.next_version(), delivery.next_version()] == [(7 << 33) | 1, (7 << 33) | 2]


values = st.none() | st.text(max_size=5) | st.binary(max_size=5)


@settings(deadline=None)
@given(st.lists(st.tuples(st.none() | st.integers(0, 9) | st.text(max_size=2), values, values), max_size=40))
def test_rows_kept_by_column_are_delivered_as_records_are(rows: list[tuple[Any, Any, Any]]) -> None:
    names = [column.name for column in COLUMNS]
    columns = [[row[place] for row in rows] for place in range(3)]
    keys = [(row[0],) for row in rows]
    upserts = Upserts(names, columns, keys, range(7, 7 + len(rows)))
    records = [
        Record((row[0],), dict(zip(names, row, strict=True)), RecordKind.UPSERT, 7 + place)
        for place, row in enumerate(rows)
    ]
    assert list(upserts) == records
    assert list(reduce_changes(upserts, TABLE)) == list(reduce_changes(records, TABLE))
    for limits in ((3, 1000), (100, 60), (100, 10_000)):
        cut = [list(batch) for batch in split_batches(records, *limits)]
        assert [list(batch) for batch in split_batches(upserts, *limits)] == cut
    by_column, by_record = bench(refuses=frozenset({(3,)})), bench(refuses=frozenset({(3,)}))
    by_column.delivery.write(upserts)
    by_record.delivery.write(records)
    assert by_column.sink.batches == by_record.sink.batches
    assert (by_column.rows, by_column.letters.kept) == (by_record.rows, by_record.letters.kept)
    assert by_column.metrics.counts() == by_record.metrics.counts()


changes = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["upsert", "delete"]), st.text(max_size=3)), max_size=60
)


def records_of(raw: Sequence[tuple[int, str, str]]) -> list[Record]:
    made = [upsert(k, a=v) if kind == "upsert" else delete(k) for k, kind, v in raw]
    return [Record(r.key, r.values, r.kind, n + 1) for n, r in enumerate(made)]


def model_of(records: Sequence[Record]) -> dict[tuple[Any, ...], Any]:
    rows: dict[tuple[Any, ...], Any] = {}
    for record in records:
        if record.kind is RecordKind.DELETE:
            rows.pop(record.key, None)
        else:
            rows[record.key] = dict(record.values)
    return rows


@settings(deadline=None)
@given(changes, st.lists(st.integers(0, 60), max_size=6))
def test_any_cut_of_the_stream_gives_the_rows_of_the_whole(
    raw: list[tuple[int, str, str]], cuts: list[int]
) -> None:
    records = records_of(raw)
    it = bench()
    places = [0, *sorted(min(cut, len(records)) for cut in cuts), len(records)]
    for start, end in itertools.pairwise(places):
        it.delivery.write(records[start:end])
    assert it.rows == model_of(records)


@pytest.mark.parametrize("seed", range(20))
def test_crashes_replays_and_zombies_converge_to_the_model(seed: int) -> None:
    rng = random.Random(seed)
    raw = [(rng.randrange(8), rng.choice(["upsert", "upsert", "delete"]), str(n)) for n in range(300)]
    records = records_of(raw)
    store = MemoryStore()
    older: list[Delivery] = []
    checkpoint = done = attempt = 0
    while done < len(records):
        delivery = Delivery(
            MemorySink(TABLE, store), Attempt("run", 0, 1, attempt), job="j", table=TABLE,
            metrics=MemoryMetrics(), dead_letters=Letters(), alive=lambda: None, clock=HeldClock(),
        )  # fmt: skip
        delivery.open()
        attempt, done = attempt + 1, checkpoint
        while done < len(records) and rng.random() > 0.1:
            size = rng.randrange(1, 30)
            delivery.write(records[done : done + size])
            done += size
            if rng.random() < 0.5:
                checkpoint = min(done, len(records))
            for zombie in older:
                with pytest.raises(SystemicError):
                    zombie.write(records[rng.randrange(len(records)) :][:5])
        older.append(delivery)
    assert {key: dict(row) for key, row in store.rows.items()} == model_of(records)
