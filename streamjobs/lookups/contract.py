"""Lookups: the contract of a store's reader, and the cache and retries that all readers share."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol, TypeVar

from streamjobs.errors import RetriableError
from streamjobs.metrics import (
    LOOKUP_CACHED,
    LOOKUP_KEYS,
    LOOKUP_MISSING,
    LOOKUP_MS,
    LOOKUP_REQUESTS,
    RETRIES,
    MetricGroup,
)
from streamjobs.options.options import Secret
from streamjobs.options.store_options import STORE_OPTIONS
from streamjobs.retry import Clock, RetryPolicy, SystemClock, call_with_retries

logger = logging.getLogger(__name__)

T = TypeVar("T")
Key = tuple[Any, ...]
Row = tuple[Any, ...]

DEFAULT_BATCH_KEYS = 1000
"""Keys of one request, unless `batchSize` is given."""


class Lookup(Protocol):
    """Reads rows of one table of one store by their keys.

    Shape: a key holds the values of the key columns in key order, a row those of all columns in the table's
    order: exact Python values, None for NULL. Never retries, caches or logs a row. One thread uses it.
    Raises, from all methods: RetriableError (call again; it connects again), SystemicError (stop the job).
    """

    def open(self) -> None:
        """Connect and check that the table exists and fits. Raises ConfigError too."""

    def fetch(self, keys: Sequence[Key]) -> Mapping[Key, Row]:
        """Return the rows of different keys, with one request per server; keys without a row are left out."""

    def scan(self) -> Iterable[tuple[Key, Row]]:
        """Yield all rows of the table with their keys."""

    def close(self) -> None:
        """Close the connection to the store."""


class Cache(Enum):
    """What is cached: NONE nothing, LRU the rows of recent keys for a time, ALL the whole table."""

    NONE = "NONE"
    LRU = "LRU"
    ALL = "ALL"


@dataclass(frozen=True)
class LookupSettings:
    """How a table is looked up; `ttl_ms` None: cached rows never expire."""

    cache: Cache = Cache.NONE
    size: int = 10_000
    ttl_ms: int | None = None
    cache_missing: bool = True
    batch_keys: int = DEFAULT_BATCH_KEYS
    policy: RetryPolicy = field(default_factory=RetryPolicy)


def lookup_settings(kind: str, table: str, options: Mapping[str, str | Secret]) -> LookupSettings:
    """Read the settings from a table's options. Raises ConfigError."""
    read = STORE_OPTIONS[kind].parse(options, f"table {table}")
    return LookupSettings(
        Cache(read.text("cache")),
        read.number("cacheSize"),
        read.number_or_none("cacheTTLMs"),
        read.flag("cacheEmpty"),
        read.number_or_none("batchSize") or DEFAULT_BATCH_KEYS,
        RetryPolicy(budget_s=read.number("retryTimeout") / 1000),
    )


class CachedLookup:
    """Looks up the keys of batches of rows, with a cache, requests of a bounded size, and retries.

    Promise: a returned row was in the store at some time since the batch arrived, or with a cache at most
    `ttl_ms` before. Blocks while the store is down, until the budget of the retries is spent. `alive` raises
    when the worker has lost its TaskManager.
    """

    def __init__(
        self,
        lookup: Lookup,
        table: str,
        settings: LookupSettings,
        metrics: MetricGroup,
        *,
        alive: Callable[[], None] = lambda: None,
        clock: Clock | None = None,
    ) -> None:
        self._lookup = lookup
        self._table = table
        self._settings = settings
        self._alive = alive
        self._clock = clock or SystemClock()
        self._remembered: OrderedDict[Key, tuple[Row | None, float]] = OrderedDict()
        self._whole: dict[Key, Row] = {}
        self._stale_at_s = 0.0
        self._keys = metrics.counter(LOOKUP_KEYS)
        self._cached = metrics.counter(LOOKUP_CACHED)
        self._missing = metrics.counter(LOOKUP_MISSING)
        self._requests = metrics.counter(LOOKUP_REQUESTS)
        self._retries = metrics.counter(RETRIES)
        self._took_ms = metrics.distribution(LOOKUP_MS)

    def open(self) -> None:
        """Connect, and read the whole table if the cache is ALL. Raises as the contract says."""
        self._retried(self._lookup.open)
        if self._settings.cache is Cache.ALL:
            self._load()

    def close(self) -> None:
        """Close the connection to the store."""
        self._lookup.close()

    def rows(self, keys: Sequence[Key]) -> list[Row | None]:
        """Return the row of each key; None if there is no row or the key has a NULL."""
        wanted = {key for key in keys if None not in key}
        self._keys.inc(len(wanted))
        match self._settings.cache:
            case Cache.ALL:
                if self._clock.monotonic_s() >= self._stale_at_s:
                    self._load()
                found: Mapping[Key, Row] = self._whole
                self._cached.inc(len(wanted))
            case Cache.LRU:
                found = self._recalled(wanted)
            case Cache.NONE:
                found = self._fetched(wanted)
        self._missing.inc(sum(key not in found for key in wanted))
        return [found.get(key) for key in keys]

    def _recalled(self, wanted: Iterable[Key]) -> Mapping[Key, Row]:
        now_s, found, unknown = self._clock.monotonic_s(), dict[Key, Row](), list[Key]()
        for key in wanted:
            row, until_s = self._remembered.get(key, (None, 0.0))
            if until_s <= now_s:
                unknown.append(key)
                continue
            self._remembered.move_to_end(key)
            self._cached.inc()
            if row is not None:
                found[key] = row
        fetched = self._fetched(unknown)
        until_s = self._until_s(now_s)
        for key in unknown:
            self._remembered.pop(key, None)
            if key in fetched or self._settings.cache_missing:
                self._remembered[key] = (fetched.get(key), until_s)
        while len(self._remembered) > self._settings.size:
            self._remembered.popitem(last=False)
        return {**found, **fetched}

    def _fetched(self, wanted: Iterable[Key]) -> Mapping[Key, Row]:
        keys, most = list(wanted), self._settings.batch_keys
        found: dict[Key, Row] = {}
        for start in range(0, len(keys), most):
            part = keys[start : start + most]
            found.update(self._timed(lambda part=part: self._lookup.fetch(part)))  # type: ignore[misc]
        return found

    def _load(self) -> None:
        now_s = self._clock.monotonic_s()
        self._whole = self._timed(lambda: dict(self._lookup.scan()))
        self._stale_at_s = self._until_s(now_s)
        logger.info("table %s: %d rows read into the lookup cache", self._table, len(self._whole))

    def _until_s(self, now_s: float) -> float:
        return float("inf") if self._settings.ttl_ms is None else now_s + self._settings.ttl_ms / 1000

    def _timed(self, action: Callable[[], T]) -> T:
        started_s = self._clock.monotonic_s()
        found = self._retried(action)
        self._requests.inc()
        self._took_ms.update(int((self._clock.monotonic_s() - started_s) * 1000))
        return found

    def _retried(self, action: Callable[[], T]) -> T:
        waits = False

        def on_retry(error: RetriableError, _wait_s: float) -> None:
            nonlocal waits
            self._alive()
            self._retries.inc()
            if not waits:
                logger.warning("table %s waits for its store: %s", self._table, error)
            waits = True

        found = call_with_retries(action, self._settings.policy, clock=self._clock, on_retry=on_retry)
        if waits:
            logger.info("table %s has stopped waiting", self._table)
        return found
