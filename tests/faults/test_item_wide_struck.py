"""item_wide.sql through a killed TaskManager, frozen workers, killed stores: equal to a batch join."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from streamjobs.job.session import RunningFlinkJob
from tests.acceptance.wide_arena import WideArena, wide_environment
from tests.acceptance.wide_shop import Shop, changed_shop
from tests.faults.checkpoints import checkpoints
from tests.faults.frozen_workers import freeze_workers, replace_taskmanager, wake
from tests.integration.waiting import wait_for

pytestmark = [pytest.mark.services, pytest.mark.long, pytest.mark.timeout(1500)]

SLICES = 9


@pytest.fixture
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WideArena]:
    root = tmp_path_factory.mktemp("struck")
    with wide_environment(root / "env") as environment:
        made = WideArena(environment, root)
        made.prepare()
        yield made


def in_the_middle(job: RunningFlinkJob, arena: WideArena) -> None:
    """Wait until both stores have rows; what was sent must not all be read yet."""
    wait_for(lambda: len(arena.report()) > 100 and len(arena.search()) > 100, "rows in both stores", 240)
    assert not job.is_idle(0.0)


def assert_equal(arena: WideArena, shop: Shop) -> None:
    truth = shop.wide()
    assert arena.report() == truth
    assert arena.search() == truth


def differences(arena: WideArena, shop: Shop) -> str:
    """How many rows each store lacks, has for nothing, and has otherwise."""
    truth, said = shop.wide(), []
    for store, found in (("MySQL", arena.report()), ("Elasticsearch", arena.search())):
        other = sum(found[key] != truth[key] for key in found.keys() & truth.keys())
        said.append(
            f"{store}: {len(truth.keys() - found)} missing, {len(found.keys() - truth)} extra, {other} other"
        )
    return "; ".join(said)


@pytest.mark.parametrize(("seed", "changes"), [(17, 200_000)])
def test_two_hundred_thousand_changes_and_four_blows(arena: WideArena, seed: int, changes: int) -> None:
    shop = changed_shop(seed, changes, items=5000, shops=200, schedules=100)
    environment = arena.environment
    job = arena.start()
    try:
        slices = arena.feed_slices(shop, random.Random(seed), SLICES)
        for _ in range(SLICES // 3):
            next(slices)
        in_the_middle(job, arena)
        wait_for(lambda: checkpoints(environment, job.job_id, "completed") > 0, "a checkpoint", 120)
        zombies = freeze_workers(environment)
        replace_taskmanager(environment)
        for _ in range(SLICES // 3):
            next(slices)
        environment.elasticsearch.restart()
        for _ in slices:
            pass
        environment.mariadb.restart()
        truth = shop.wide()
        wait_for(
            lambda: arena.report() == truth and arena.search() == truth,
            lambda: f"both sinks to be right; {differences(arena, shop)}",
            900,
        )
        assert checkpoints(environment, job.job_id, "restored") >= 1
        job.drain()
        assert_equal(arena, shop)
        wake(zombies)
        assert_equal(arena, shop)
    finally:
        job.cancel()
