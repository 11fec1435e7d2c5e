"""A job's handle tells what it has seen, also when its connections are closed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from streamjobs.errors import JobError
from streamjobs.job.plan import JobPlan
from streamjobs.job.rest import FlinkRest
from streamjobs.job.session import RunningFlinkJob
from streamjobs.kafka_connection import KafkaConnection
from tests.patience import limit_s


class Answers(ThreadingHTTPServer):
    """A cluster with one job in the state that it is told."""

    state = "RUNNING"
    failures: Sequence[dict[str, Any]] = ()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Answers)
        answer: dict[str, Any] = {"state": self.server.state, "vertices": []}
        path = self.path.partition("?")[0]
        if path.endswith("/exceptions"):
            answer = {"exceptionHistory": {"entries": self.server.failures}}
        elif path.endswith("/checkpoints"):
            answer = {"counts": {"completed": 0}}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PATCH(self) -> None:
        """Refuse to cancel, as Flink does when the job has ended since it was looked at; now it is seen."""
        assert isinstance(self.server, Answers)
        self.server.state = "FINISHED"
        self.send_response(409)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def cluster() -> Iterator[Answers]:
    with Answers(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(timeout=limit_s(10))


def job_on(cluster: Answers) -> RunningFlinkJob:
    plan = JobPlan("ctr", "ctr.sql", "", {}, (), (), KafkaConnection("127.0.0.1:1"))
    return RunningFlinkJob(FlinkRest(f"http://127.0.0.1:{cluster.server_port}"), "7", plan)


def test_a_job_that_was_seen_to_end_has_ended_also_when_closed(cluster: Answers) -> None:
    job = job_on(cluster)
    assert not job.ended()
    cluster.state = "FINISHED"
    assert job.ended()
    job.close()
    assert job.ended()


def test_a_cancelled_job_has_ended(cluster: Answers) -> None:
    job = job_on(cluster)
    cluster.state = "CANCELED"
    job.cancel()
    assert job.ended()


def test_a_job_that_ends_while_it_is_cancelled_has_ended(cluster: Answers) -> None:
    job = job_on(cluster)
    job.cancel()
    assert job.ended()


def test_nothing_is_claimed_of_a_job_that_was_closed_while_it_ran(cluster: Answers) -> None:
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


def test_a_job_that_waits_for_slots_is_not_stopped_and_each_wait_is_told(cluster: Answers) -> None:
    job, told = job_on(cluster), list[str]()
    cluster.failures = [{"timestamp": at, "stacktrace": NO_SLOTS} for at in (5, 4, 3, 2, 1)]
    job.watch(told.append)
    assert len(told) == 5
    assert all(cause.startswith("NoResourceAvailableException: Could not acquire") for cause in told)
    assert not job.ended()


def test_a_job_that_fails_of_the_same_cause_is_stopped_also_when_it_waited_for_slots_meanwhile(
    cluster: Answers,
) -> None:
    job = job_on(cluster)
    entries = [
        {"timestamp": at, "stacktrace": text}
        for at, text in enumerate([OWN_FAULT, NO_SLOTS, OWN_FAULT, NO_SLOTS, OWN_FAULT], 1)
    ]
    for count in range(1, 5):
        cluster.failures = entries[:count][::-1]
        job.watch()
    cluster.failures = entries[::-1]
    with pytest.raises(JobError, match="ctr was stopped: 3 restarts, no progress, the same cause"):
        job.watch()
