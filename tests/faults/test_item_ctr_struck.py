"""item_ctr_features.sql through frozen workers, a killed TaskManager, killed stores: equal to a batch.

Each fault comes in the middle of a write: the store is frozen until it has unread requests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from streamjobs.local.environment import Environment
from tests.acceptance.ctr_arena import CtrArena, CtrServices, Events, Feature, Key, last_windows
from tests.contract.store_hbase import HBaseReader
from tests.faults.checkpoints import completed, restored
from tests.faults.frozen_workers import replace_taskmanager, wake
from tests.faults.unread_requests import freeze_workers_in_their_writes, kill_in_a_write
from tests.integration.waiting import wait_for
from tests.patience import limit_s

pytestmark = [pytest.mark.services, pytest.mark.long, pytest.mark.timeout(1500)]

SLICES = 12
BATCH_ROWS = 5
"""Of a request, where a flush has a row for each item: a writer that is struck has more of it to send."""


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    root = tmp_path_factory.mktemp("struck")
    with Environment(root / "env", slots=2, redis=True, hbase=True, deadline_s=limit_s(180)) as environment:
        yield environment


@pytest.fixture
def arena(environment: Environment, tmp_path: Path) -> CtrArena:
    services = CtrServices(
        environment.kafka.bootstrap,
        environment.flink.rest_url,
        environment.redis.port,
        environment.hbase.port,
    )
    return CtrArena(services, tmp_path)


def newest_window(arena: CtrArena) -> int:
    return max((end for _, _, end in arena.fresh()), default=0)


def feed_until_written(arena: CtrArena, slices: Iterator[int], count: int) -> None:
    """Send slices and wait until some of their windows are written."""
    before = newest_window(arena)
    for _ in range(count):
        next(slices)
    wait_for(lambda: newest_window(arena) > before, "new windows", 240)


def cells(environment: Environment) -> dict[bytes, dict[bytes, tuple[bytes, int]]]:
    with closing(HBaseReader(environment.hbase.port)) as reader:
        return dict(reader.scan_cells("item_ctr_history"))


def assert_equal(arena: CtrArena, truth: Mapping[Key, Feature]) -> None:
    found = arena.history()
    assert dict(found) == truth
    assert [key for key, _ in found] == sorted(truth)
    assert arena.fresh() == last_windows(truth)


@pytest.mark.parametrize(("seed", "impressions"), [(23, 40_000)])
def test_six_hours_of_events_and_three_blows(
    environment: Environment, arena: CtrArena, seed: int, impressions: int
) -> None:
    events = Events(seed, impressions=impressions, items=30, minutes=360)
    truth = events.truth()
    job = arena.start(BATCH_ROWS)

    try:
        slices = arena.feed_slices(events, SLICES)
        feed_until_written(arena, slices, 3)
        kill_in_a_write(environment.hbase, lambda: next(slices))
        feed_until_written(arena, slices, 1)
        kill_in_a_write(environment.redis, lambda: next(slices))
        feed_until_written(arena, slices, 1)
        before = completed(environment, job.job_id)
        wait_for(lambda: completed(environment, job.job_id) > before, "a checkpoint to go back to", 120)
        restores = restored(environment, job.job_id)
        stores = {
            environment.redis.port: environment.redis,
            environment.hbase.port: environment.hbase.gateway,
        }
        # last, because their connections stay open
        zombies = freeze_workers_in_their_writes(environment, stores, lambda: next(slices))
        replace_taskmanager(environment)
        wait_for(lambda: restored(environment, job.job_id) > restores, "the job to be restored", 180)
        for _ in slices:
            pass
        wait_for(lambda: job.is_idle(3.0), "all input is read", 600)
        job.drain()
        assert_equal(arena, truth)
        written = cells(environment)
        wake(zombies)
        assert_equal(arena, truth)
        assert cells(environment) == written
    finally:
        job.cancel()
