"""The contract that every MetaQ-compatible broker connector fulfils: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Envelope:
    """A broker's record: opaque bytes and their coordinates.

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
        """Return `topic/partition/offset`, the origin that dead letters and errors print."""
        return f"{self.topic}/{self.partition}/{'?' if self.offset is None else self.offset}"


class Receipt(Protocol):
    """A receipt for all envelopes that a producer was given until one moment."""

    def wait(self, timeout_s: float, /) -> bool:
        """Return whether the broker has acknowledged them all; wait at most `timeout_s`, 0 does not wait.

        Raises the producer's first failure.
        """


class Producer(Protocol):
    """Sends envelopes, at-least-once and in order per partition.

    Promise: `send` blocks when `max_in_flight_bytes` are unacknowledged; `flush` returns when the broker has
    acknowledged everything sent, and raises the first failure. Use it from one thread. Never call `send`
    after `close`.
    Raises: RetriableError when the broker does not answer in time; SystemicError when it refuses for ever
    (authorization, record too large, unknown topic).
    """

    def send(self, envelope: Envelope) -> None:
        """Queue one envelope for its explicit partition."""

    def flush(self) -> None:
        """Wait until everything is acknowledged."""

    def receipt(self) -> Receipt:
        """Return the receipt for everything sent so far, without waiting."""

    def partitions(self, topic: str) -> int:
        """Return the topic's number of partitions, at most a minute old: topics may grow."""

    def close(self) -> None:
        """Flush and close the connection."""


class Consumer(Protocol):
    """Reads envelopes of explicit partitions from explicit offsets; never commits offsets."""

    def seek(self, topic: str, partition: int, offset: int) -> None:
        """Read this partition from `offset` on; assign it if it was not assigned."""

    def poll(self, timeout_s: float) -> Sequence[Envelope]:
        """Return the envelopes that have arrived; wait at most `timeout_s`; empty if there are none."""

    def position(self, topic: str, partition: int) -> int:
        """Return the offset that `poll` reads next."""

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        """Return for each partition the offset that the next record will get."""

    def beginning_offsets(self, topic: str) -> Mapping[int, int]:
        """Return for each partition the offset of the oldest record that still exists."""

    def close(self) -> None:
        """Close the connection."""
