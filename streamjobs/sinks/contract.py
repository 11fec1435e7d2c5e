"""The contract of a sink: what a store's connector knows, and nothing that `delivery` knows better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from streamjobs.options.options import Secret


class RecordKind(Enum):
    """What a record does to its key."""

    UPSERT = "UPSERT"
    DELETE = "DELETE"


@dataclass(frozen=True)
class Record:
    """One effect on one key of a sink.

    Shape: `Record(key=(42,), values={"id": 42, "title": "…"}, kind=UPSERT, version=(7 << 33) | 12)`.
    `key` holds the key columns' values in key order; `values` all columns by name (None is SQL NULL, a
    column that is not there is ABSENT and keeps what the store has). A DELETE's values may hold the key only.
    `version` is `epoch << 33 | counter`: ours, not the source's; grows within an attempt, and a newer
    attempt's are all greater. `origin` is where the record came from, for dead letters ("" when unknown).
    """

    key: tuple[Any, ...]
    values: Mapping[str, Any]
    kind: RecordKind
    version: int
    origin: str = ""


@dataclass(frozen=True)
class Rejection:
    """A record that the store will never take, and why."""

    record: Record
    reason: str
    detail: str


@dataclass(frozen=True)
class WriteResult:
    """What became of a batch: all of it is accepted but for `rejected`.

    A store that refuses a batch without telling which record is at fault rejects the whole of it (and has
    then accepted nothing); `delivery` halves it until the fault stands alone.
    """

    rejected: tuple[Rejection, ...] = ()


@dataclass(frozen=True)
class SinkTraits:
    """What a sink guarantees and bears; docs/delivery.md is generated from it.

    `max_batch_rows` and `max_batch_bytes` bound one `write`. The texts are one plain sentence each, but for
    `operation`: what those who run the store should set or know, "" where there is nothing.
    """

    guarantee: str
    idempotence: str
    deletes: str
    ordering: str
    rejects: str
    max_batch_rows: int
    max_batch_bytes: int
    operation: str = ""


@dataclass(frozen=True)
class SinkColumn:
    """A column as the job declares it: name and Flink SQL type, e.g. `DECIMAL(10, 2)`."""

    name: str
    type: str
    nullable: bool = True


@dataclass(frozen=True)
class SinkTable:
    """The declared sink table: columns, key (never empty), and the connector's own options as written."""

    name: str
    columns: tuple[SinkColumn, ...]
    key: tuple[str, ...]
    options: Mapping[str, str | Secret]


@dataclass(frozen=True)
class Attempt:
    """Who writes: one attempt of one subtask of one submitted run.

    `run_id` is the same for all workers of one submission, also after restarts. `attempt` counts restarts
    from 0. `parallelism` subtasks write at the same time, `subtask` is this one's index.
    """

    run_id: str
    subtask: int
    parallelism: int
    attempt: int


class Sink(Protocol):
    """Writes batches of records to one table of one store.

    Promise: `write` returns only when the store has made the accepted records durable; a batch has at most
    one record a key, sorted by key; writing the same batch again changes nothing. A sink never retries,
    sleeps, buffers or logs a row: `delivery` does. One thread uses it.
    Raises, from `open` and `write`: RetriableError (nothing is known: send again, possibly after `open`
    anew), SystemicError (stop the job). Poison is not raised, it is returned as a Rejection.
    """

    traits: SinkTraits

    def open(self, attempt: Attempt) -> None:
        """Connect, check that the target exists and fits, and fence off every older attempt."""

    def write(self, batch: Sequence[Record]) -> WriteResult:
        """Write the batch; see the class for the promise."""

    def close(self) -> None:
        """Let go of the store. Not called when a worker is killed."""
