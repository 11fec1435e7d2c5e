"""The names of all metrics, and the small contract that both Flink's metric group and tests fulfil."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

RECORDS_IN = "records_in"
RECORDS_WRITTEN = "records_written"
DELETES_WRITTEN = "deletes_written"
RECORDS_REJECTED = "records_rejected"
BATCHES_WRITTEN = "batches_written"
BATCH_ROWS = "batch_rows"
BYTES_WRITTEN = "bytes_written"
WRITE_MS = "write_ms"
RETRIES = "retries"
BLOCKED_MS = "blocked_ms"
CIRCUIT_OPEN = "circuit_open"
DEAD_LETTERS = "dead_letters"
PARSE_SKIPPED = "parse_skipped"
LOOKUP_KEYS = "lookup_keys"
LOOKUP_CACHED = "lookup_cached"
LOOKUP_MISSING = "lookup_missing"
LOOKUP_REQUESTS = "lookup_requests"
LOOKUP_MS = "lookup_ms"

METRICS: Mapping[str, str] = MappingProxyType(
    {
        RECORDS_IN: "changes passed to the delivery, before they are reduced per key",
        RECORDS_WRITTEN: "records that the store accepted, upserts and deletes",
        DELETES_WRITTEN: "deletes among the records that the store accepted",
        RECORDS_REJECTED: "records that the store refuses for ever",
        BATCHES_WRITTEN: "batches that the store answered",
        BATCH_ROWS: "distribution: records per batch",
        BYTES_WRITTEN: "estimated bytes of the batches that the store answered",
        WRITE_MS: "distribution: milliseconds per batch, with its retries",
        RETRIES: "retries after a failure outside the job",
        BLOCKED_MS: "gauge: for how long the current batch has been retried, 0 if it is not retried",
        CIRCUIT_OPEN: "gauge: 1 while a failing store gets only a few records at a time, else 0",
        DEAD_LETTERS: "records that became dead letters",
        LOOKUP_KEYS: "sum over all batches of the different keys that a lookup join asked for",
        LOOKUP_CACHED: "keys among them that the cache answered",
        LOOKUP_MISSING: "keys among them that have no row",
        LOOKUP_REQUESTS: "requests of a lookup join that its store answered",
        LOOKUP_MS: "distribution: milliseconds per lookup request, with its retries",
        PARSE_SKIPPED: "rows and messages that a parser with skipAllException has dropped",
    }
)
"""Metric name -> what it counts. There are no other metrics."""


class Counter(Protocol):
    """A number that only grows."""

    def inc(self, n: int = 1, /) -> None:
        """Add `n`."""


class Distribution(Protocol):
    """The count, sum, minimum and maximum of its values."""

    def update(self, value: int, /) -> None:
        """Add one value."""


class MetricGroup(Protocol):
    """The part of PyFlink's `MetricGroup` that we use."""

    def counter(self, name: str, /) -> Counter:
        """Create or find a counter."""

    def distribution(self, name: str, /) -> Distribution:
        """Create or find a distribution."""

    def gauge(self, name: str, obj: Callable[[], int], /) -> None:
        """Register `obj`, which is called whenever the gauge is read."""


class MemoryCounter:
    """A counter that can be read."""

    def __init__(self) -> None:
        self.count = 0

    def inc(self, n: int = 1, /) -> None:
        """Add `n`."""
        self.count += n


class MemoryDistribution:
    """A distribution that keeps every value."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def update(self, value: int, /) -> None:
        """Keep one value."""
        self.values.append(value)


class MemoryMetrics:
    """A metric group in memory, for scripts and tests."""

    def __init__(self) -> None:
        self.counters: dict[str, MemoryCounter] = {}
        self.distributions: dict[str, MemoryDistribution] = {}
        self.gauges: dict[str, Callable[[], int]] = {}

    def counter(self, name: str, /) -> MemoryCounter:
        """Create or find a counter."""
        return self.counters.setdefault(name, MemoryCounter())

    def distribution(self, name: str, /) -> MemoryDistribution:
        """Create or find a distribution."""
        return self.distributions.setdefault(name, MemoryDistribution())

    def gauge(self, name: str, obj: Callable[[], int], /) -> None:
        """Keep the gauge."""
        self.gauges[name] = obj

    def counts(self) -> dict[str, int]:
        """Return the counters that are not zero, by name."""
        return {name: counter.count for name, counter in self.counters.items() if counter.count}
