"""kill -9 of the TaskManager, and of a Python worker, in the middle of the sample job."""

from __future__ import annotations

import pytest

from tests.faults.arena import Arena, Strike, assert_exact, traffic
from tests.faults.seeds import seeds

pytestmark = pytest.mark.services


def kill_writing_worker(arena: Arena) -> None:
    arena.shard_holders()[0].kill()


@pytest.mark.parametrize("seed", seeds(21))
def test_killed_taskmanager_changes_no_sample(arena: Arena, seed: int) -> None:
    assert_exact(arena.prove(traffic(seed), Strike(Arena.replace_taskmanager)))


@pytest.mark.parametrize("seed", seeds(31))
def test_killed_python_worker_changes_no_sample(arena: Arena, seed: int) -> None:
    assert_exact(arena.prove(traffic(seed), Strike(kill_writing_worker)))
