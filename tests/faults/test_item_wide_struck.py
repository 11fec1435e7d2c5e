"""item_wide.sql through a killed TaskManager, frozen workers, killed stores: equal to a batch join."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress

import psutil
import pytest

from streamjobs.job.session import RunningFlinkJob
from streamjobs.local.environment import Environment
from tests.acceptance.wide_arena import PASSWORD, WideArena
from tests.acceptance.wide_shop import Shop, changed_shop
from tests.integration.waiting import wait_for

pytestmark = [pytest.mark.services, pytest.mark.long, pytest.mark.timeout(1500)]

SLICES = 9


@pytest.fixture
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WideArena]:
    root = tmp_path_factory.mktemp("struck")
    with (
        pytest.MonkeyPatch.context() as patch,
        Environment(root / "env", slots=2, mariadb=True, elasticsearch=True, deadline_s=180) as environment,
    ):
        patch.setenv("ITEM_WIDE_PASSWORD", PASSWORD)
        made = WideArena(environment, root)
        made.prepare()
        yield made


def workers(environment: Environment) -> list[psutil.Process]:
    """The Python workers of the TaskManager that was started last."""
    below = psutil.Process(environment.flink.taskmanagers[-1].pid).children(recursive=True)
    return [each for each in below if "pyflink.fn_execution.beam.beam_boot" in " ".join(each.cmdline())]


def in_the_middle(job: RunningFlinkJob, arena: WideArena) -> None:
    """Wait until both stores have rows; what was sent must not all be read yet."""
    wait_for(lambda: len(arena.report()) > 100 and len(arena.search()) > 100, "rows in both stores", 240)
    assert not job.is_idle(0.0)


def freeze_workers_and_kill_their_taskmanager(arena: WideArena) -> list[psutil.Process]:
    zombies = workers(arena.environment)
    for process in zombies:
        process.suspend()
    arena.environment.flink.taskmanagers[-1].kill()
    arena.environment.flink.start_taskmanager()
    return zombies


def wake(zombies: list[psutil.Process]) -> None:
    """Let them run on, and wait until each has ended or come to rest: one that wrote finds its job gone."""
    assert any(process.is_running() for process in zombies)
    for process in zombies:
        with suppress(psutil.NoSuchProcess):
            process.resume()
    wait_for(lambda: all(map(at_rest, zombies)), "the zombies to end or to rest", 120)


def at_rest(process: psutil.Process) -> bool:
    try:
        return process.cpu_percent(interval=2.0) < 5
    except psutil.NoSuchProcess:
        return True


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
        zombies = freeze_workers_and_kill_their_taskmanager(arena)
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
