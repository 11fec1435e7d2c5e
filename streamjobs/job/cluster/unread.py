"""Counts messages that were not read yet, but for heartbeats: those come for ever and hold no row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from streamjobs.brokers.contract import Envelope
from streamjobs.errors import DecodeError
from thrift_idl.codec import decode_body

_LOOKED_AT = 2000
"""So many messages of a partition are looked at in one call; the next goes on from there."""


class RangeReader(Protocol):
    """What reads messages of one partition; `connectors.kafka.KafkaConsumer` does."""

    def read_range(self, topic: str, partition: int, begin: int, end: int) -> Iterator[Envelope]:
        """Yield the messages from offset `begin` to before `end`, as far as they are there."""


@dataclass
class _Heartbeats:
    """All messages from `begin` to before `end` are heartbeats; `rows_follow`: that at `end` is none."""

    begin: int
    end: int
    rows_follow: bool = False


class Unread:
    """Remembers which messages are heartbeats, so that each is looked at once. Use it from one thread."""

    def __init__(self, reader: Callable[[], RangeReader]) -> None:
        self._reader = reader
        self._known: dict[tuple[str, int], _Heartbeats] = {}

    def count(self, topic: str, partition: int, position: int, end: int) -> int:
        """Return how many messages from `position` to before `end` are left, from the first with a row on.

        0: whatever is left are heartbeats. It never says 0 too early, and may say too much of a long row of
        heartbeats until it is asked again.
        """
        if position >= end:
            return 0
        known = self._known.get((topic, partition))
        if known is None or not known.begin <= position <= known.end:
            known = self._known[topic, partition] = _Heartbeats(position, position)
        if not known.rows_follow:
            self._look(topic, partition, known, end)
        return max(end - known.end, 0)

    def _look(self, topic: str, partition: int, known: _Heartbeats, end: int) -> None:
        last = min(end, known.end + _LOOKED_AT)
        for envelope in self._reader().read_range(topic, partition, known.end, last):
            if not is_heartbeat(envelope.payload):
                known.end, known.rows_follow = envelope.offset or known.end, True
                return
            known.end = max(known.end, (envelope.offset or 0) + 1)
        known.end = max(known.end, last)  # what came not are marks of transactions, or was removed


def is_heartbeat(payload: bytes) -> bool:
    """Whether a message is one of ours and holds no row."""
    try:
        return not decode_body(payload).changes
    except DecodeError:
        return False
