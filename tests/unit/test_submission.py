"""What is said of a job whose hand-over breaks off is true: the cluster is asked for it by its run id."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any

import pytest

from streamjobs.brokers.kafka import KafkaConnection
from streamjobs.errors import ConfigError, JobError
from streamjobs.job.cluster import handed_over
from streamjobs.job.cluster.limits import Limits
from streamjobs.job.cluster.submit import Submission
from streamjobs.job.plan.job_plan import JobPlan
from streamjobs.job.planner import early
from streamjobs.job.planner.request import HANDING_OVER, Request, Target
from tests.unit.flink_answers import flink_that_answers

PLAN = JobPlan("ctr", "ctr.sql", "", {}, (), (), KafkaConnection("127.0.0.1:1"))
NOWHERE = "http://127.0.0.1:1"
HANDED = f"print({HANDING_OVER!r}, flush=True)"
FOREVER = "import signal; signal.pause()"
FAST = Limits(submit_s=1.0)


@pytest.fixture(autouse=True)
def _no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handed_over, "_TAKING_S", 0.0)


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the next children do what they are told after they have read the request and the word to go."""
    waiting: list[str] = []

    def take() -> early.Child:
        code = f"import sys\nsys.stdin.readline(); sys.stdin.readline()\n{textwrap.dedent(waiting.pop(0))}"
        return subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    monkeypatch.setattr(early, "take", take)
    return lambda *codes: waiting.extend(codes)


def submitted(url: str, run_id: str = "r1", limits: Limits | None = None) -> str:
    request = Request(PLAN, Target(url, "/nowhere", "/nowhere", "/nowhere"), run_id=run_id)
    return Submission(request).finish(None, limits)


def cluster_with(**run_ids: str) -> dict[str, Any]:
    """The answers of a cluster with jobs called ctr: their ids and the runs that they are of."""
    answers: dict[str, Any] = {
        f"/jobs/{job_id}/config": {"execution-config": {"user-config": {"streamjobs.run_id": run_id}}}
        for job_id, run_id in run_ids.items()
    }
    listed = [{"jid": job_id, "name": "ctr", "state": "INITIALIZING"} for job_id in run_ids]
    return {**answers, "/jobs/overview": {"jobs": listed}}


def test_a_job_that_was_handed_over_and_never_answered_is_found_by_its_run_id(
    child: Callable[..., None],
) -> None:
    child(f"{HANDED}\n{FOREVER}")
    with flink_that_answers(cluster_with(j0="another run", j1="r1")) as flink:
        assert submitted(flink.url, limits=FAST) == "j1"


@pytest.mark.parametrize(
    "last_words",
    [
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        """print('{"lost": "Answer from Java side is empty"}')""",
        """print('{"error": "Failed to execute sql ... TimeoutException", "kind": "Flink"}')""",
    ],
    ids=["the child is killed", "the JVM dies", "the client fails"],
)
def test_a_job_whose_hand_over_breaks_off_is_found_by_its_run_id(
    child: Callable[..., None], last_words: str
) -> None:
    child(f"{HANDED}\n{last_words}")
    with flink_that_answers(cluster_with(j1="r1")) as flink:
        assert submitted(flink.url) == "j1"


def test_a_job_that_the_cluster_has_not_taken_is_said_not_to_run(child: Callable[..., None]) -> None:
    child(f"{HANDED}\n{FOREVER}")
    with flink_that_answers(cluster_with(j0="another run")) as flink:
        with pytest.raises(JobError) as failure:
            submitted(flink.url, limits=FAST)
        assert str(failure.value) == (
            f"{flink.url} has not accepted the job ctr: no answer came in 1 s while it was submitted, and "
            "the cluster has no job of this run: start it again"
        )


def test_nothing_is_claimed_of_a_job_where_the_cluster_does_not_answer(child: Callable[..., None]) -> None:
    child(f"{HANDED}\n{FOREVER}")
    with pytest.raises(JobError) as failure:
        submitted(NOWHERE, limits=FAST)
    assert str(failure.value).splitlines() == [
        f"whether {NOWHERE} runs the job ctr is not known: it was submitted, then no answer came in 1 s. "
        "Before you start it again, look for a job ctr whose configuration has streamjobs.run_id = r1, and "
        "cancel it: two of them write the same tables",
        f"Flink at {NOWHERE} does not answer GET /jobs/overview: [Errno 111] Connection refused",
    ]


def test_a_job_that_is_not_planned_in_time_was_not_handed_over(child: Callable[..., None]) -> None:
    child(FOREVER)
    with pytest.raises(JobError) as failure:
        submitted(NOWHERE, limits=FAST)
    assert str(failure.value) == (
        f"the job ctr was not planned in 1 s, and nothing was submitted to {NOWHERE}: --submit-limit sets "
        "the time"
    )


def test_a_planner_that_dies_before_the_hand_over_is_tried_once_more(child: Callable[..., None]) -> None:
    child("""print('{"lost": "gone"}')""", """print('{"job_id": "j7"}')""")
    assert submitted(NOWHERE) == "j7"


def test_what_the_job_says_wrong_is_told_and_asks_no_cluster(child: Callable[..., None]) -> None:
    child("""print('{"error": "a.sql:1:2: no", "kind": "SqlError"}')""")
    with pytest.raises(ConfigError, match=r"^a.sql:1:2: no$"):
        submitted(NOWHERE)


def test_an_interrupted_hand_over_is_taken_back(child: Callable[..., None]) -> None:
    child(f"import os, signal, threading\n{HANDED}\nos.kill(os.getppid(), signal.SIGINT)\n{FOREVER}")
    with flink_that_answers(cluster_with(j1="r1")) as flink:
        with pytest.raises(KeyboardInterrupt):
            submitted(flink.url)
        assert flink.cancelled == ["/jobs/j1?mode=cancel"]


def test_an_interrupt_before_the_hand_over_asks_no_cluster(child: Callable[..., None]) -> None:
    child(f"import os, signal\nos.kill(os.getppid(), signal.SIGINT)\n{FOREVER}")
    with pytest.raises(KeyboardInterrupt):
        submitted(NOWHERE)


def test_a_job_that_starts_up_is_waited_for_until_it_says_which_run_it_is(
    child: Callable[..., None],
) -> None:
    child(f"{HANDED}\n{FOREVER}")
    answers = cluster_with(j1="r1")
    config = answers["/jobs/j1/config"]
    answers["/jobs/j1/config"] = {"execution-config": {"user-config": {}}}  # what Flink 2.3 says meanwhile
    with flink_that_answers(answers) as flink:
        asked = threading.Timer(2.0, flink.answers.__setitem__, ("/jobs/j1/config", config))
        asked.start()
        assert submitted(flink.url, limits=FAST) == "j1"
        asked.join()


def test_a_job_of_the_same_name_that_another_tool_has_started_is_not_taken_for_ours(
    child: Callable[..., None],
) -> None:
    child(f"{HANDED}\n{FOREVER}")
    answers = cluster_with(j1="r1")
    answers["/jobs/overview"]["jobs"][0]["state"] = "RUNNING"
    answers["/jobs/j1/config"] = {"execution-config": {"user-config": {}}}
    with flink_that_answers(answers) as flink, pytest.raises(JobError, match="has not accepted the job ctr"):
        submitted(flink.url, limits=FAST)
