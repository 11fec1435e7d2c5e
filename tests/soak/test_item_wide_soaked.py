"""An hour of changes, captured, joined and stored: nothing grows, nothing lags, and all ends equal.

`make soak MINUTES=60` runs it; a day is 1440. The keys are bounded, so the job's state is, too.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.acceptance.wide_capture import Scene, captured_scene
from tests.acceptance.wide_database import ShopSize, writer
from tests.faults.checkpoints import restored
from tests.faults.frozen_workers import workers
from tests.integration.capture_writers import Writers
from tests.integration.waiting import wait_for
from tests.soak.vitals import Vitals, sample_for

MINUTES = float(os.environ.get("MINUTES", "60"))
pytestmark = [pytest.mark.services, pytest.mark.long, pytest.mark.timeout(MINUTES * 60 + 1800)]
SIZE = ShopSize(items=2000, shops=100, schedules=50)
LAG_S = 60.0
"""A capture that is further behind does not keep up with its writers."""


def test_an_hour_of_changes_leaves_nothing_behind(tmp_path: Path) -> None:
    with captured_scene(tmp_path) as scene:
        scene.prepare(SIZE, random.Random(51))
        with Writers(scene.rig, "shop", seed=51, pause_s=0.02, write=writer(SIZE)) as writers:
            scene.capture.start_process()
            scene.capture.streaming()
            job = scene.arena.start("10 s")
            try:
                scene.await_rows(SIZE.items // 10)
                vitals = Vitals(lambda: _processes(scene))
                sample_for(vitals, MINUTES * 60, max(1.0, MINUTES / 4), lambda: _keeps_up(scene))
                truth = scene.settle(writers)
                job.drain()
            finally:
                job.cancel()
        assert scene.holds(truth)
        assert restored(scene.environment, job.job_id) == 0
        assert scene.capture.stop() == 0, scene.capture.log()
    growth = vitals.growth()
    table = "\n".join(map(str, growth))
    print(f"\n{writers.committed} transactions in {MINUTES:g} minutes, {len(truth)} rows\n{table}")
    assert not [each for each in growth if each.is_a_leak], table


def _keeps_up(scene: Scene) -> None:
    wait_for(
        lambda: _lag_s(scene) < LAG_S,
        lambda: f"the capture lags less than {LAG_S:g} s: {scene.capture.status()}\n{scene.capture.log()}",
        120.0,
    )


def _lag_s(scene: Scene) -> float:
    assert not scene.capture.ended(), scene.capture.log()
    status = scene.capture.status()
    return float("inf") if status is None else float(status["lag_s"])


def _processes(scene: Scene) -> Iterator[tuple[str, psutil.Process]]:
    yield "capture", psutil.Process(scene.capture.pid)
    for each in workers(scene.environment):
        yield "Python worker", each
    yield "TaskManager", psutil.Process(scene.environment.flink.taskmanagers[-1].pid)
