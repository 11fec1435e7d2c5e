"""A cluster without a free slot: a job waits for one, reports why, and continues from where it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.kafka import create_topic
from streamjobs.errors import JobError
from streamjobs.job.cluster.limits import Limits
from streamjobs.job.cluster.running_job import SAME_CAUSE_LIMIT, RunningFlinkJob
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.job_plan import JobPlan
from streamjobs.job.plan.planning import plan_job
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.local.environment import Environment
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.services

JOB = """
SET 'restart-strategy.exponential-delay.max-backoff' = '500 ms';
SET 'execution.checkpointing.interval' = '1 s';
CREATE TABLE letter (payload VARBINARY) WITH (type='metaq', topic='letters');
CREATE TABLE kept (payload VARBINARY) WITH (type='blackhole');
INSERT INTO kept SELECT payload FROM letter;
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    settings = {
        "slot.request.timeout": "2000", "heartbeat.interval": "1000", "heartbeat.timeout": "6000",
    }  # fmt: skip
    with Environment(tmp_path_factory.mktemp("away"), slots=2, flink_settings=settings) as environment:
        create_topic(environment.kafka.bootstrap, "letters", 2)
        yield environment


def planned(environment: Environment, name: str) -> JobPlan:
    settings = RunSettings(environment.kafka.bootstrap, Path("store"), 2)
    return plan_job(JOB, f"{name}.sql", name, settings, {})


@pytest.fixture
def job(environment: Environment) -> Iterator[RunningFlinkJob]:
    running = FlinkSession(environment.flink.rest_url).run(planned(environment, "first"))
    yield running
    running.cancel()


def test_a_job_outlives_its_only_taskmanager(environment: Environment, job: RunningFlinkJob) -> None:
    (taskmanager,) = environment.flink.taskmanagers
    causes, told = list[str](), set[str]()
    taskmanager.kill()

    def waited() -> bool:
        job.watch(causes.append)
        told.add((job.trouble() or "").partition("): ")[2])
        return len(causes) > SAME_CAUSE_LIMIT + 1

    wait_for(waited, lambda: f"failures: {causes}", 120)
    assert not job.ended()
    url = environment.flink.rest_url
    assert (
        f"needs 2 slots, and no TaskManager is registered at {url}: start one, or wait until it is back"
        in told
    )
    taskmanager.restart()

    def over() -> bool:
        job.watch(causes.append)
        return job.trouble() is None and job.progress().state == "RUNNING"

    wait_for(over, lambda: f"it runs again: {job.trouble()}", 120)


def test_a_job_outlives_a_taskmanager_that_stands_still(
    environment: Environment, job: RunningFlinkJob
) -> None:
    (taskmanager,) = environment.flink.taskmanagers
    causes, told = list[str](), set[str]()

    def waited() -> bool:
        job.watch(causes.append)
        told.add(job.trouble() or "")
        return len(causes) > SAME_CAUSE_LIMIT + 1

    taskmanager.freeze()
    try:
        wait_for(waited, lambda: f"failures: {causes}", 120)
    finally:
        taskmanager.thaw()
    assert not job.ended()
    assert any(each.startswith("first waits for the cluster (") for each in told), told

    def over() -> bool:
        job.watch(causes.append)
        return job.trouble() is None and job.progress().state == "RUNNING"

    wait_for(over, lambda: f"it runs again: {job.trouble()}", 120)


def test_a_job_without_slots_says_which_job_holds_them(
    environment: Environment, job: RunningFlinkJob
) -> None:
    stages = list[str]()
    session = FlinkSession(environment.flink.rest_url, limits=Limits(outage_s=3.0))
    with pytest.raises(JobError, match=r"^second was stopped: \d+ s of trouble outside of it"):
        session.run(planned(environment, "second"), stages.append)
    wanted = f"needs 2 slots, 0 of 2 on 1 TaskManager are free; held by first (2, job {job.job_id})"
    assert [stage for stage in stages if stage.endswith(wanted)]
    assert not job.ended()
