"""item_wide.sql from a live MariaDB: writers write, capture and TaskManager are killed, all ends equal."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamjobs.job.session import RunningFlinkJob
from streamjobs.local.environment import Environment
from tests.acceptance.wide_arena import WideArena, wide_environment
from tests.acceptance.wide_database import BATCH_JOIN, TABLES, ShopSize, filling, writer
from tests.faults.checkpoints import completed, restored
from tests.faults.frozen_workers import replace_taskmanager
from tests.integration.capture_rig import CaptureFile, Rig
from tests.integration.capture_writers import Writers
from tests.integration.waiting import pause, wait_for

pytestmark = pytest.mark.services
ROUTES = "".join(f'[[tables]]\nmatch = "shop.{name}"\n' for name in ("item", "shop", "schedule"))
SMALL = ShopSize(items=600, shops=30, schedules=20)
LARGE = ShopSize(items=5000, shops=200, schedules=100)


class Scene:
    """One server that is source and store, its capture, and the job."""

    def __init__(self, environment: Environment, root: Path) -> None:
        self.environment = environment
        self.rig = Rig(environment, root)
        self.arena = WideArena(environment, root, database="report")
        self.capture: CaptureFile = self.rig.configure("shop", ROUTES)

    def prepare(self, size: ShopSize, chance: random.Random) -> None:
        """Fill the tables, and make that of the report; a snapshot shall take some seconds."""
        slow = f"chunk_rows = {size.items // 12}\nmax_rows_per_second = {size.items // 3}\n"
        self.capture = self.rig.configure("shop", ROUTES, snapshot=slow)
        self.arena.execute(*TABLES, *filling(size, chance))
        self.arena.prepare_report()

    def kill_capture_in_its_snapshot(self) -> None:
        """Kill it when some rows have been sent, and let it go on."""
        self.capture.start()
        wait_for(self._has_sent_some, f"rows of the snapshot are sent: {self.capture.log()}", 60.0)
        self.capture.kill()
        self.capture.start()

    def _has_sent_some(self) -> bool:
        assert not self.capture.ended(), self.capture.log()
        return int((self.capture.status() or {}).get("snapshot_rows", 0)) > 0

    def kill_streaming_capture(self, chance: random.Random) -> None:
        """Kill it at some moment within the next second, and let it go on."""
        self.capture.streaming()
        pause(chance.random())
        self.capture.kill()
        self.capture.start()

    def await_rows(self, count: int) -> None:
        """Wait until both stores have so many rows."""
        wait_for(
            lambda: len(self.arena.report()) > count and len(self.arena.search()) > count,
            f"{count} rows in both stores",
            240,
        )

    def truth(self) -> dict[int, dict[str, object]]:
        return self.arena.select(BATCH_JOIN)


@pytest.fixture
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    root = tmp_path_factory.mktemp("captured")
    with wide_environment(root / "env") as environment:
        made = Scene(environment, root)
        yield made
        made.capture.kill()


@pytest.mark.parametrize(
    ("seed", "size", "pause_s", "transactions"),
    [
        (41, SMALL, 0.02, 1000),
        pytest.param(42, LARGE, 0.002, 20_000, marks=[pytest.mark.long, pytest.mark.timeout(1500)]),
    ],
)
def test_a_live_database_ends_in_both_stores(
    scene: Scene, seed: int, size: ShopSize, pause_s: float, transactions: int
) -> None:
    chance = random.Random(seed)
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
            compare(scene, job, writers)
        finally:
            job.cancel()
    assert scene.capture.stop() == 0, scene.capture.log()


def compare(scene: Scene, job: RunningFlinkJob, writers: Writers) -> None:
    """Let the writers rest, everything arrive, and compare."""
    writers.stop()
    scene.rig.caught_up(scene.capture, 300.0)
    truth = scene.truth()
    assert len(truth) > 100

    def arrived() -> bool:
        return scene.arena.report() == truth and scene.arena.search() == truth

    wait_for(arrived, "both stores equal the server's own join", 600)
    assert restored(scene.environment, job.job_id) >= 1
    job.drain()
    assert scene.truth() == truth
    assert scene.arena.report() == truth
    assert scene.arena.search() == truth
