"""item_wide.sql through a killed TaskManager, frozen workers, killed stores: equal to a batch join."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from streamjobs.job.session import RunningFlinkJob
from tests.acceptance.wide_arena import WideArena, wide_environment
from tests.acceptance.wide_shop import Shop, changed_shop
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
        zombies = freeze_workers(environment)
        replace_taskmanager(environment)
        for _ in range(SLICES // 3):
            next(slices)
        environment.elasticsearch.restart()
        for _ in slices:
            pass
        environment.mariadb.restart()
        truth = shop.wide()
        wait_for(lambda: arena.report() == truth and arena.search() == truth, "both sinks to be right", 900)
        job.drain()
        assert_equal(arena, shop)
        wake(zombies)
        assert_equal(arena, shop)
    finally:
        job.cancel()
