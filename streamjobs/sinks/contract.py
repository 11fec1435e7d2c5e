"""The contract of a sink: only what depends on the store; `delivery` does the rest for all stores."""

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
    missing column is ABSENT and keeps what the store has). A DELETE's values may hold the key only.
    `version` is `epoch << 33 | counter`: ours, not the source's; it grows within an attempt, and all versions
    of a newer attempt are greater. `origin` is where the record came from, for dead letters ("" if unknown).
    """

    key: tuple[Any, ...]
    values: Mapping[str, Any]
    kind: RecordKind
    version: int
    origin: str = ""


@dataclass(frozen=True)
class Rejection:
    """A record that the store refuses for ever, and why."""

    record: Record
    reason: str
    detail: str


@dataclass(frozen=True)
class WriteResult:
    """The result of a batch: all of it is accepted except `rejected`.

    A store that refuses a batch without naming the bad record rejects all of it (and has then accepted
    nothing); `delivery` halves the batch until the bad record is alone.
    """

    rejected: tuple[Rejection, ...] = ()


@dataclass(frozen=True)
class SinkTraits:
    """What a sink guarantees, and its limits; docs/delivery.md is generated from it.

    `max_batch_rows` and `max_batch_bytes` limit one `write`. Each text is one plain sentence, except
    `operation`: what operators of the store should set or know, "" if there is nothing.
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
    """The identity of a writer: one attempt of one subtask of one submitted run.

    `run_id` is the same for all workers of one submission, also after restarts. `attempt` counts restarts
    from 0. `parallelism` subtasks write at the same time; `subtask` is the index of this one.
    """

    run_id: str
    subtask: int
    parallelism: int
    attempt: int


class Sink(Protocol):
    """Writes batches of records to one table of one store.

    Promise: `write` returns only when the store has made the accepted records durable; a batch has at most
    one record per key, sorted by key; writing the same batch again changes nothing. A sink never retries,
    sleeps, buffers or logs a row: `delivery` does. One thread uses it.
    Raises, from `open` and `write`: RetriableError (nothing is known: send again, possibly after another
    `open`), SystemicError (stop the job). Poison is not raised, it is returned as a Rejection.
    """

    traits: SinkTraits

    def open(self, attempt: Attempt) -> None:
        """Connect, check that the target exists and fits, and fence off all older attempts."""

    def write(self, batch: Sequence[Record]) -> WriteResult:
        """Write the batch; see the class for the promise."""

    def close(self) -> None:
        """Close the connection to the store. Not called when a worker is killed."""
