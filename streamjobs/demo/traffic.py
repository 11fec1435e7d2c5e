"""Deterministic ad traffic: impressions, clicks and profile changes, with realistic faults."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from streamjobs.changes.position import Position
from streamjobs.changes.row_change import ChangeKind, Column, Row, RowChange, SqlType, TableSchema, Value
from streamjobs.demo.options import DAY_MS, HOUR_MS, TrafficOptions
from streamjobs.demo.profiles import ProfileTable, item_columns, user_columns
from streamjobs.demo.sending import Damage, Sending
from streamjobs.demo.tables import (
    ATTRIBUTION_MS,
    CLICK,
    CLICK_TOPIC,
    IMPRESSION,
    IMPRESSION_TOPIC,
    ITEM,
    ITEM_TOPIC,
    USER,
    USER_TOPIC,
)

FIRST_IMPRESSION_ID: Final = 1_000_000
FIRST_ITEM_ID: Final = 2_000
BIG_USER_ID: Final = 2**53 + 1
"""Some user ids are too big for an exact double, so that a conversion through floats is detected."""

SCENES: Final = (b"home", b"search", b"cart", "首页".encode(), "recherche ✨".encode(), b"", None)

Poison = tuple[TableSchema, int, Value]
"""A schema that declares one column wrongly, the index of the column, and its value."""


def _poison(place: int, value: Value) -> Poison:
    honest = IMPRESSION.columns[place]
    lying = Column(honest.name, SqlType.TEXT, "varchar(32)", honest.key, honest.nullable)
    columns = (*IMPRESSION.columns[:place], lying, *IMPRESSION.columns[place + 1 :])
    return TableSchema(IMPRESSION.table, columns), place, value


POISONS: Final[tuple[Poison, ...]] = (
    _poison(1, b"u-17"),
    _poison(2, "商品".encode()),
    _poison(4, b"third"),
    (IMPRESSION, 5, None),
    _poison(1, b"42"),
)
"""Impressions that no reader may accept: text where the job declares a number, and no event time."""


class Traffic:
    """A stream of sendings in the order in which their sources send them.

    Promise: the same options give the same sendings; memory is bounded by the rows not yet sent, not by the
    length of the stream. A row that is not intended to be late is sent at most `disorder_ms` after its event
    time.
    """

    def __init__(self, options: TrafficOptions) -> None:
        self._options = options
        self._rng = rng = random.Random(options.seed)  # noqa: S311 (traffic, not secrets)
        self._item_ids = range(FIRST_ITEM_ID, FIRST_ITEM_ID + options.items)
        self._user_ids = [BIG_USER_ID + n if n % 7 == 0 else 1 + n for n in range(options.users)]
        self._items = ProfileTable(ITEM, self._item_ids, item_columns, options.undescribed, rng)
        self._users = ProfileTable(USER, self._user_ids, user_columns, options.undescribed, rng)
        self._queue: list[tuple[int, int, Sending | Callable[[], None]]] = []
        self._queued = 0
        self._made = 0
        self._clicks = 0
        self._broken = 0
        self._poisoned = 0

    def __iter__(self) -> Iterator[Sending]:
        """Yield all sendings, `at_ms` ascending."""
        start_ms = self._options.start_ms
        for topic, profiles in ((ITEM_TOPIC, self._items), (USER_TOPIC, self._users)):
            for change in profiles.snapshot(start_ms - 60_000):
                yield Sending(start_ms - 60_000, topic, change)
        self._at(start_ms, partial(self._session, start_ms))
        queue = self._queue
        while queue:
            _, _, due = heapq.heappop(queue)
            if isinstance(due, Sending):
                yield due
            else:
                due()

    def _at(self, at_ms: int, due: Sending | Callable[[], None]) -> None:
        self._queued += 1
        heapq.heappush(self._queue, (at_ms, self._queued, due))

    def _leave(self, sending: Sending) -> None:
        self._at(sending.at_ms, sending)

    def _session(self, at_ms: int) -> None:
        """Show a page of items to one user, some at the same millisecond, and plan the next session."""
        rng, options = self._rng, self._options
        user = self._user_ids[int(rng.random() ** 2 * options.users)]
        shown = min(1 + int(rng.random() * 8), options.impressions - self._made)
        for slot in range(shown):
            self._impression(at_ms + (slot // 3) * self._tick(rng.randrange(20)), user, slot)
        if self._made < options.impressions:
            upcoming = self._awake(at_ms + options.tick_ms + self._tick(self._gap()))
            self._at(upcoming, partial(self._session, upcoming))

    def _gap(self) -> float:
        """Return the time to the next session; a session has 4.5 impressions on average."""
        mean, burst = self._options.span_ms * 4.5 / self._options.impressions, self._options.burst_gap_ms
        if burst is not None:
            mean = burst if self._rng.random() < 0.98 else max(burst, 50 * (mean - 0.98 * burst))
        return self._rng.expovariate(1 / mean)

    def _tick(self, span_ms: float) -> int:
        return int(span_ms) // self._options.tick_ms * self._options.tick_ms

    def _awake(self, at_ms: int) -> int:
        """Skip the quiet hours of the day."""
        if self._options.quiet_hours is None:
            return at_ms
        first, end = self._options.quiet_hours
        if not first * HOUR_MS <= at_ms % DAY_MS < end * HOUR_MS:
            return at_ms
        return at_ms - at_ms % DAY_MS + end * HOUR_MS + self._tick(self._rng.randrange(60_000))

    def _impression(self, time_ms: int, user: int, slot: int) -> None:
        rng, options = self._rng, self._options
        item = self._item_ids[int(rng.random() ** 2 * options.items)]
        number = self._made
        self._made += 1
        key = b"%d" % (FIRST_IMPRESSION_ID + number)
        row: Row = (
            key,
            None if rng.random() < 0.02 else b"%d" % user,
            None if rng.random() < 0.01 else b"%d" % item,
            SCENES[int(rng.random() * len(SCENES))],
            None if rng.random() < 0.03 else b"%d" % slot,
            b"%d" % time_ms,
        )
        if rng.random() < options.profile_change_rate:
            self._plan_profile_change(time_ms, user, item)
        if rng.random() < options.broken_rate:
            self._send_broken(time_ms, number, row)
        elif rng.random() < options.poison_rate:
            self._send_poisoned(time_ms, number, row)
        else:
            self._send(
                IMPRESSION_TOPIC, _insert(IMPRESSION, row, number, time_ms), time_ms, options.late_rate
            )
        if rng.random() < options.click_rate:
            self._clicks_on(key, user, time_ms)
        if rng.random() < options.stray_click_rate:
            self._click(b"%d" % (FIRST_IMPRESSION_ID - 1 - number), user, time_ms, time_ms)

    def _send(self, topic: str, change: RowChange, now_ms: int, late_rate: float) -> None:
        """Send a row, perhaps late, and perhaps send the identical row again, perhaps late."""
        time_ms = change.committed_at_ms
        self._leave(Sending(max(now_ms, time_ms + self._lag(late_rate)), topic, change))
        while self._rng.random() < self._options.repeat_rate:
            self._leave(Sending(max(now_ms, time_ms + self._lag(0.1)), topic, change))

    def _lag(self, late_rate: float) -> int:
        """Return the lag of a row: mostly short, sometimes as long as the bound, rarely longer."""
        chance, bound = self._rng.random(), self._options.disorder_ms
        if chance < late_rate:
            return bound + (
                1 if chance < late_rate / 8 else 1 + int(self._options.late_by_ms * self._rng.random())
            )
        chance = self._rng.random()
        if chance < 0.5:
            return 0
        return bound if chance > 0.97 else int(bound * self._rng.random() ** 3)

    def _clicks_on(self, key: bytes, user: int, shown_ms: int) -> None:
        rng = self._rng
        self._click(key, user, shown_ms + self._delay(), shown_ms)
        while rng.random() < self._options.second_click_rate:
            self._click(key, user, shown_ms + self._delay(), shown_ms)

    def _delay(self) -> int:
        """Return the time from impression to click: skewed, at the window's bounds too, or negative."""
        chance = self._rng.random()
        if chance < 0.04:
            return 0
        if chance < 0.08:
            return ATTRIBUTION_MS
        if chance < 0.12:
            return ATTRIBUTION_MS + 1 + int(self._rng.random() * 3) * 59_999
        if chance < 0.15:
            return -min(1 + int(self._rng.random() * 3_000), self._options.disorder_ms)
        return self._tick(min(self._rng.lognormvariate(10.3, 1.6), 2 * ATTRIBUTION_MS))

    def _click(self, key: bytes, user: int, time_ms: int, now_ms: int) -> None:
        self._clicks += 1
        row: Row = (b"%d" % self._clicks, key, b"%d" % user, b"%d" % time_ms)
        change = _insert(CLICK, row, self._clicks, time_ms)
        self._send(CLICK_TOPIC, change, now_ms, self._options.late_click_rate)

    def _send_broken(self, time_ms: int, number: int, row: Row) -> None:
        damage = tuple(Damage)[self._broken % len(Damage)]
        self._broken += 1
        self._leave(Sending(time_ms, IMPRESSION_TOPIC, _insert(IMPRESSION, row, number, time_ms), damage))

    def _send_poisoned(self, time_ms: int, number: int, row: Row) -> None:
        schema, place, value = POISONS[self._poisoned % len(POISONS)]
        self._poisoned += 1
        bad: Row = (*row[:place], value, *row[place + 1 :])
        self._leave(Sending(time_ms, IMPRESSION_TOPIC, _insert(schema, bad, number, time_ms)))

    def _plan_profile_change(self, time_ms: int, user: int, item: int) -> None:
        """Plan a profile change near the impression: often exactly at its millisecond, or twice in one."""
        rng = self._rng
        chance = rng.random()
        step = 0 if chance < 0.3 else 1 if chance < 0.5 else int(chance * 1_200_000)
        if rng.random() < 0.7:
            change = partial(self._change_profile, ITEM_TOPIC, self._items, item, time_ms + step)
        else:
            change = partial(self._change_profile, USER_TOPIC, self._users, user, time_ms + step)
        self._at(time_ms + step, change)
        if rng.random() < 0.15:
            self._at(time_ms + step, change)

    def _change_profile(self, topic: str, profiles: ProfileTable, key: int, at_ms: int) -> None:
        """Send a profile change; some reach the log's reader late, those of one millisecond stay in order."""
        bound = self._options.disorder_ms
        lag = (0, 0, 0, 0, 0, bound // 4, bound // 2, bound)[at_ms // self._options.tick_ms % 8]
        for change in profiles.change(key, at_ms):
            self._leave(Sending(at_ms + lag, topic, change))


def _insert(schema: TableSchema, row: Row, number: int, time_ms: int) -> RowChange:
    return RowChange(schema, ChangeKind.INSERT, None, row, Position(0, 1, number), time_ms)
