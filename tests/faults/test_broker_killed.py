"""kill -9 of the broker in the middle: sources, transactions and dead letters wait until it is back.

The events are from today: after its restart a broker has forgotten who wrote old ones, and stores events that
the feed sends again as new (docs/decisions/0036).
"""

from __future__ import annotations

import time

import pytest

from streamjobs.demo.options import HOUR_MS, TrafficOptions
from streamjobs.demo.scenario import ad_traffic
from tests.faults.arena import IMPRESSIONS, Arena, Strike, assert_exact
from tests.faults.seeds import seeds

pytestmark = pytest.mark.services


def kill_broker(arena: Arena) -> None:
    arena.kafka.kill()
    arena.kafka.restart()


@pytest.mark.parametrize("seed", seeds(51))
def test_killed_broker_changes_no_sample(shared_arena: Arena, seed: int) -> None:
    """The feed continues through its producer, which also waits for the broker."""
    today = ad_traffic(
        TrafficOptions(seed=seed, impressions=IMPRESSIONS, start_ms=time.time_ns() // 1_000_000 - 4 * HOUR_MS)
    )
    assert_exact(shared_arena.prove(today, Strike(kill_broker, restarts=False)))
