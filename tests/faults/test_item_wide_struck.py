"""item_wide.sql through killed stores, frozen workers, a killed TaskManager: equal to a batch join.

Each fault comes in the middle of a write.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamjobs.job.cluster.running_job import RunningFlinkJob
from streamjobs.local.environment import Environment
from tests.acceptance.wide_arena import WideArena, services_of, wide_arena
from tests.acceptance.wide_shop import Shop, changed_shop
from tests.faults.checkpoints import completed, restored
from tests.faults.frozen_workers import replace_taskmanager, wake
from tests.faults.unread_requests import freeze_workers_in_their_writes, kill_in_a_write
from tests.integration.waiting import wait_for
from tests.patience import limit_s

pytestmark = [pytest.mark.services, pytest.mark.long, pytest.mark.timeout(1500)]

SLICES = 9


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    root = tmp_path_factory.mktemp("struck")
    with Environment(root, slots=2, mariadb=True, elasticsearch=True, deadline_s=limit_s(180)) as environment:
        yield environment


@pytest.fixture
def arena(environment: Environment, tmp_path: Path) -> Iterator[WideArena]:
    with wide_arena(services_of(environment), tmp_path) as arena:
        yield arena


def in_the_middle(job: RunningFlinkJob, arena: WideArena) -> None:
    """Wait until both stores have rows; fail if all sent messages are already read."""
    wait_for(lambda: len(arena.report()) > 100 and len(arena.search()) > 100, "rows in both stores", 240)
    assert not job.is_idle(0.0)


def assert_equal(arena: WideArena, shop: Shop) -> None:
    truth = shop.wide()
    assert arena.report() == truth
    assert arena.search() == truth


def differences(arena: WideArena, shop: Shop) -> str:
    """Return how many rows of each store are missing, unexpected, and different."""
    truth, said = shop.wide(), []
    for store, found in (("MySQL", arena.report()), ("Elasticsearch", arena.search())):
        other = sum(found[key] != truth[key] for key in found.keys() & truth.keys())
        said.append(
            f"{store}: {len(truth.keys() - found)} missing, {len(found.keys() - truth)} extra, {other} other"
        )
    return "; ".join(said)


@pytest.mark.parametrize(("written", "seed"), [("elasticsearch", 17), ("mariadb", 18)])
def test_two_hundred_thousand_changes_and_three_blows(
    environment: Environment, arena: WideArena, written: str, seed: int
) -> None:
    shop = changed_shop(seed, 200_000, items=5000, shops=200, schedules=100)
    job = arena.start()
    try:
        slices = arena.feed_slices(shop, random.Random(seed), SLICES)
        for _ in range(SLICES // 3):
            next(slices)
        in_the_middle(job, arena)
        kill_in_a_write(environment.elasticsearch, lambda: next(slices))
        kill_in_a_write(environment.mariadb, lambda: next(slices))
        before = completed(environment, job.job_id)
        wait_for(lambda: completed(environment, job.job_id) > before, "a checkpoint to go back to", 240)
        restores = restored(environment, job.job_id)
        store = getattr(environment, written)
        # last, because their connections stay open
        zombies = freeze_workers_in_their_writes(environment, {store.port: store}, lambda: next(slices))
        replace_taskmanager(environment)
        for _ in slices:
            pass
        truth = shop.wide()
        wait_for(
            lambda: arena.report() == truth and arena.search() == truth,
            lambda: f"both sinks to be right; {differences(arena, shop)}",
            900,
        )
        assert restored(environment, job.job_id) > restores
        job.drain()
        assert_equal(arena, shop)
        wake(zombies)
        assert_equal(arena, shop)
    finally:
        job.cancel()
