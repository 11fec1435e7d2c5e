"""Counts messages that were not read yet, without heartbeats: those arrive for ever and contain no row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from streamjobs.brokers.contract import Envelope
from streamjobs.errors import DecodeError
from thrift_idl.codec import decode_body

_LOOKED_AT = 2000
"""The most messages of a partition that one call reads; the next call continues from there."""


class RangeReader(Protocol):
    """A reader of the messages of one partition, such as `connectors.kafka.KafkaConsumer`."""

    def read_range(self, topic: str, partition: int, begin: int, end: int) -> Iterator[Envelope]:
        """Yield the messages from offset `begin` to before `end`, as far as they exist."""


@dataclass
class _Heartbeats:
    """Heartbeats from `begin` to before `end`; `rows_follow`: the message at `end` is not a heartbeat."""

    begin: int
    end: int
    rows_follow: bool = False


class Unread:
    """Remembers which messages are heartbeats, so that each is read once. Use it from one thread."""

    def __init__(self, reader: Callable[[], RangeReader]) -> None:
        self._reader = reader
        self._known: dict[tuple[str, int], _Heartbeats] = {}

    def count(self, topic: str, partition: int, position: int, end: int) -> int:
        """Count the messages from `position` to before `end`, starting at the first that contains a row.

        0 means that only heartbeats are left. It never returns 0 too early; during a long sequence of
        heartbeats it may return too many until later calls have read them all.
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
        known.end = max(known.end, last)  # missing offsets are transaction markers or removed messages


def is_heartbeat(payload: bytes) -> bool:
    """Return whether a message is in our format and contains no row."""
    try:
        return not decode_body(payload).changes
    except DecodeError:
        return False
