"""kill -9 of the broker in the middle: sources, transactions and dead letters wait for it to come back."""

from __future__ import annotations

import pytest

from tests.faults.arena import Arena, Strike, assert_exact, traffic
from tests.faults.seeds import seeds

pytestmark = pytest.mark.services


def kill_broker(arena: Arena) -> None:
    arena.cluster.kafka.kill()
    arena.cluster.kafka.restart()


@pytest.mark.parametrize("seed", seeds(51))
def test_killed_broker_changes_no_sample(arena: Arena, seed: int) -> None:
    """The feed itself goes on through its producer, which waits for the broker as well."""
    assert_exact(arena.prove(traffic(seed), Strike(kill_broker, restarts=False)))
