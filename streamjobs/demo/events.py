"""Shop events from a CSV file: page views as impressions, cart, fav and buy as conversions."""

from __future__ import annotations

import gzip
import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from streamjobs.changes.position import Position
from streamjobs.changes.row_change import RowChange
from streamjobs.demo.sending import Sending
from streamjobs.demo.tables import (
    BEHAVIOR_CONVERSION,
    BEHAVIOR_CONVERSION_TOPIC,
    BEHAVIOR_IMPRESSION,
    BEHAVIOR_IMPRESSION_TOPIC,
    DISORDER_MS,
)
from streamjobs.errors import ConfigError

VIEW: Final = "pv"
CONVERSIONS: Final = ("cart", "fav", "buy")


class Event(NamedTuple):
    """One line: `543462,1715,1464116,pv,1511658000` is user, item, category, behavior, epoch seconds."""

    line: int
    user: int
    item: int
    category: int
    behavior: str
    time_s: int


def read_events(path: Path) -> Iterator[Event]:
    """Yield the events of a .csv or .csv.gz file without a header; skip empty lines; lines count from 1.

    Raises: ConfigError with file and line when the file has another format.
    """
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _event(path, number, line.rstrip("\r\n"))
    except (OSError, EOFError, UnicodeDecodeError) as exc:
        message = f"cannot read the event file {path}: {exc}"
        raise ConfigError(message) from exc


def _event(path: Path, number: int, line: str) -> Event:
    fields = line.split(",")
    try:
        user, item, category, behavior, time_s = fields
        if behavior != VIEW and behavior not in CONVERSIONS:
            raise ValueError(behavior)
        return Event(number, int(user), int(item), int(category), behavior, int(time_s))
    except ValueError as exc:
        message = f"{path}:{number}: {line[:200]!r} is not user,item,category,pv|cart|fav|buy,epoch seconds"
        raise ConfigError(message) from exc


@dataclass(frozen=True)
class EventFeed:
    """The events of the file as sendings, in file order or shuffled.

    `repeat` is the fraction of rows that are sent again, identically; each sending is delayed by up to
    `shuffle_s` seconds of event time. Promise: the same options give the same sendings; with the bound
    `disorder_ms()` no sending is late.
    """

    path: Path
    repeat: float = 0.0
    shuffle_s: float = 0.0
    seed: int = 1

    def disorder_ms(self) -> int:
        """Return the file's own disorder plus the shuffling, at least that of the demo's tables."""
        newest = disorder_s = 0
        for event in read_events(self.path):
            newest = max(newest, event.time_s)
            disorder_s = max(disorder_s, newest - event.time_s)
        return max(DISORDER_MS, disorder_s * 1000 + self._shuffle_ms)

    def __iter__(self) -> Iterator[Sending]:
        """Yield all sendings, `at_ms` ascending. Raises ConfigError as `read_events` does."""
        rng = random.Random(self.seed)  # noqa: S311 (traffic, not secrets)
        queue: list[tuple[int, int, str, RowChange]] = []
        clock_ms = queued = 0
        for event in read_events(self.path):
            clock_ms = max(clock_ms, event.time_s * 1000)
            while queue and queue[0][0] < clock_ms:
                yield _sending(heapq.heappop(queue))
            topic, change = _change(event)
            copies = 1
            while rng.random() < self.repeat:
                copies += 1
            for _ in range(copies):
                queued += 1
                at_ms = clock_ms + min(self._shuffle_ms, int(1.02 * self._shuffle_ms * rng.random()))
                heapq.heappush(queue, (at_ms, queued, topic, change))
        while queue:
            yield _sending(heapq.heappop(queue))

    @property
    def _shuffle_ms(self) -> int:
        return int(self.shuffle_s * 1000)


def _sending(queued: tuple[int, int, str, RowChange]) -> Sending:
    at_ms, _, topic, change = queued
    return Sending(at_ms, topic, change)


def _change(event: Event) -> tuple[str, RowChange]:
    time_ms = event.time_s * 1000
    line, user, item = b"%d" % event.line, b"%d" % event.user, b"%d" % event.item
    place = Position(0, 1, event.line)
    if event.behavior == VIEW:
        row = (line, user, item, b"%d" % event.category, b"%d" % time_ms)
        return BEHAVIOR_IMPRESSION_TOPIC, RowChange.insert(BEHAVIOR_IMPRESSION, row, place, time_ms)
    row = (line, user, item, event.behavior.encode(), b"%d" % time_ms)
    return BEHAVIOR_CONVERSION_TOPIC, RowChange.insert(BEHAVIOR_CONVERSION, row, place, time_ms)
