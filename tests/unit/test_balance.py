"""The conservation line and the counting of its terms."""

from __future__ import annotations

import pytest

from streamjobs.brokers.contract import Envelope
from streamjobs.changes.dead_letter import DeadLetter, Stage
from streamjobs.demo.balance import Balance, balance, closes_at_ms, closings_of, pending_impressions
from streamjobs.demo.options import TrafficOptions
from streamjobs.demo.runner import MAX_WATERMARK_MS
from streamjobs.demo.scenario import ad_traffic
from streamjobs.demo.tables import CLICK_TOPIC, IMPRESSION_TOPIC
from streamjobs.demo.truth import Samples, Truth
from tests.unit.logs import written


@pytest.fixture(scope="module")
def log_and_truth() -> tuple[list[Envelope], Truth]:
    return written(ad_traffic(TrafficOptions.hard(7, 2_000), 3))


def letters(truth: Truth) -> dict[str, DeadLetter]:
    return {
        letter.id: DeadLetter(letter.id, letter.stage, "any", "", "ctr_samples", "", letter.topic, 0, 0, 0, 0)
        for letter in truth.ledger.dead_letters.values()
    }


def test_a_perfect_job_balances(log_and_truth: tuple[list[Envelope], Truth]) -> None:
    _, truth = log_and_truth
    sent = truth.ledger.rows_sent[IMPRESSION_TOPIC]
    line = balance(sent, truth.samples(), letters(truth), 0, IMPRESSION_TOPIC)
    assert line.difference == 0
    assert str(line) == (
        f"{sent} impressions sent = {len(truth.samples())} samples + {line.repeated} repeated"
        f" + {line.late} late + {line.dead} dead + 0 pending"
    )
    assert min(line.repeated, line.late, line.dead) > 0


@pytest.mark.parametrize("topic", [IMPRESSION_TOPIC, CLICK_TOPIC])
def test_a_lost_dead_letter_of_an_impression_shows(
    log_and_truth: tuple[list[Envelope], Truth], topic: str
) -> None:
    _, truth = log_and_truth
    found = letters(truth)
    del found[next(key for key, letter in found.items() if letter.topic == topic)]
    line = balance(truth.ledger.rows_sent[IMPRESSION_TOPIC], truth.samples(), found, 0, IMPRESSION_TOPIC)
    assert line.difference == (topic == IMPRESSION_TOPIC)


def test_a_lost_sample_shows(log_and_truth: tuple[list[Envelope], Truth]) -> None:
    _, truth = log_and_truth
    samples = dict(truth.samples())
    _, row = samples.popitem()
    line = balance(truth.ledger.rows_sent[IMPRESSION_TOPIC], samples, letters(truth), 0, IMPRESSION_TOPIC)
    assert line.difference == row[-1]
    assert f"DOES NOT BALANCE: +{row[-1]}" in str(line)


def test_too_much_is_as_bad_as_too_little() -> None:
    assert Balance(sent=10, samples=9, repeated=1, late=0, dead=0, pending=1).difference == -1


def test_all_is_pending_before_the_first_watermark(log_and_truth: tuple[list[Envelope], Truth]) -> None:
    log, truth = log_and_truth
    impressions = [envelope for envelope in log if envelope.topic == IMPRESSION_TOPIC]
    line = balance(
        truth.ledger.rows_sent[IMPRESSION_TOPIC],
        {},
        letters(truth),
        pending_impressions(closings_of(impressions), None),
        IMPRESSION_TOPIC,
    )
    assert line.difference == 0


def test_nothing_is_pending_after_the_drain(log_and_truth: tuple[list[Envelope], Truth]) -> None:
    log, _ = log_and_truth
    impressions = [envelope for envelope in log if envelope.topic == IMPRESSION_TOPIC]
    assert pending_impressions(closings_of(impressions), MAX_WATERMARK_MS) == 0


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_it_balances_at_any_watermark(log_and_truth: tuple[list[Envelope], Truth], share: float) -> None:
    log, truth = log_and_truth
    impressions = [envelope for envelope in log if envelope.topic == IMPRESSION_TOPIC]
    closings = sorted(closes_at_ms(event_time(row)) for row in truth.samples().values())
    watermark_ms = closings[int(share * len(closings))]
    closed: Samples = {
        key: row for key, row in truth.samples().items() if closes_at_ms(event_time(row)) <= watermark_ms
    }
    pending = pending_impressions(closings_of(impressions), watermark_ms)
    line = balance(
        truth.ledger.rows_sent[IMPRESSION_TOPIC], closed, letters(truth), pending, IMPRESSION_TOPIC
    )
    assert line.difference == 0
    assert line.pending > 0


@pytest.mark.parametrize(("time_ms", "closes"), [(0, 1_800_999), (999, 1_800_999), (1_000, 1_801_999)])
def test_a_sample_is_final_when_its_second_and_its_attribution_are_over(time_ms: int, closes: int) -> None:
    assert closes_at_ms(time_ms) == closes


def test_late_and_dead_are_told_apart() -> None:
    found = {
        str(number): DeadLetter(str(number), stage, "r", "", "j", "t", IMPRESSION_TOPIC, 0, 0, 0, 0)
        for number, stage in enumerate((Stage.LATE, Stage.DECODE, Stage.CONVERT, Stage.LATE, Stage.LATE))
    }
    assert balance(5, {}, found, 0, IMPRESSION_TOPIC) == Balance(5, 0, 0, 3, 2, 0)


def event_time(row: tuple[object, ...]) -> int:
    value = row[5]
    assert isinstance(value, int)
    return value
