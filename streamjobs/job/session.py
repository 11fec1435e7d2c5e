"""A job on a cluster: started, watched, drained, cancelled; fulfils `streamjobs.demo.runner`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from streamjobs.errors import JobError, RetriableError
from streamjobs.job.plan import JobPlan
from streamjobs.job.planner.lease import default_planner_dir
from streamjobs.job.planning import plan_file
from streamjobs.job.preflight import preflight
from streamjobs.job.progress import Progress, ProgressReader
from streamjobs.job.report import root_cause, waits_for_slots
from streamjobs.job.rest import FlinkRest, JobState
from streamjobs.job.run_settings import RunSettings
from streamjobs.job.submit import Request, Submission, Target

MAX_WATERMARK_MS = 2**63 - 1
STATE_DIR = Path(__file__).resolve().parents[2] / ".streamjobs"
_POLL_S = 0.3
_START_TIMEOUT_S = 300.0
_DRAIN_TIMEOUT_S = 600.0
SAME_CAUSE_LIMIT = 3
"""So often may the same root cause bring a job down without progress before `watch` gives it up."""


class FlinkSession:
    """Starts jobs on the cluster at `rest_url`.

    `client_jars` are the connectors and `work_dir` is for files of the client, by default both in the
    checkout's state directory; `planner_dir` is the directory of the project's planner process, and
    `planner_files` that of the planner's jar. Use it from one thread.
    """

    def __init__(
        self,
        rest_url: str,
        *,
        client_jars: Sequence[Path] | None = None,
        work_dir: Path = STATE_DIR / "workers",
        planner_dir: Path | None = None,
        planner_files: Path = STATE_DIR / "jars" / "planner",
    ) -> None:
        jars = sorted((STATE_DIR / "jars" / "flink").glob("*.jar")) if client_jars is None else client_jars
        planner = planner_dir or default_planner_dir(STATE_DIR)
        self._target = Target(
            rest_url, str(work_dir), str(planner), str(planner_files), tuple(map(str, jars))
        )
        self._prepared: Submission | None = None

    def prepare(self, plan: JobPlan) -> None:
        """Begin to plan a job on Flink that `run` will be asked for; the cluster may still be coming up.

        Call `close` when `run` may never be called.
        """
        self._submission(plan)

    def _submission(self, plan: JobPlan) -> Submission:
        if self._prepared is None or self._prepared.request.plan != plan:
            self.close()
            self._prepared = Submission(Request(plan, self._target))
        return self._prepared

    def close(self) -> None:
        """Give up what was prepared and not started; may be called again."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            prepared.abandon()

    def explain(self, plan: JobPlan) -> str:
        """Return Flink's plans of a job, each operator with its changelog mode; asks no broker, no cluster.

        Raises SqlError, ConfigError, JobError for what `run` would refuse as well.
        """
        return Submission(Request(plan, self._target, explain=True)).finish()

    def run(self, plan: JobPlan, on_stage: Callable[[str], None] = lambda _: None) -> RunningFlinkJob:
        """Check the topics, submit the job and return when all its tasks run; `on_stage` hears what is done.

        Raises SqlError, ConfigError (the job, or a topic it reads), JobError (Flink).
        """
        submission = self._submission(plan)
        try:
            on_stage(f"asking the broker for the topics of {plan.name}")
            partitions = preflight(plan)
            on_stage(f"submitting {plan.name} to {self._target.rest_url}")
            job = RunningFlinkJob(FlinkRest(self._target.rest_url), submission.finish(partitions), plan)
        finally:
            self.close()
        on_stage(f"waiting until all tasks of {plan.name} run")
        try:
            job.await_running(_START_TIMEOUT_S)
        except BaseException:  # also Ctrl-C: a job that does not come up is not left to try for ever
            job.cancel()
            raise
        return job

    def start(self, sql_path: Path, settings: RunSettings) -> RunningFlinkJob:
        """Plan a job's file and run it; raises as `plan_file` and `run`."""
        return self.run(plan_file(sql_path, settings))


class RunningFlinkJob:
    """One job on a cluster. Raises RetriableError while the cluster does not answer."""

    def __init__(self, rest: FlinkRest, job_id: str, plan: JobPlan) -> None:
        self.job_id = job_id
        self.plan = plan
        self._rest = rest
        self._reader = ProgressReader(rest, job_id, plan)
        self._drained = False
        self._closed = False
        self._ended = False
        self._causes: list[str] = []
        self._covered: int | None = None
        self._last_failure_ms = 0

    def await_running(self, timeout_s: float) -> None:
        """Wait until every task runs. Raises JobError with the root cause when it does not come up."""
        deadline = time.monotonic() + timeout_s
        while True:
            state = self._state()
            up, wanted = self._rest.running_tasks(self.job_id)
            if state.ended or (state.state == "RUNNING" and up == wanted > 0):
                break
            if time.monotonic() > deadline:
                self._fail(f"{self.plan.name} does not run after {timeout_s:.0f} s: {up} of {wanted} tasks")
            self.watch()
            time.sleep(_POLL_S)
        if state.state == "FAILED":
            self._fail(f"{self.plan.name} failed at its start")

    def watch(self, on_restart: Callable[[str], None] = lambda _cause: None) -> None:
        """Look for new failures; each root cause goes to `on_restart` once a restart.

        Raises JobError when the job has failed for good, or when the same cause has brought it down
        SAME_CAUSE_LIMIT times and it has not moved in between: then the job is cancelled first. Too few
        slots are no such cause: a TaskManager that is away comes back.
        """
        state = self._state()
        new = [each for each in self._rest.failures(self.job_id) if each.at_ms > self._last_failure_ms]
        causes = [root_cause(failure.text) for failure in reversed(new)]
        if causes:
            self._forget_what_was_overcome([cause for cause in causes if not waits_for_slots(cause)])
            self._last_failure_ms = new[0].at_ms
            for cause in causes:
                on_restart(cause)
        if state.state == "FAILED":
            self._fail(f"{self.plan.name} failed")
        last = self._causes[-SAME_CAUSE_LIMIT:]
        if len(last) == SAME_CAUSE_LIMIT and len(set(map(_kind, last))) == 1:
            self.cancel()
            message = (
                f"{self.plan.name} was stopped: {SAME_CAUSE_LIMIT} restarts, no progress, the same cause"
            )
            raise JobError(message, last[-1])

    def _forget_what_was_overcome(self, causes: Sequence[str]) -> None:
        """Keep the causes that count: where checkpoints have got further since, the newest at most."""
        covered = self._reader.covered()
        if covered != self._covered:
            self._covered, self._causes, causes = covered, [], causes[-1:]
        self._causes += causes

    def _fail(self, message: str) -> None:
        failures = self._rest.failures(self.job_id)
        raise JobError(message, root_cause(failures[0].text) if failures else "")

    def progress(self) -> Progress:
        """Give the job's counters now."""
        return self._reader.read()

    def ended(self) -> bool:
        """Tell whether the job has ended; once it has been seen to, also after `close`."""
        if not self._ended:
            if self._closed:
                message = (
                    f"{self.plan.name} was still running when it was closed: nothing is known of it since"
                )
                raise AssertionError(message)
            self._state()
        return self._ended

    def _state(self) -> JobState:
        state = self._rest.job(self.job_id)
        self._ended = state.ended
        return state

    def watermark_ms(self) -> int | None:
        """Give the smallest watermark of the job's last stages; the greatest possible after `drain`."""
        return MAX_WATERMARK_MS if self._drained else self._reader.watermark_ms()

    def records_in(self) -> int:
        """Give the number of messages that all sources have read."""
        return self.progress().messages_in

    def is_idle(self, seconds: float) -> bool:
        """Tell whether all input was read and nothing has moved for `seconds`; not while a service is down.

        Once the job has failed its metrics may be an older attempt's for a while; then a checkpoint must
        cover all input.
        """
        try:
            self.watch()
            progress = self.progress()
            still_s = time.monotonic() - self._reader.still_since_s
            if progress.state != "RUNNING" or still_s < seconds:
                return False
            if self._last_failure_ms:
                return progress.checkpoints > 0 and self._reader.uncovered() == 0
            return progress.pending == 0
        except RetriableError:
            return False

    def drain(self) -> None:
        """Stop with a savepoint and the last watermark: all windows close, all output is committed."""
        trigger = self._rest.stop_with_drain(self.job_id)
        deadline = time.monotonic() + _DRAIN_TIMEOUT_S
        while True:
            state = self._state()
            done, where = self._rest.savepoint(self.job_id, trigger)
            if state.ended and done:
                break
            if (done and where.startswith("failed")) or time.monotonic() > deadline:
                raise JobError(f"{self.plan.name} could not be drained", root_cause(where))  # noqa: EM102
            time.sleep(_POLL_S)
        if state.state != "FINISHED":
            self._fail(f"{self.plan.name} ended as {state.state} while it was drained")
        self._drained = True

    def cancel(self) -> None:
        """Stop at once; nothing more is written when this returns. The last call: it closes."""
        if self._closed:
            return
        try:
            if not self.ended():
                self._rest.cancel(self.job_id)
            deadline = time.monotonic() + _START_TIMEOUT_S
            while not self.ended():
                if time.monotonic() > deadline:
                    message = f"{self.plan.name} does not end after it was cancelled"
                    raise RetriableError(message)
                time.sleep(_POLL_S)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the connections; the job goes on. May be called again."""
        self._closed = True
        self._reader.close()
        self._rest.close()


def _kind(cause: str) -> str:
    """Give what makes two causes the same: the error's last line without numbers."""
    line = cause.strip().splitlines()[-1] if cause.strip() else ""
    return "".join(character for character in line if not character.isdigit())
