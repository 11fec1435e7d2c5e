"""Waiting times of a user: `run --explain`, and `run` until all tasks run; on a new JVM and on a warm one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from connectors.kafka import create_topic
from streamjobs.demo.tables import CTR_TOPICS
from streamjobs.job.cluster.rest import FlinkRest
from streamjobs.job.planner import lease
from streamjobs.job.planner.lease import default_planner_dir
from streamjobs.local import state
from streamjobs.local.places import STATE_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
JOB = "sql/jobs/ctr_samples.sql"
NEW, WARM = "new JVM", "warm JVM"
ENDED = ("FINISHED", "CANCELED", "FAILED")
_POLL_S = 0.05
_DEADLINE_S = 120.0


@dataclass(frozen=True)
class PlannerRun:
    """Seconds from the command to its plan, and from the command until all tasks of the job run."""

    side: str
    explain_s: float
    run_s: float


class PlannerBench:
    """Commands of a checkout with its own state directory, on a running cluster."""

    def __init__(self, home: Path) -> None:
        (home / "jars").symlink_to(ROOT / ".streamjobs" / "jars")
        self._environment = {**os.environ, STATE_VARIABLE: str(home)}
        self._home = home
        self._command("dev", "up")
        known = state.running(home / "dev")
        if known is None or known.bootstrap is None or known.rest_url is None:
            message = f"no services run in {home}"
            raise AssertionError(message)
        self._rest_url = known.rest_url
        for topic in CTR_TOPICS:
            create_topic(known.bootstrap, topic, 2)

    def close(self) -> None:
        """Stop the services and the planner process."""
        self._command("dev", "down")

    def measure(self, rounds: int) -> list[PlannerRun]:
        """Measure each side `rounds` times."""
        runs = []
        for _ in range(rounds):
            lease.stop(default_planner_dir(self._home))
            explained = self._explain()
            lease.stop(default_planner_dir(self._home))
            runs.append(PlannerRun(NEW, explained, self._run()))
            self._explain()
            runs.append(PlannerRun(WARM, self._explain(), self._run()))
        return runs

    def _explain(self) -> float:
        began = time.monotonic()
        self._command("run", JOB, "--explain")
        return round(time.monotonic() - began, 2)

    def _run(self) -> float:
        rest = FlinkRest(self._rest_url)
        began = time.monotonic()
        with self._running("run", JOB):
            while (job := self._running_job()) is None:
                self._wait(began)
            while set(rest.tasks(job)) != {"RUNNING"}:
                self._wait(began)
            seconds = time.monotonic() - began
        rest.cancel(job)
        while not rest.job(job).ended:
            self._wait(began)
        rest.close()
        return round(seconds, 2)

    def _running_job(self) -> str | None:
        """Return the only job that has not ended."""
        jobs = httpx.get(f"{self._rest_url}/jobs", timeout=10).json()["jobs"]
        return next((job["id"] for job in jobs if job["status"] not in ENDED), None)

    def _wait(self, began: float) -> None:
        if time.monotonic() - began > _DEADLINE_S:
            message = f"{JOB} does not run within {_DEADLINE_S:g} s"
            raise AssertionError(message)
        time.sleep(_POLL_S)

    def _command(self, *args: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "streamjobs.cli.main", *args],
            cwd=ROOT, env=self._environment, stdout=subprocess.DEVNULL, check=True, timeout=300,
        )  # fmt: skip

    @contextmanager
    def _running(self, *args: str) -> Iterator[None]:
        with subprocess.Popen(
            [sys.executable, "-m", "streamjobs.cli.main", *args],
            cwd=ROOT, env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            try:
                yield
            finally:
                process.kill()


def measure(rounds: int) -> list[PlannerRun]:
    """Run the benchmark."""
    with tempfile.TemporaryDirectory(prefix="streamjobs-bench-planner-") as directory:
        bench = PlannerBench(Path(directory))
        try:
            return bench.measure(rounds)
        finally:
            bench.close()
