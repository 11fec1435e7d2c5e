"""The contract that every MetaQ-compatible broker connector fulfils: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Envelope:
    """What any broker carries: opaque bytes and where they are.

    Shape: `Envelope(topic="shop.item", partition=2, offset=1204, timestamp_ms=1700000000123, payload=b"…")`.
    None: `offset` is None before the broker has accepted it. `timestamp_ms` is the broker's record time
    (CreateTime), for our messages the smallest event time of the rows inside.
    """

    topic: str
    partition: int
    payload: bytes
    timestamp_ms: int
    offset: int | None = None
    headers: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """`topic/partition/offset`, the origin that dead letters and errors print."""
        return f"{self.topic}/{self.partition}/{'?' if self.offset is None else self.offset}"


class Receipt(Protocol):
    """Stands for all that a producer had been given at one moment."""

    def wait(self, timeout_s: float, /) -> bool:
        """Whether the broker has acknowledged all of it, at the latest after `timeout_s`; 0 only looks.

        Raises the producer's first failure.
        """


class Producer(Protocol):
    """Sends envelopes; at-least-once, in order per partition.

    Promise: `send` blocks when `max_in_flight_bytes` are unacknowledged; `flush` returns when the broker has
    acknowledged all that was sent, and raises the first failure. Use from one thread. Never call `send`
    after `close`.
    Raises: RetriableError when the broker does not answer in time; SystemicError when it refuses for ever
    (authorization, record too large, unknown topic).
    """

    def send(self, envelope: Envelope) -> None:
        """Queue one envelope for its explicit partition."""

    def flush(self) -> None:
        """Wait until all is acknowledged."""

    def receipt(self) -> Receipt:
        """Give the receipt of all that was sent so far; waits for nothing."""

    def partitions(self, topic: str) -> int:
        """Give the topic's number of partitions, as of the last minute: topics may grow."""

    def close(self) -> None:
        """Flush and let go of the connection."""


class Consumer(Protocol):
    """Reads envelopes of explicit partitions from explicit offsets; commits nothing by itself."""

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Read this partition from `offset` on; assigns it when it was not."""

    def poll(self, timeout_s: float) -> Sequence[Envelope]:
        """Give what has arrived, at most within `timeout_s`; empty when nothing has."""

    def position(self, topic: str, partition: int) -> int:
        """Give the offset that `poll` reads next."""

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        """Give for each partition the offset that the next record will get."""

    def beginning_offsets(self, topic: str) -> Mapping[int, int]:
        """Give for each partition the offset of the oldest record that is still there."""

    def close(self) -> None:
        """Let go of the connection."""
