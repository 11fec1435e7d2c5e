"""The cache, the bounded requests and the retries of lookups, over a store in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjobs.errors import ConfigError, RetriableError
from streamjobs.lookups.contract import Cache, CachedLookup, Key, LookupSettings, Row, lookup_settings
from streamjobs.metrics import METRICS, MemoryMetrics
from streamjobs.retry import RetryPolicy
from tests.unit.test_delivery import HeldClock


class MemoryLookup:
    """A table in memory that counts what it is asked, and can be down."""

    def __init__(self, rows: dict[Key, Row]) -> None:
        self.table = rows
        self.asked: list[list[Key]] = []
        self.scans = 0
        self.failures = 0

    def open(self) -> None:
        self._fail()

    def fetch(self, keys: Sequence[Key]) -> Mapping[Key, Row]:
        self._fail()
        self.asked.append(sorted(keys))
        return {key: self.table[key] for key in keys if key in self.table}

    def scan(self) -> Iterable[tuple[Key, Row]]:
        self._fail()
        self.scans += 1
        return list(self.table.items())

    def close(self) -> None:
        return

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            message = "down"
            raise RetriableError(message)


class Bench:
    """A lookup of two rows, opened."""

    def __init__(self, **settings: Any) -> None:
        self.store = MemoryLookup({(1,): (1, "a"), (2,): (2, "b")})
        self.clock = HeldClock()
        self.metrics = MemoryMetrics()
        settings.setdefault("policy", RetryPolicy(budget_s=60))
        self.lookup = CachedLookup(
            self.store, "d", LookupSettings(**settings), self.metrics, clock=self.clock
        )
        self.lookup.open()

    def rows(self, *numbers: int | None) -> list[Row | None]:
        return self.lookup.rows([(number,) for number in numbers])


def test_a_batch_asks_for_each_key_once_and_never_for_nulls() -> None:
    it = Bench()
    assert it.rows(1, 9, 1, None, 2) == [(1, "a"), None, (1, "a"), None, (2, "b")]
    assert it.rows(None) == [None]
    assert it.store.asked == [[(1,), (2,), (9,)]]
    assert it.metrics.counts() == {"lookup_keys": 3, "lookup_missing": 1, "lookup_requests": 1}


def test_without_a_cache_each_batch_sees_the_store() -> None:
    it = Bench()
    assert it.rows(1) == [(1, "a")]
    it.store.table[1,] = (1, "new")
    assert it.rows(1) == [(1, "new")]


def test_requests_are_bounded() -> None:
    it = Bench(batch_keys=2)
    it.rows(1, 2, 3, 4, 5)
    assert sorted(map(len, it.store.asked)) == [1, 2, 2]


def test_a_cached_row_is_read_anew_when_its_time_is_over() -> None:
    it = Bench(cache=Cache.LRU, ttl_ms=5000)
    assert it.rows(1, 9) == [(1, "a"), None]
    it.store.table.update({(1,): (1, "new"), (9,): (9, "born")})
    it.clock.now_s += 4.9
    assert it.rows(1, 9) == [(1, "a"), None]
    it.clock.now_s += 0.2
    assert it.rows(1, 9) == [(1, "new"), (9, "born")]
    assert it.metrics.counts()["lookup_cached"] == 2


def test_what_is_missing_is_asked_again_when_it_is_not_cached() -> None:
    it = Bench(cache=Cache.LRU, cache_missing=False)
    it.rows(1, 9)
    it.store.table[9,] = (9, "born")
    assert it.rows(1, 9) == [(1, "a"), (9, "born")]
    assert it.store.asked == [[(1,), (9,)], [(9,)]]


def test_the_key_that_was_used_last_stays_longest() -> None:
    it = Bench(cache=Cache.LRU, size=2)
    it.rows(1)
    it.rows(2)
    it.rows(1)
    it.rows(9)
    it.store.asked.clear()
    it.rows(1, 9, 2)
    assert it.store.asked == [[(2,)]]


def test_a_batch_greater_than_the_cache_is_answered_whole() -> None:
    it = Bench(cache=Cache.LRU, size=1)
    assert it.rows(1, 2, 9) == [(1, "a"), (2, "b"), None]


def test_a_whole_table_is_read_at_open_and_when_its_time_is_over() -> None:
    it = Bench(cache=Cache.ALL, ttl_ms=1000)
    assert it.rows(1, 9) == [(1, "a"), None]
    it.store.table = {(9,): (9, "born")}
    assert it.rows(1, 9) == [(1, "a"), None]
    it.clock.now_s += 1
    assert it.rows(1, 9) == [None, (9, "born")]
    assert (it.store.scans, it.store.asked) == (2, [])


def test_a_store_that_is_down_is_waited_for() -> None:
    it = Bench()
    it.store.failures = 3
    assert it.rows(1) == [(1, "a")]
    assert it.metrics.counts()["retries"] == 3
    assert {*it.metrics.counters, *it.metrics.distributions} <= set(METRICS)


def test_a_store_that_stays_down_fails_the_batch() -> None:
    it = Bench(policy=RetryPolicy(budget_s=5))
    it.store.failures = 10**6
    with pytest.raises(RetriableError, match="gave up after"):
        it.rows(1)


@given(st.lists(st.lists(st.one_of(st.none(), st.integers(0, 12))), max_size=12), st.integers(1, 6))
def test_every_cache_gives_what_the_table_holds(batches: list[list[int | None]], size: int) -> None:
    table: dict[Key, Row] = {(number,): (number, str(number)) for number in range(0, 12, 2)}
    for cache in Cache:
        it = Bench(cache=cache, size=size, batch_keys=3)
        it.store.table.clear()
        it.store.table.update(table)
        it.lookup.open()
        for batch in batches:
            expected = [None if number is None else table.get((number,)) for number in batch]
            assert it.rows(*batch) == expected


def test_settings_come_from_the_options() -> None:
    options = {"host": "h", "cache": "lru", "cache-size": "5", "cacheTTLMs": "2 s", "batchSize": "7"}
    assert lookup_settings("redis", "d", options) == LookupSettings(
        Cache.LRU, 5, 2000, cache_missing=True, batch_keys=7
    )
    with pytest.raises(ConfigError, match="cache"):
        lookup_settings("redis", "d", {"host": "h", "cache": "LFU"})
