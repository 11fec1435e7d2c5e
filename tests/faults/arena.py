"""Runs a scenario on a real cluster with a fault in the middle, and expects the same exact result."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from connectors.rocksdb import RocksDbTable, list_tables
from streamjobs.demo.feed import FeedOptions
from streamjobs.demo.options import TrafficOptions
from streamjobs.demo.proof import Proof, RunOptions, Watch, forget, prove
from streamjobs.demo.runner import RunningJob
from streamjobs.demo.scenario import Scenario, ad_traffic
from streamjobs.job.cluster.rest import FlinkRest
from streamjobs.job.cluster.running_job import RunningFlinkJob
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.local.flink import FlinkCluster
from streamjobs.local.kafka import KafkaServer
from streamjobs.local.service import Service
from tests.integration.waiting import wait_for
from tests.patience import limit_s
from tests.services.kinds import FlinkAddress
from tests.services.workers import workers_of

IMPRESSIONS = 6_000
RATE = 400.0
"""Rows a second: the feed takes some 20 s, several checkpoints."""
SETTINGS = {"execution.checkpointing.interval": "2 s"}
"""Over the job file's: several checkpoints in a short feed."""


def traffic(seed: int) -> Scenario:
    """Return three hours of events with all features of the generator, fed in about 20 seconds."""
    return ad_traffic(TrafficOptions(seed=seed, impressions=IMPRESSIONS))


@dataclass(frozen=True)
class Moment:
    """The progress of feed and job at one time."""

    rows_fed: int
    samples: int
    checkpoints: int
    restarts: int


class Arena:
    """A broker, a cluster with a live TaskManager, and an empty store for each test.

    A cluster that is only an address is shared: a test must not kill its TaskManager.
    """

    def __init__(self, kafka: KafkaServer, flink: FlinkCluster | FlinkAddress, store: Path) -> None:
        self.kafka = kafka
        self.flink = flink
        self.store = store
        self.rest = FlinkRest(flink.rest_url)

    @property
    def taskmanager(self) -> Service:
        """Return the TaskManager that was started last, in our own cluster."""
        assert isinstance(self.flink, FlinkCluster)
        return self.flink.taskmanagers[-1]

    def replace_taskmanager(self) -> None:
        """Kill the TaskManager, and start another, as an orchestrator would."""
        assert isinstance(self.flink, FlinkCluster)
        self.taskmanager.kill()
        self.flink.start_taskmanager()

    def prove(self, scenario: Scenario, strike: Strike, *, rate: float = RATE) -> Proof:
        """Run the scenario at parallelism 2 with the fault in the middle."""
        bootstrap = self.kafka.bootstrap
        forget(scenario, bootstrap, self.store)
        options = RunOptions(bootstrap, self.store, 2, FeedOptions(rate=rate), 5.0, limit_s(240), SETTINGS)
        runner = FlinkSession(self.flink.rest_url)
        try:
            proof = prove(scenario, runner, options, strike.watch(self, scenario))
        finally:
            strike.end()
        strike.judge(self.moment(strike))
        return proof

    def moment(self, strike: Strike) -> Moment:
        """Return the present progress of feed and job."""
        return Moment(
            strike.rows_fed, len(self.samples(strike.table)), self.rest.checkpoints(strike.job_id),
            self.restarts(strike.job_id),
        )  # fmt: skip

    def restarts(self, job_id: str) -> int:
        """Return how often Flink has restored the job from a checkpoint, by its own count."""
        url = f"{self.flink.rest_url}/jobs/{job_id}/checkpoints"
        return int(httpx.get(url, timeout=limit_s(10)).json()["counts"]["restored"])

    def samples(self, table: str) -> dict[Any, dict[str, Any]]:
        """Return all rows of the store's table by key; none until a sink has created it."""
        if table not in list_tables(self.store):
            return {}
        with RocksDbTable(self.store, table) as reader:
            return {row["impression_id"]: row for row in reader.scan()}

    def workers(self) -> list[psutil.Process]:
        """Return the Python workers of the live TaskManager."""
        return workers_of(self.taskmanager.pid)

    def shard_holders(self) -> list[psutil.Process]:
        """Return the workers that have a shard of the store open for writes."""
        return [process for process in self.workers() if self._holds_a_shard(process)]

    def _holds_a_shard(self, process: psutil.Process) -> bool:
        root = str(self.store.resolve())
        try:
            return any(
                file.path.startswith(root) and file.path.endswith(".log") for file in process.open_files()
            )
        except psutil.NoSuchProcess:
            return False


class Strike:
    """Causes one fault, from its own thread, when the job is in the middle of its work.

    The middle: `share` of the rows are fed, two checkpoints are complete, samples are already in the store.
    `restarts` is whether the fault must make the job fail and restart.
    """

    def __init__(self, blow: Callable[[Arena], None], share: float = 0.35, *, restarts: bool = True) -> None:
        self._blow = blow
        self._restarts = restarts
        self._share = share
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self.rows_fed = 0
        self.job_id = ""
        self.table = ""
        self.before: Moment | None = None

    def watch(self, arena: Arena, scenario: Scenario) -> Watch:
        """Return the callbacks that report the progress to the thread."""
        self.table = scenario.output
        total = sum(len(message.rows) for message in scenario.messages())

        def on_rows(count: int) -> None:
            self.rows_fed += count

        def on_job(job: RunningJob) -> None:
            assert isinstance(job, RunningFlinkJob)
            self.job_id = job.job_id
            self._thread = threading.Thread(target=lambda: self._run(arena, total), name="strike")
            self._thread.start()

        return Watch(on_rows=on_rows, on_job=on_job)

    def end(self) -> None:
        """Wait for the thread; raise its error."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._failure is not None:
            raise self._failure

    def judge(self, after: Moment) -> None:
        """Fail unless the fault came in the middle and Flink had to restart the job."""
        before = self.before
        assert before is not None
        assert before.rows_fed < 0.8 * after.rows_fed
        assert 0 < before.samples < 0.8 * after.samples
        assert 2 <= before.checkpoints < after.checkpoints
        assert before.restarts == 0
        assert after.restarts > 0 or not self._restarts

    def _run(self, arena: Arena, total: int) -> None:
        try:
            wait_for(lambda: self._ended.is_set() or self._in_the_middle(arena, total), "the middle", 120.0)
            self.before = arena.moment(self)
            self._blow(arena)
        except BaseException as exc:
            self._failure = exc

    def _in_the_middle(self, arena: Arena, total: int) -> bool:
        return (
            self.rows_fed >= self._share * total
            and arena.rest.checkpoints(self.job_id) >= 2
            and len(arena.samples(self.table)) > 0
        )


def assert_exact(proof: Proof) -> None:
    """Fail unless store, topic and dead letters equal the truth, each sample once, and it balances."""
    parts = {"table": proof.table, "topic": proof.topic, "dead letters": proof.letters, "rows": proof.line}
    report = "\n\n".join(["", *(f"{name}: {part}" for name, part in parts.items())])
    assert all(judged.equal for judged in (proof.table, proof.topic, proof.letters)), report
    assert proof.duplicates == 0, report
    assert (proof.line.difference, proof.line.pending) == (0, 0), report
    assert proof.ok
