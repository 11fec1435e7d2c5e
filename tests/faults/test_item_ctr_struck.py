"""item_ctr_features.sql through frozen workers, a killed TaskManager, killed stores: equal to a batch.

Each blow falls in the middle of a write: the store is frozen until requests wait in it that it has not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing

import psutil
import pytest

from streamjobs.local.environment import Environment
from streamjobs.local.hbase import HBaseCluster
from streamjobs.local.redis import RedisServer
from tests.acceptance.ctr_arena import CtrArena, Events, Feature, Key, last_windows
from tests.contract.store_hbase import HBaseReader
from tests.faults.checkpoints import checkpoints
from tests.faults.frozen_workers import freeze_workers, replace_taskmanager, wake
from tests.faults.unread_requests import unread_bytes
from tests.integration.waiting import wait_for

pytestmark = [pytest.mark.services, pytest.mark.long, pytest.mark.timeout(1500)]

SLICES = 12
BATCH_ROWS = 5
"""Of a request, where a flush has a row for each item: a writer that is struck has more of it to send."""


@pytest.fixture
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CtrArena]:
    root = tmp_path_factory.mktemp("struck")
    with Environment(root / "env", slots=2, redis=True, hbase=True, deadline_s=180) as environment:
        yield CtrArena(environment, root)


def newest_window(arena: CtrArena) -> int:
    return max((end for _, _, end in arena.fresh()), default=0)


def feed_until_written(arena: CtrArena, slices: Iterator[int], count: int) -> None:
    """Send slices and wait until windows of theirs have come."""
    before = newest_window(arena)
    for _ in range(count):
        next(slices)
    wait_for(lambda: newest_window(arena) > before, "new windows", 240)


def freeze_workers_in_their_writes(arena: CtrArena, slices: Iterator[int]) -> list[psutil.Process]:
    """Stop all workers when writers of both stores wait for an answer; the stores then give it."""
    redis, hbase = arena.environment.redis, arena.environment.hbase
    redis.freeze()
    hbase.gateway.freeze()
    try:
        next(slices)
        wait_for(lambda: unread_bytes(redis.port) > 0, "a request that Redis has not read", 120)
        wait_for(lambda: unread_bytes(hbase.port) > 0, "a request that HBase has not read", 120)
        return freeze_workers(arena.environment)
    finally:
        redis.thaw()
        hbase.gateway.thaw()


def kill_in_a_write(store: RedisServer | HBaseCluster, slices: Iterator[int]) -> None:
    """Kill the store with a request in it that it has not read, and start it again."""
    store.freeze()
    try:
        next(slices)
        wait_for(lambda: unread_bytes(store.port) > 0, "a request that the store has not read", 120)
    finally:
        store.kill()
    store.restart()


def cells(arena: CtrArena) -> dict[bytes, dict[bytes, tuple[bytes, int]]]:
    with closing(HBaseReader(arena.environment.hbase.port)) as reader:
        return dict(reader.scan_cells("item_ctr_history"))


def assert_equal(arena: CtrArena, truth: Mapping[Key, Feature]) -> None:
    found = arena.history()
    assert dict(found) == truth
    assert [key for key, _ in found] == sorted(truth)
    assert arena.fresh() == last_windows(truth)


@pytest.mark.parametrize(("seed", "impressions"), [(23, 40_000)])
def test_six_hours_of_events_and_three_blows(arena: CtrArena, seed: int, impressions: int) -> None:
    events = Events(seed, impressions=impressions, items=30, minutes=360)
    truth = events.truth()
    environment = arena.environment
    job = arena.start(BATCH_ROWS)

    def completed() -> int:
        return checkpoints(environment, job.job_id, "completed")

    def restored() -> int:
        return checkpoints(environment, job.job_id, "restored")

    try:
        slices = arena.feed_slices(events, SLICES)
        feed_until_written(arena, slices, 3)
        kill_in_a_write(environment.hbase, slices)
        feed_until_written(arena, slices, 1)
        kill_in_a_write(environment.redis, slices)
        feed_until_written(arena, slices, 1)
        before = completed()
        wait_for(lambda: completed() > before, "a checkpoint to go back to", 120)
        restores = restored()
        zombies = freeze_workers_in_their_writes(arena, slices)  # last: their connections live on
        replace_taskmanager(environment)
        wait_for(lambda: restored() > restores, "the job to be restored", 180)
        for _ in slices:
            pass
        wait_for(lambda: job.is_idle(3.0), "all input is read", 600)
        job.drain()
        assert_equal(arena, truth)
        written = cells(arena)
        wake(zombies)
        assert_equal(arena, truth)
        assert cells(arena) == written
    finally:
        job.cancel()
