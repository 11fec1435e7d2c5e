"""The generator's truth against a batch computation in SQLite over the decoded log."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamjobs.changes.dead_letter import Stage
from streamjobs.demo.ledger import ExpectedDeadLetter
from streamjobs.demo.options import HOUR_MS, TrafficOptions
from streamjobs.demo.packing import PackingOptions
from streamjobs.demo.scenario import Scenario, ad_traffic
from streamjobs.demo.tables import CLICK_TOPIC, IMPRESSION_TOPIC
from streamjobs.errors import DecodeError
from tests.acceptance.oracle import Oracle
from tests.unit.logs import written
from thrift_idl.codec import Limits, decode


def assert_truth_is_the_oracles(scenario: Scenario) -> None:
    log, truth = written(scenario)
    oracle = Oracle()
    oracle.load(log)
    assert truth.samples() == oracle.ctr_samples()
    ledger = truth.ledger
    assert oracle.broken == ledger.dead(IMPRESSION_TOPIC, Stage.DECODE)
    assert oracle.unfit == ledger.dead(IMPRESSION_TOPIC, Stage.CONVERT)
    for topic in (IMPRESSION_TOPIC, CLICK_TOPIC):
        assert oracle.late(topic) == ledger.dead(topic, Stage.LATE)


@pytest.mark.parametrize("partitions", [1, 2, 4])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_truth_of_hard_traffic_is_the_oracles(seed: int, partitions: int) -> None:
    assert_truth_is_the_oracles(ad_traffic(TrafficOptions.hard(seed, 3_000), partitions))


def test_truth_of_the_demo_is_the_oracles() -> None:
    assert_truth_is_the_oracles(ad_traffic(TrafficOptions(impressions=5_000)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    options=st.builds(
        TrafficOptions,
        seed=st.integers(0, 2**32),
        impressions=st.integers(1, 400),
        span_ms=st.sampled_from([1_000, 60_000, HOUR_MS, 200 * HOUR_MS]),
        quiet_hours=st.sampled_from([None, (0, 20)]),
        disorder_ms=st.sampled_from([1, 1_000, 5_000, HOUR_MS]),
        users=st.integers(1, 30),
        items=st.integers(1, 30),
        undescribed=st.sampled_from([0.0, 0.5, 1.0]),
        click_rate=st.floats(0, 1),
        second_click_rate=st.floats(0, 0.8),
        repeat_rate=st.floats(0, 0.8),
        late_rate=st.floats(0, 0.5),
        late_click_rate=st.floats(0, 0.5),
        broken_rate=st.floats(0, 0.2),
        poison_rate=st.floats(0, 0.2),
        profile_change_rate=st.floats(0, 1),
    ),
    partitions=st.integers(1, 4),
    max_rows=st.sampled_from([1, 3, 500]),
    max_span_ms=st.sampled_from([1, 1_000, HOUR_MS]),
    flush_rows=st.sampled_from([1, 10, 1_000]),
)
def test_truth_is_the_oracles_for_any_traffic(
    options: TrafficOptions, partitions: int, max_rows: int, max_span_ms: int, flush_rows: int
) -> None:
    limits = Limits(max_rows=max_rows, max_span_ms=max_span_ms)
    scenario = ad_traffic(options, partitions, limits)
    packing = PackingOptions(partitions, options.disorder_ms, flush_rows=flush_rows, limits=limits)
    assert_truth_is_the_oracles(replace(scenario, packing=packing))


def test_hard_traffic_has_enough_of_everything() -> None:
    _, truth = written(ad_traffic(TrafficOptions.hard(1, 5_000), 4))
    samples = truth.samples().values()
    positives = sum(row[-2] == 1 for row in samples)
    assert positives >= 0.1 * len(samples)
    assert any(row[-4] in {2, 3, 4} for row in samples)
    assert {row[-3] for row in samples} >= {0, 30 * 60 * 1000, None}
    assert any(isinstance(row[-1], int) and row[-1] > 1 for row in samples)
    for topic in (IMPRESSION_TOPIC, CLICK_TOPIC):
        assert truth.ledger.dead(topic, Stage.LATE) > 10


def test_dead_letters_are_where_the_log_says() -> None:
    log, truth = written(ad_traffic(TrafficOptions.hard(3, 2_000), 2))
    found: dict[str, ExpectedDeadLetter] = {}
    for envelope in log:
        try:
            message = decode(envelope.payload)
        except DecodeError:
            letter = ExpectedDeadLetter(f"{envelope.place}/-1", Stage.DECODE, envelope.topic)
            found[letter.id] = letter
            continue
        for row, change in enumerate(message.changes):
            values = dict(zip(change.schema.names, change.image, strict=True))
            time = values.get("event_time_ms", b"%d" % change.committed_at_ms)
            types = {column.name: column.type.name for column in change.schema.columns}
            stage = None
            if time is None or "TEXT" in {types.get(name) for name in ("user_id", "item_id", "slot")}:
                stage = Stage.CONVERT
            elif isinstance(time, bytes) and int(time) < message.time_ms:
                stage = Stage.LATE
            if stage is not None:
                letter = ExpectedDeadLetter(f"{envelope.place}/{row}", stage, envelope.topic)
                found[letter.id] = letter
    assert found == truth.ledger.dead_letters


def test_the_books_count_each_row_and_message() -> None:
    log, truth = written(ad_traffic(TrafficOptions(impressions=2_000)))
    assert truth.ledger.messages_sent.total() == len(log)
    on_time = sum(row[-1] for row in truth.samples().values() if isinstance(row[-1], int))
    stages = (Stage.DECODE, Stage.CONVERT, Stage.LATE)
    assert truth.ledger.rows_sent[IMPRESSION_TOPIC] == on_time + truth.ledger.dead(IMPRESSION_TOPIC, *stages)
