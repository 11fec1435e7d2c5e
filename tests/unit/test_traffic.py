"""The generator: deterministic, inside its bounds, and with all that it promises."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from streamjobs.changes.position import Half
from streamjobs.changes.row_change import ChangeKind, Row, SqlType, Value
from streamjobs.demo.options import DAY_MS, HOUR_MS, TrafficOptions
from streamjobs.demo.sending import Damage, Sending
from streamjobs.demo.tables import (
    ATTRIBUTION_MS,
    CLICK_TOPIC,
    CTR_TOPICS,
    IMPRESSION,
    IMPRESSION_TOPIC,
    ITEM_TOPIC,
    TABLES,
    USER_TOPIC,
)
from streamjobs.demo.traffic import Traffic

HARD = TrafficOptions.hard(seed=5, impressions=4_000)


@pytest.fixture(scope="module")
def hard() -> list[Sending]:
    return list(Traffic(HARD))


def number(value: Value) -> int:
    assert isinstance(value, bytes)
    return int(value)


def impressions(sendings: list[Sending]) -> list[Sending]:
    return [sending for sending in sendings if sending.topic == IMPRESSION_TOPIC]


def clicks(sendings: list[Sending]) -> list[Sending]:
    return [sending for sending in sendings if sending.topic == CLICK_TOPIC]


def test_the_same_seed_gives_the_same_traffic(hard: list[Sending]) -> None:
    assert list(Traffic(HARD)) == hard


def test_another_seed_gives_other_traffic(hard: list[Sending]) -> None:
    assert list(Traffic(replace(HARD, seed=6))) != hard


def test_sendings_leave_in_time_order(hard: list[Sending]) -> None:
    times = [sending.at_ms for sending in hard]
    assert times == sorted(times)


@pytest.mark.parametrize("impressions_wanted", [1, 7, 4_000])
def test_there_are_as_many_impressions_as_wanted(impressions_wanted: int) -> None:
    sendings = list(Traffic(replace(HARD, impressions=impressions_wanted)))
    assert len({sending.change.image[0] for sending in impressions(sendings)}) == impressions_wanted


def test_nothing_leaves_before_it_happened_and_what_is_not_late_within_the_bound() -> None:
    calm = replace(HARD, late_rate=0.0, late_click_rate=0.0, repeat_rate=0.0)
    lags = [sending.at_ms - sending.change.committed_at_ms for sending in Traffic(calm)]
    assert min(lags) == 0
    assert max(lags) == calm.disorder_ms


def test_delays_have_the_edges_of_the_window(hard: list[Sending]) -> None:
    shown = {s.change.image[0]: s.change.committed_at_ms for s in impressions(hard)}
    delays = {
        s.change.committed_at_ms - shown[key] for s in clicks(hard) if (key := s.change.image[1]) in shown
    }
    assert {0, ATTRIBUTION_MS, ATTRIBUTION_MS + 1} <= delays
    assert min(delays) < 0
    assert max(delays) > ATTRIBUTION_MS
    within = [delay for delay in delays if 0 < delay < ATTRIBUTION_MS]
    assert sorted(within)[len(within) // 2] < ATTRIBUTION_MS // 4, "delays are skewed to short ones"


def test_clicks_come_several_an_impression_and_for_unknown_ones(hard: list[Sending]) -> None:
    shown = {s.change.image[0] for s in impressions(hard)}
    per_impression: dict[Value, set[Value]] = defaultdict(set)
    for sending in clicks(hard):
        per_impression[sending.change.image[1]].add(sending.change.image[0])
    assert max(len(ids) for ids in per_impression.values()) >= 3
    assert per_impression.keys() - shown


@pytest.mark.parametrize("topic", [IMPRESSION_TOPIC, CLICK_TOPIC])
def test_repeats_are_identical_and_some_are_late(hard: list[Sending], topic: str) -> None:
    by_key: dict[Value, list[Sending]] = defaultdict(list)
    for sending in hard:
        if sending.topic == topic:
            by_key[sending.change.image[0]].append(sending)
    repeated = [copies for copies in by_key.values() if len(copies) > 1]
    assert len(repeated) > 0.03 * len(by_key)
    assert all(copy.change == copies[0].change for copies in repeated for copy in copies)
    assert any(copies[-1].at_ms - copies[0].at_ms > HARD.disorder_ms for copies in repeated)
    assert any(0 < copies[-1].at_ms - copies[0].at_ms <= HARD.disorder_ms for copies in repeated)


def test_every_damage_and_every_poison_occurs(hard: list[Sending]) -> None:
    damages = Counter(sending.damage for sending in impressions(hard) if sending.damage)
    assert set(damages) == set(Damage)
    lying = {
        column.name
        for sending in impressions(hard)
        for column, honest in zip(sending.change.schema.columns, IMPRESSION.columns, strict=True)
        if (column.type, honest.type) == (SqlType.TEXT, SqlType.BIGINT)
    }
    assert lying == {"user_id", "item_id"}
    assert any(sending.change.image[-1] is None for sending in impressions(hard))


def test_quiet_hours_are_quiet_and_weeks_pass(hard: list[Sending]) -> None:
    assert HARD.quiet_hours == (1, 7)
    times = [sending.change.committed_at_ms for sending in impressions(hard)]
    assert {time % DAY_MS // HOUR_MS for time in times}.isdisjoint(range(1, 7))
    assert max(times) - min(times) > 7 * DAY_MS


def test_profiles_change_exactly_at_impressions_and_twice_in_a_millisecond(hard: list[Sending]) -> None:
    shown = {(s.change.image[2], s.change.committed_at_ms) for s in impressions(hard)}
    changed = Counter(
        (s.change.image[0], s.change.committed_at_ms)
        for s in hard
        if s.topic == ITEM_TOPIC and s.change.kind is not ChangeKind.SNAPSHOT
    )
    assert shown & changed.keys()
    assert max(changed.values()) > 1
    assert any((key, time_ms - 1) in shown for key, time_ms in changed)


@pytest.mark.parametrize("topic", [ITEM_TOPIC, USER_TOPIC])
def test_profile_changes_are_a_log_that_a_database_could_write(hard: list[Sending], topic: str) -> None:
    changes = sorted((s.change for s in hard if s.topic == topic), key=lambda change: change.seq)
    rows: dict[Value, Row] = {}
    kinds: Counter[object] = Counter()
    for change in changes:
        key = change.image[0]
        kinds[change.kind] += 1
        kinds[change.half] += 1
        match change.kind:
            case ChangeKind.INSERT | ChangeKind.SNAPSHOT:
                assert key not in rows
                rows[key] = change.image
            case ChangeKind.UPDATE:
                assert change.before == rows[key]
                rows[key] = change.image
            case ChangeKind.DELETE:
                assert rows.pop(key) == change.before
    assert {*ChangeKind, *Half} == kinds.keys()
    times = [change.committed_at_ms for change in changes]
    assert times == sorted(times), "commit times follow the log"


def test_values_are_wild(hard: list[Sending]) -> None:
    cells = {value for sending in hard for value in sending.change.image}
    assert {None, b"", b"99999999.99", b"-5.00", "東京都".encode(), "首页".encode()} <= cells
    assert any(isinstance(v, bytes) and "👩‍👩‍👧‍👦".encode() in v for v in cells)
    users = {number(s.change.image[0]) for s in hard if s.topic == USER_TOPIC}
    assert any(user > 2**53 and float(user) != user for user in users)


def test_every_row_fits_its_topic(hard: list[Sending]) -> None:
    assert {sending.topic for sending in hard} == set(CTR_TOPICS)
    for sending in hard:
        table = TABLES[sending.topic]
        assert sending.change.schema.table == table.table
        assert len(sending.change.image) == len(table.columns)
