"""The expected results: the samples that the generator computes from the rows that it sends."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol, TypeAlias

from streamjobs.changes.row_change import ChangeKind, Row, RowChange, Value
from streamjobs.demo.ledger import Ledger
from streamjobs.demo.tables import (
    ATTRIBUTION_MS,
    BEHAVIOR_COLUMNS,
    BEHAVIOR_CONVERSION_TOPIC,
    BEHAVIOR_IMPRESSION_TOPIC,
    CLICK_TOPIC,
    CTR_COLUMNS,
    IMPRESSION_TOPIC,
    ITEM_TOPIC,
    USER_TOPIC,
)

SampleValue: TypeAlias = int | str | Decimal | None
SampleRow = tuple[SampleValue, ...]
"""A sample's values in the order of its truth's `columns`; times are epoch milliseconds."""

Samples = Mapping[int, SampleRow]
"""Samples by impression id."""


class Truth(Protocol):
    """The samples and dead letters that a job must return for the rows recorded in `ledger`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns of the samples; the key is first, the copies are last."""

    @property
    def impression_topic(self) -> str:
        """Return the topic whose rows the conservation line counts."""

    @property
    def ledger(self) -> Ledger:
        """Return the record of what was sent."""

    def samples(self) -> Samples:
        """Compute all samples; call it after all messages are recorded."""


@dataclass
class _Impression:
    row: Row
    time_ms: int
    copies: int = 0


class _Impressions:
    """On-time impressions by id, with the number of their copies."""

    def __init__(self) -> None:
        self.by_id: dict[int, _Impression] = {}

    def arrive(self, change: RowChange, time_ms: int) -> None:
        row = change.image
        key = _required(row[0])
        impression = self.by_id.get(key)
        if impression is None:
            impression = self.by_id[key] = _Impression(row, time_ms)
        impression.copies += 1


class _Versions:
    """Profile rows by key, with the time from which each is valid."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, list[tuple[int, int, Row | None]]] = defaultdict(list)
        self._arrived = 0
        self._sorted = False

    def arrive(self, change: RowChange, time_ms: int) -> None:
        key, row = change.image[0], change.image
        assert isinstance(key, bytes)
        self._arrived += 1
        self._by_key[key].append((time_ms, self._arrived, None if change.kind is ChangeKind.DELETE else row))

    def as_of(self, key: Value, time_ms: int) -> Row | None:
        """Return the row valid at `time_ms`, the last to arrive of one millisecond; None: there is none."""
        if not self._sorted:
            for versions in self._by_key.values():
                versions.sort(key=lambda version: version[:2])
            self._sorted = True
        versions = self._by_key.get(key, []) if isinstance(key, bytes) else []
        place = bisect_right(versions, time_ms, key=lambda version: version[0])
        return versions[place - 1][2] if place else None


class CtrTruth:
    """The truth of `ctr_samples`: impressions with their clicks and the profiles as of their time."""

    columns = CTR_COLUMNS
    impression_topic = IMPRESSION_TOPIC

    def __init__(self, disorder_ms: int) -> None:
        self._impressions = _Impressions()
        self._items = _Versions()
        self._users = _Versions()
        self._clicks: dict[int, dict[int, int]] = defaultdict(dict)
        arrivals = {
            IMPRESSION_TOPIC: self._impressions.arrive,
            CLICK_TOPIC: self._click,
            ITEM_TOPIC: self._items.arrive,
            USER_TOPIC: self._users.arrive,
        }
        self.ledger = Ledger(disorder_ms, arrivals)

    def samples(self) -> Samples:
        """Compute all samples; call it after all messages are recorded."""
        return {key: self._sample(key, impression) for key, impression in self._impressions.by_id.items()}

    def _click(self, change: RowChange, time_ms: int) -> None:
        click_id, impression_id = change.image[:2]
        self._clicks[_required(impression_id)][_required(click_id)] = time_ms

    def _sample(self, key: int, impression: _Impression) -> SampleRow:
        _, user_id, item_id, scene, slot, _ = impression.row
        item = self._items.as_of(item_id, impression.time_ms) or (None,) * 4
        user = self._users.as_of(user_id, impression.time_ms) or (None,) * 4
        return (
            key,
            _integer(user_id),
            _integer(item_id),
            _text(scene),
            _integer(slot),
            impression.time_ms,
            _text(item[1]),
            _integer(item[2]),
            _decimal(item[3]),
            _text(user[1]),
            _integer(user[2]),
            _integer(user[3]),
            *_attributed(impression.time_ms, self._clicks.get(key, {})),
            impression.copies,
        )


class BehaviorTruth:
    """The truth of `behavior_samples`: page views with the conversions of the same user on the same item."""

    columns = BEHAVIOR_COLUMNS
    impression_topic = BEHAVIOR_IMPRESSION_TOPIC

    def __init__(self, disorder_ms: int) -> None:
        self._impressions = _Impressions()
        self._conversions: dict[tuple[Value, Value], dict[int, int]] = defaultdict(dict)
        arrivals = {
            BEHAVIOR_IMPRESSION_TOPIC: self._impressions.arrive,
            BEHAVIOR_CONVERSION_TOPIC: self._conversion,
        }
        self.ledger = Ledger(disorder_ms, arrivals)

    def samples(self) -> Samples:
        """Compute all samples; call it after all messages are recorded."""
        return {key: self._sample(key, impression) for key, impression in self._impressions.by_id.items()}

    def _conversion(self, change: RowChange, time_ms: int) -> None:
        event_id, user_id, item_id = change.image[:3]
        self._conversions[user_id, item_id][_required(event_id)] = time_ms

    def _sample(self, key: int, impression: _Impression) -> SampleRow:
        _, user_id, item_id, category_id, _ = impression.row
        clicks = self._conversions.get((user_id, item_id), {})
        return (
            key,
            _integer(user_id),
            _integer(item_id),
            _integer(category_id),
            impression.time_ms,
            *_attributed(impression.time_ms, clicks),
            impression.copies,
        )


def _attributed(shown_ms: int, clicks: Mapping[int, int]) -> tuple[int, int | None, int]:
    """Return clicks, first_click_delay_ms and label."""
    delays = [time_ms - shown_ms for time_ms in clicks.values() if 0 <= time_ms - shown_ms <= ATTRIBUTION_MS]
    return len(delays), min(delays, default=None), int(bool(delays))


def _required(value: Value) -> int:
    if not isinstance(value, bytes):
        message = f"the generator made a key that is {value!r}"
        raise AssertionError(message)
    return int(value)


def _integer(value: Value) -> int | None:
    return int(value) if isinstance(value, bytes) else None


def _text(value: Value) -> str | None:
    return value.decode() if isinstance(value, bytes) else None


def _decimal(value: Value) -> Decimal | None:
    return Decimal(value.decode()) if isinstance(value, bytes) else None
