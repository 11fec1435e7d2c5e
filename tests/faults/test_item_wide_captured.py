"""item_wide.sql from a live MariaDB with writers, kills and a purged log: both stores end equal."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from streamjobs.job.cluster.running_job import RunningFlinkJob
from tests.acceptance.wide_capture import Scene, captured_scene
from tests.acceptance.wide_database import ShopSize, writer
from tests.faults.checkpoints import completed, restored
from tests.faults.frozen_workers import replace_taskmanager
from tests.integration.capture_writers import Writers
from tests.integration.waiting import wait_for
from tests.services.kinds import ElasticsearchAddress

pytestmark = pytest.mark.services
SMALL = ShopSize(items=600, shops=30, schedules=20)
LARGE = ShopSize(items=5000, shops=200, schedules=100)


@pytest.mark.parametrize(
    ("seed", "size", "pause_s", "transactions"),
    [
        (41, SMALL, 0.02, 1000),
        pytest.param(42, LARGE, 0.002, 20_000, marks=[pytest.mark.long, pytest.mark.timeout(1500)]),
    ],
)
def test_a_live_database_ends_in_both_stores(
    elasticsearch: ElasticsearchAddress,
    tmp_path: Path,
    seed: int,
    size: ShopSize,
    pause_s: float,
    transactions: int,
) -> None:
    chance = random.Random(seed)
    with captured_scene(tmp_path, elasticsearch.url) as scene:
        scene.prepare(size, chance)
        with Writers(scene.rig, "shop", seed=seed, pause_s=pause_s, write=writer(size)) as writers:
            wait_for(lambda: writers.committed > 20, "writers write")
            scene.kill_capture_in_its_snapshot()
            scene.capture.streaming()
            job = scene.arena.start()
            try:
                scene.await_rows(size.items // 10)
                wait_for(
                    lambda: completed(scene.environment, job.job_id) > 0,
                    "a checkpoint to go back to",
                    120,
                )
                replace_taskmanager(scene.environment)
                scene.kill_streaming_capture(chance)
                wait_for(lambda: writers.committed > transactions, "writers have done their part", 600)
                scene.kill_streaming_capture(chance)
                scene.purge_the_log(writers)
                compare(scene, job, writers)
            finally:
                job.cancel()
        assert scene.capture.stop() == 0, scene.capture.log()


def compare(scene: Scene, job: RunningFlinkJob, writers: Writers) -> None:
    """Fail unless both stores equal the server's join, before and after the job is drained."""
    truth = scene.settle(writers)
    assert len(truth) > 100
    assert restored(scene.environment, job.job_id) >= 1
    job.drain()
    assert scene.truth() == truth
    assert scene.arena.report() == truth
    assert scene.arena.search() == truth
