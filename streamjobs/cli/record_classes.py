"""Records the class-data archives of Kafka, Flink and the planner: `make setup` runs it.

It starts them, runs the sample job until all its tasks are running, and ends each in order. See
`streamjobs.class_data`.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import psutil

from connectors.kafka import create_topic
from streamjobs.class_data import RECORD_VARIABLE
from streamjobs.demo.tables import CTR_TOPICS
from streamjobs.errors import StreamjobsError
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.planning import plan_file
from streamjobs.job.plan.run_settings import DEFAULT_BROKER, RunSettings
from streamjobs.job.planner import lease as planner_lease
from streamjobs.local import places
from streamjobs.local.environment import Environment
from streamjobs.local.flink_config import SHORT_LIVED, TaskManagerSize
from streamjobs.local.ports import LOOPBACK, PortLease

JOB = Path("sql/jobs/ctr_samples.sql")
_END_S = 120.0


def record() -> None:
    """Write all archives again. Raises StreamjobsError when a service or the job does not start."""
    archives = places.archive_dir()
    shutil.rmtree(archives, ignore_errors=True)
    archives.mkdir(parents=True)
    os.environ[RECORD_VARIABLE] = "1"
    with tempfile.TemporaryDirectory(prefix="streamjobs-classes-") as directory:
        root = Path(directory)
        with closing(PortLease()) as ports:
            kafka_port, rest_port = ports.take(), ports.take()
            session = _session(f"http://{LOOPBACK}:{rest_port}", root)
            settings = RunSettings(
                f"{LOOPBACK}:{kafka_port}", root / "store", 1, creates_topics=frozenset({DEFAULT_BROKER})
            )
            plan = plan_file(JOB, settings)
            session.prepare(plan)
            made = Environment(
                root / "services",
                lease=ports,
                kafka_port=kafka_port,
                rest_port=rest_port,
                taskmanager_size=TaskManagerSize(java_options=SHORT_LIVED),
            )
            with closing(session), made:
                for topic in CTR_TOPICS:
                    create_topic(made.kafka.bootstrap, topic, 1)
                session.run(plan).cancel()
                services = (*made.flink.taskmanagers, made.flink.jobmanager, made.kafka)
                _end([*(service.pid for service in services), *_planners(root / "planner")])
        planner_lease.stop(root / "planner")


def _session(rest_url: str, root: Path) -> FlinkSession:
    return FlinkSession(
        rest_url,
        client_jars=sorted(places.jar_dir("flink").glob("*.jar")),
        work_dir=root / "workers",
        planner_dir=root / "planner",
        planner_files=places.planner_files(),
    )


def _planners(directory: Path) -> Sequence[int]:
    """Return the pids of planner JVMs that keep their files in this directory."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(word.startswith(f"-Djava.io.tmpdir={directory}") for word in process.info["cmdline"] or ())
    ]


def _end(pids: Sequence[int]) -> None:
    """Ask the processes to end, which writes their archives, and wait until they are gone."""
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + _END_S
    while any(_runs(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


if __name__ == "__main__":
    try:
        record()
    except StreamjobsError as exc:
        sys.exit(str(exc))
