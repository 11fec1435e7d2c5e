"""The sample job on generated ad traffic, against the generator's truth and SQLite over the log."""

from __future__ import annotations

import pytest

from streamjobs.demo.feed import FeedOptions
from streamjobs.demo.kept import read_committed
from streamjobs.demo.options import TrafficOptions
from streamjobs.demo.scenario import HARD_LIMITS, Scenario, ad_traffic
from streamjobs.demo.tables import CLICK_TOPIC, CTR_TOPICS, IMPRESSION_TOPIC, ITEM_TOPIC, USER_TOPIC
from tests.acceptance.court import Court
from tests.acceptance.oracle import Oracle

NEVER = 10**9
SKEWED = FeedOptions(
    lags={
        (IMPRESSION_TOPIC, 0): 500,
        (IMPRESSION_TOPIC, 2): NEVER,
        (CLICK_TOPIC, 1): NEVER,
        (ITEM_TOPIC, 3): NEVER,
        (USER_TOPIC, 0): 2_000,
    }
)
"""Some partitions are written when all others have been, some run behind."""


@pytest.mark.services
@pytest.mark.parametrize("parallelism", [pytest.param(1, marks=pytest.mark.long), 2])
@pytest.mark.parametrize(
    ("scenario", "options"),
    [
        pytest.param(ad_traffic(TrafficOptions(seed=11, impressions=10_000)), FeedOptions(), id="demo"),
        pytest.param(ad_traffic(TrafficOptions.hard(12, 10_000), 4, HARD_LIMITS), SKEWED, id="hard"),
    ],
)
def test_generated_traffic_gives_exactly_the_samples_of_truth_and_oracle(
    court: Court, scenario: Scenario, options: FeedOptions, parallelism: int
) -> None:
    proof = court.judge(scenario, parallelism, options)
    assert proof.positives >= 0.1 * len(proof.samples)
    assert min(proof.line.repeated, proof.line.late, proof.line.dead) > 0
    oracle = Oracle()
    for topic in CTR_TOPICS:
        oracle.load(read_committed(court.bootstrap, topic))
    assert proof.samples == oracle.ctr_samples()
