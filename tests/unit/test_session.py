"""A job's handle tells what it has seen; it waits for what is away, and stops only a job at fault."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing

import pytest

from streamjobs.brokers.kafka import KafkaConnection
from streamjobs.errors import JobError, RetriableError
from streamjobs.job.cluster import session
from streamjobs.job.cluster.limits import Limits
from streamjobs.job.cluster.rest import FlinkRest
from streamjobs.job.cluster.running_job import RunningFlinkJob
from streamjobs.job.cluster.trouble import Outages, Outside
from streamjobs.job.plan.job_plan import JobPlan
from tests.unit.flink_answers import FlinkAnswers, flink_that_answers

JOB = "/jobs/7"


def at_once(text: str | None) -> str:
    """Return a text in which the few seconds that a busy machine needs are none."""
    return re.sub(r"(?<![\d.-])\d s\b", "0 s", text or "")


class Cluster:
    """A cluster with one job, in the state that it is told."""

    def __init__(self, flink: FlinkAnswers) -> None:
        self.flink = flink
        self.is_in("RUNNING")
        self.has_failed()
        self.has_checkpoints(0)
        self.has_taskmanagers()
        self.flink.answers["/jobs/overview"] = {"jobs": [
            {"jid": "7", "name": "ctr", "state": "RUNNING"}, {"jid": "8", "name": "wide", "state": "RUNNING"},
        ]}  # fmt: skip

    def is_in(self, state: str, **tasks: int) -> None:
        vertex = {"id": "v", "name": "Source: item", "parallelism": sum(tasks.values()), "tasks": tasks}
        self.flink.answers[JOB] = {"state": state, "vertices": [vertex] if tasks else []}

    def has_failed(self, *texts: str) -> None:
        entries = [{"timestamp": at, "stacktrace": text} for at, text in enumerate(texts, 1)]
        self.flink.answers[f"{JOB}/exceptions"] = {"exceptionHistory": {"entries": entries[::-1]}}

    def has_checkpoints(self, completed: int, path: str = "<checkpoint-not-externally-addressable>") -> None:
        latest = {"completed": {"external_path": path}} if completed else {}
        self.flink.answers[f"{JOB}/checkpoints"] = {"counts": {"completed": completed}, "latest": latest}

    def has_taskmanagers(self, *held: tuple[int, int, str]) -> None:
        """Each has slots, of which some are held by one job."""
        listed = [{"id": f"tm-{n}"} for n in range(len(held))]
        self.flink.answers["/taskmanagers"] = {"taskmanagers": listed}
        for n, (slots, taken, job) in enumerate(held):
            self.flink.answers[f"/taskmanagers/tm-{n}"] = {
                "slotsNumber": slots, "freeSlots": slots - taken, "allocatedSlots": [{"jobId": job}] * taken,
            }  # fmt: skip


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with flink_that_answers({}) as flink:
        flink.on_patch = lambda: flink.answers.update({JOB: {"state": "CANCELED", "vertices": []}})
        yield Cluster(flink)


def job_on(cluster: Cluster, limits: Limits | None = None, **settings: str) -> RunningFlinkJob:
    plan = JobPlan("ctr", "ctr.sql", "", settings, (), (), KafkaConnection("127.0.0.1:1"))
    return RunningFlinkJob(FlinkRest(cluster.flink.url), "7", plan, limits)


def test_a_job_that_was_seen_to_end_has_ended_also_when_closed(cluster: Cluster) -> None:
    job = job_on(cluster)
    assert not job.ended()
    cluster.is_in("FINISHED")
    assert job.ended()
    job.close()
    assert job.ended()


def test_a_cancelled_job_has_ended(cluster: Cluster) -> None:
    job = job_on(cluster)
    cluster.is_in("CANCELED")
    job.cancel()
    assert job.ended()


def test_a_job_that_ends_while_it_is_cancelled_has_ended(cluster: Cluster) -> None:
    job = job_on(cluster)
    cluster.flink.patch_status = 409  # as Flink answers when the job has ended since it was looked at
    cluster.flink.on_patch = lambda: cluster.is_in("FINISHED")
    job.cancel()
    assert (job.ended(), job.final_state) == (True, "FINISHED")


def test_nothing_is_claimed_of_a_job_that_was_closed_while_it_ran(cluster: Cluster) -> None:
    job = job_on(cluster)
    assert not job.ended()
    job.close()
    with pytest.raises(AssertionError, match="ctr was still running when it was closed"):
        job.ended()


NO_SLOTS = (
    "org.apache.flink.runtime.JobException: Recovery is suppressed\n\tat Handler.handle(Handler.java:1)\n"
    "Caused by: org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException: "
    "Could not acquire the minimum required resources.\n\tat Scheduler.start(Scheduler.java:1)\n"
)
OWN_FAULT = "java.lang.IllegalStateException: the row is broken\n\tat Job.run(Job.java:1)\n"


TASKMANAGER_LOST = (
    "org.apache.flink.runtime.resourcemanager.exceptions.ResourceManagerException: TaskManager with id "
    "taskmanager-0-1 is no longer reachable.\n\tat A.b(A.java:1)\n"
)
HEARTBEAT = (
    "java.util.concurrent.TimeoutException: The heartbeat of TaskManager with id tm-1 timed out.\n"
    "\tat A.b(A.java:1)\n"
)
CONNECTION_LOST = (
    "org.apache.flink.runtime.io.network.netty.exception.RemoteTransportException: Connection unexpectedly "
    "closed by remote task manager '127.0.0.1:4'.\n\tat A.b(A.java:1)\n"
)
BROKER_AWAY = (
    "java.lang.RuntimeException: Failed to list subscribed topic partitions due to \n"
    "Caused by: org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment. "
    "Call: describeTopics\n"
)
STORE_AWAY = (
    "java.lang.RuntimeException: Error received from SDK harness: Traceback (most recent call last):\n"
    '  File "/x/python-files/blob_p/streamjobs.zip/streamjobs/retry.py", line 98, in _give_up\n'
    "    raise RetriableError(message) from exc\n"
    "streamjobs.errors.RetriableError: gave up after 9 tries in 600 s: redis 127.0.0.1:6379 is away\n\n"
    "\tat A.b(A.java:1)\n"
)
CONNECTION_RESET = (
    "org.apache.flink.runtime.io.network.netty.exception.LocalTransportException: Sending failed.\n"
    "\tat A.b(A.java:1)\nCaused by: java.io.IOException: Connection reset by peer\n"
)
NO_SLOTS_IN_TIME = (
    "org.apache.flink.runtime.jobmanager.scheduler.NoResourceAvailableException: Slot request bulk is not "
    "fulfillable! Could not allocate the required slot within slot request timeout\n\tat A.b(A.java:1)\n"
    "Caused by: java.util.concurrent.TimeoutException: Timeout has occurred: 300000 ms\n"
)
SHADED_BROKER_AWAY = (
    "org.apache.flink.util.FlinkRuntimeException: Global failure triggered by OperatorCoordinator\n"
    "Caused by: org.apache.flink.kafka.shaded.org.apache.kafka.common.errors.DisconnectException: gone\n"
)
OUTSIDE = [
    *(NO_SLOTS, NO_SLOTS_IN_TIME, TASKMANAGER_LOST, HEARTBEAT, CONNECTION_LOST, CONNECTION_RESET),
    *(BROKER_AWAY, SHADED_BROKER_AWAY, STORE_AWAY),
]
INSIDE = [
    OWN_FAULT,
    "java.util.concurrent.TimeoutException: a function of the job took too long\n\tat A.b(A.java:1)\n",
    "org.apache.flink.runtime.checkpoint.CheckpointException: Checkpoint expired before completing.\n",
    "Caused by: org.apache.kafka.common.errors.UnknownTopicOrPartitionException: no such topic\n",
    STORE_AWAY.replace(
        "streamjobs.errors.RetriableError: gave up", "streamjobs.errors.SystemicError: no table"
    ),
    STORE_AWAY.replace("streamjobs.errors.RetriableError: gave up", "ValueError: RetriableError: no"),
]


@pytest.mark.parametrize("fault", INSIDE)
def test_a_fault_of_its_own_is_no_outage(cluster: Cluster, fault: str) -> None:
    job = job_on(cluster, Limits(outage_s=-1.0))
    cluster.has_failed(fault)
    job.watch()
    assert job.trouble() is None


@pytest.mark.parametrize("trouble", OUTSIDE)
def test_trouble_outside_stops_no_job_and_each_restart_is_told(cluster: Cluster, trouble: str) -> None:
    job, told = job_on(cluster), list[str]()
    cluster.is_in("RESTARTING", SCHEDULED=2)
    cluster.has_failed(*[trouble] * 5)
    job.watch(told.append)
    assert len(told) == 5
    assert job.trouble() is not None
    assert not job.ended()


@pytest.mark.parametrize("trouble", OUTSIDE)
def test_trouble_outside_that_lasts_too_long_stops_the_job_and_says_how_to_go_on(
    cluster: Cluster, trouble: str
) -> None:
    job = job_on(cluster, Limits(outage_s=-1.0))
    cluster.is_in("RESTARTING", SCHEDULED=2)
    cluster.has_failed(trouble)
    with pytest.raises(JobError) as failure:
        job.watch()
    assert at_once(failure.value.message) == (
        "ctr was stopped: 0 s of trouble outside of it, more than --outage-limit allows. It is cancelled; "
        "continue by `streamjobs run ctr.sql`, which reads from the start that its tables declare"
    )
    assert cluster.flink.cancelled == ["/jobs/7?mode=cancel"]


def test_a_job_that_keeps_its_checkpoints_is_told_to_go_on_from_the_last(cluster: Cluster) -> None:
    retained = {"execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION"}
    job = job_on(cluster, Limits(outage_s=-1.0), **retained)
    cluster.has_checkpoints(3, "file:/c/chk-3")
    cluster.has_failed(TASKMANAGER_LOST)
    with pytest.raises(JobError) as failure:
        job.watch()
    assert failure.value.message.endswith(
        "continue from its last checkpoint by `streamjobs run ctr.sql --set "
        "execution.state-recovery.path=file:/c/chk-3`"
    )


def test_a_lost_taskmanager_is_forgotten_when_all_tasks_run_again(cluster: Cluster) -> None:
    job = job_on(cluster)
    cluster.is_in("RUNNING", SCHEDULED=2)
    cluster.has_failed(TASKMANAGER_LOST)
    job.watch()
    assert at_once(job.trouble()) == (
        "ctr waits for the cluster (0 s, at most 1800 s): needs 2 slots, and no TaskManager is registered at "
        f"{cluster.flink.url}: start one, or wait until it is back"
    )
    cluster.has_taskmanagers((4, 2, "7"))
    assert at_once(job.trouble()) == (
        "ctr waits for the cluster (0 s, at most 1800 s): ResourceManagerException: TaskManager with id "
        "taskmanager-0-1 is no longer reachable."
    )
    cluster.is_in("RUNNING", RUNNING=2)
    job.watch()
    assert job.trouble() is None


def test_a_store_that_was_away_is_forgotten_after_checkpoints(cluster: Cluster) -> None:
    job = job_on(cluster)
    cluster.is_in("RUNNING", RUNNING=2)
    cluster.has_failed(STORE_AWAY)
    job.watch()
    assert at_once(job.trouble()) == (
        "ctr waits for a store or a broker (0 s, at most 1800 s): gave up after 9 tries in 600 s: redis "
        "127.0.0.1:6379 is away"
    )
    cluster.has_checkpoints(3)
    job.watch()
    assert job.trouble() is None


@pytest.mark.parametrize(
    ("taskmanagers", "told"),
    [
        ([(2, 2, "8")], "0 of 2 on 1 TaskManager are free; held by wide (2, job 8)"),
        (
            [(2, 1, "8"), (2, 2, "9")],
            "1 of 4 on 2 TaskManagers are free; held by wide (1, job 8), ? (2, job 9)",
        ),
        (
            [(1, 0, "")],
            "1 of 1 on 1 TaskManager are free: start more TaskManagers, or run it with --parallelism 1",
        ),
    ],
)
def test_a_lack_of_slots_is_told_with_the_jobs_that_hold_them(
    cluster: Cluster, taskmanagers: list[tuple[int, int, str]], told: str
) -> None:
    job, stages = job_on(cluster, Limits(outage_s=-1.0)), list[str]()
    cluster.is_in("RUNNING", SCHEDULED=2)
    cluster.has_taskmanagers(*taskmanagers)
    with pytest.raises(JobError, match=r"ctr was stopped: \d s of trouble outside of it"):
        job.await_running(stages.append)
    assert set(map(at_once, stages)) == {
        f"ctr waits for the cluster (0 s, at most -1 s): needs 2 slots, {told}"
    }


def test_a_start_that_gets_on_is_waited_for_and_one_that_stands_still_is_not(cluster: Cluster) -> None:
    job, stages = job_on(cluster, Limits(still_s=0.0)), list[str]()
    cluster.is_in("RUNNING", RUNNING=1, DEPLOYING=1)
    with pytest.raises(JobError) as failure:
        job.await_running(stages.append)
    assert at_once(str(failure.value)) == (
        "ctr was cancelled: it is RUNNING, and nothing has changed for 0 s: 1 of 2 run, 1 DEPLOYING. Look at "
        "the logs of the TaskManagers"
    )
    assert stages == ["waiting until all tasks of ctr run: 1 of 2 run, 1 DEPLOYING"]
    assert job.final_state == "CANCELED"


def test_a_start_that_changes_at_each_look_is_never_given_up(cluster: Cluster) -> None:
    job = job_on(cluster, Limits(still_s=0.0))
    steps = iter(
        [
            {"RUNNING": 0, "DEPLOYING": 2},
            {"INITIALIZING": 2},
            {"INITIALIZING": 1, "RUNNING": 1},
            {"RUNNING": 2},
        ]
    )

    def step(_text: str = "") -> None:
        cluster.is_in("RUNNING", **next(steps))

    step()
    job.await_running(step)
    assert not list(steps)


def test_a_failure_at_the_start_is_told_at_the_first_restart(cluster: Cluster) -> None:
    job, told = job_on(cluster, Limits(still_s=0.0)), list[str]()
    cluster.is_in("RESTARTING", CREATED=2)
    cluster.has_failed(OWN_FAULT)
    with pytest.raises(JobError, match="nothing has changed"):
        job.await_running(on_restart=told.append)
    assert told == ["IllegalStateException: the row is broken"]


def test_a_job_that_fails_of_the_same_cause_is_stopped_also_when_it_waited_for_slots_meanwhile(
    cluster: Cluster,
) -> None:
    job = job_on(cluster)
    texts = [OWN_FAULT, NO_SLOTS, OWN_FAULT, NO_SLOTS, OWN_FAULT]
    for count in range(1, 5):
        cluster.has_failed(*texts[:count])
        job.watch()
    cluster.has_failed(*texts)
    with pytest.raises(JobError) as failure:
        job.watch()
    assert str(failure.value) == (
        "ctr was stopped: 3 restarts, no progress, the same cause. It is cancelled; continue by `streamjobs "
        "run ctr.sql`, which reads from the start that its tables declare\n"
        "IllegalStateException: the row is broken"
    )


def test_an_outage_lasts_from_when_it_was_seen_first() -> None:
    now = [100.0]
    outages = Outages(10.0, lambda: now[0])
    outages.seen(Outside.CLUSTER, "a", 0)
    now[0] = 109.0
    outages.seen(Outside.SERVICE, "b", 1)
    assert (outages.lasted_s, outages.cause, outages.too_long) == (9.0, "b", False)
    now[0] = 111.0
    assert outages.too_long
    outages.over()
    assert (bool(outages), outages.too_long) == (False, False)


REFUSED = "Flink at http://127.0.0.1:1 does not answer GET /jobs/overview: [Errno 111] Connection refused"


def test_an_unreachable_cluster_is_told_at_once() -> None:
    stages = list[str]()

    def stage(text: str) -> None:
        stages.append(text)
        if len(stages) == 2:
            raise KeyboardInterrupt

    with closing(FlinkRest("http://127.0.0.1:1")) as rest, pytest.raises(KeyboardInterrupt):
        session.await_answer(rest, 30.0, stage)
    assert stages[0] == "asking Flink at http://127.0.0.1:1"
    assert re.sub("2[0-9] s", "30 s", stages[1]) == f"{REFUSED}; trying for 30 s more"
    assert len(stages) == 2


def test_an_unreachable_cluster_is_given_up_after_the_limit() -> None:
    with closing(FlinkRest("http://127.0.0.1:1")) as rest, pytest.raises(RetriableError) as failure:
        session.await_answer(rest, -1.0, lambda _: None)
    assert at_once(str(failure.value)) == (
        f"{REFUSED}; gave up after 0 s, the limit of --connect-limit. Nothing was submitted: correct "
        "rest_url in the profile, or start the cluster"
    )
