"""A job's handle tells what it has seen, also when its connections are closed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from streamjobs.job.plan import JobPlan
from streamjobs.job.rest import FlinkRest
from streamjobs.job.session import RunningFlinkJob
from streamjobs.kafka_connection import KafkaConnection
from tests.patience import limit_s


class Answers(ThreadingHTTPServer):
    """A cluster with one job in the state that it is told."""

    state = "RUNNING"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Answers)
        body = b'{"state": "%s", "vertices": []}' % self.server.state.encode()
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
