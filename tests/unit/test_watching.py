"""What `run` says last: how the job ended, or how to go on with one that goes on."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable

import pytest
from rich.console import Console

from streamjobs.brokers.kafka import KafkaConnection
from streamjobs.cli.live import ProgressLine
from streamjobs.cli.signals import Terminated, ended_by_signals
from streamjobs.cli.watching import watch
from streamjobs.errors import JobError, RetriableError
from streamjobs.job.cluster.progress import Progress
from streamjobs.job.plan.job_plan import JobPlan

AWAY = RetriableError("Flink at http://f:8081 does not answer GET /jobs/7: refused")


class Job:
    """A job of which `on_look` decides what happens at each look at it."""

    job_id = "7"
    rest_url = "http://f:8081"
    plan = JobPlan("ctr", "ctr.sql", "", {}, (), (), KafkaConnection("127.0.0.1:1"))

    def __init__(self, on_look: Callable[[], None] = lambda: None, final_state: str = "") -> None:
        self._on_look = on_look
        self.final_state = final_state
        self.closed = False

    def watch(self, _on_restart: Callable[[str], None]) -> None:
        self._on_look()

    def progress(self) -> Progress:
        return Progress(0, 0, 0, 0, 0, 0, None, 0, self.final_state or "RUNNING")

    def trouble(self) -> None:
        return None

    def ended(self) -> bool:
        return bool(self.final_state)

    def is_idle(self, seconds: float) -> bool:
        return True

    def drain(self) -> None:
        self.final_state = "FINISHED"

    def close(self) -> None:
        self.closed = True


class Shown:
    """A command that watches a job, and what it has printed."""

    def __init__(self) -> None:
        self._out = io.StringIO()

    def watch(
        self, job: Job, idle_s: float | None = None, *, own: bool = False, outage_s: float = 60.0
    ) -> None:
        line = ProgressLine(Console(file=self._out, width=300), "ctr")
        try:
            watch(job, line, idle_s, own=own, outage_s=outage_s)  # type: ignore[arg-type]
        finally:
            assert job.closed

    @property
    def lines(self) -> list[str]:
        return self._out.getvalue().splitlines()


@pytest.fixture
def shown() -> Shown:
    return Shown()


HOW = [
    "See http://f:8081/#/job/running/7/overview",
    "Cancel it: curl -X PATCH 'http://f:8081/jobs/7?mode=cancel'",
]


def interrupting(error: BaseException) -> Callable[[], None]:
    """Look well once, then raise."""
    looks = iter([None])

    def look() -> None:
        if next(looks, error) is error:
            raise error

    return look


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), Terminated(signal.SIGTERM), Terminated(signal.SIGHUP)]
)
def test_an_interrupted_command_says_how_to_see_and_cancel_the_job(
    shown: Shown, error: BaseException
) -> None:
    with pytest.raises(type(error)):
        shown.watch(Job(interrupting(error)))
    assert shown.lines[-2:] == [f"ctr  the job continues. {HOW[0]}", HOW[1]]


def test_a_job_on_services_of_its_own_ends_with_them(shown: Shown) -> None:
    with pytest.raises(KeyboardInterrupt):
        shown.watch(Job(interrupting(KeyboardInterrupt())), own=True)
    assert shown.lines[-1] == "ctr  the job ends with its own services"


def test_a_cluster_that_is_away_too_long_leaves_the_job_alone_and_says_so(shown: Shown) -> None:
    with pytest.raises(RetriableError, match="does not answer"):
        shown.watch(Job(interrupting(AWAY)), outage_s=-1.0)
    assert shown.lines[-2:] == [f"ctr  unknown whether the job continues. {HOW[0]}", HOW[1]]


def test_an_idle_job_is_drained(shown: Shown) -> None:
    shown.watch(Job(), 1.0)
    assert shown.lines[-1] == "ctr  done: drained, all windows closed"


@pytest.mark.parametrize("idle_s", [None, 1.0])
def test_a_job_that_has_read_a_bounded_input_has_ended(shown: Shown, idle_s: float | None) -> None:
    shown.watch(Job(final_state="FINISHED"), idle_s)
    assert shown.lines[-1] == "ctr  the job has ended: all its input was read"


@pytest.mark.parametrize("idle_s", [None, 1.0])
def test_a_job_that_somebody_else_cancelled_is_not_called_done(shown: Shown, idle_s: float | None) -> None:
    with pytest.raises(JobError, match=r"^ctr was ended by someone else: its job 7 is CANCELED$"):
        shown.watch(Job(final_state="CANCELED"), idle_s)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_the_block_with_its_status_and_the_handlers_come_back(number: int, status: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Terminated) as ended, ended_by_signals():
        signal.raise_signal(number)
    assert ended.value.code == status
    assert signal.getsignal(number) is before
