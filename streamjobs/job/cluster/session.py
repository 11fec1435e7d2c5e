"""Starts jobs on a cluster: a child process plans them, their topics are checked, they are submitted once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from streamjobs.errors import RetriableError
from streamjobs.job.cluster.limits import Limits
from streamjobs.job.cluster.preflight import preflight
from streamjobs.job.cluster.rest import FlinkRest
from streamjobs.job.cluster.running_job import RunningFlinkJob
from streamjobs.job.cluster.submit import Submission
from streamjobs.job.plan.job_plan import JobPlan
from streamjobs.job.plan.planning import plan_file
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.job.planner.lease import default_planner_dir
from streamjobs.job.planner.request import Request, Target

STATE_DIR = Path(__file__).resolve().parents[3] / ".streamjobs"
_POLL_S = 0.3


class FlinkSession:
    """Starts jobs on the cluster at `rest_url`.

    `client_jars` are the connectors and `work_dir` is for files of the client, by default both in the
    checkout's state directory; `planner_dir` is the directory of the project's planner process, and
    `planner_files` that of the planner's jar. `limits` are the longest waits for trouble that may pass. Use
    it from one thread.
    """

    def __init__(
        self,
        rest_url: str,
        *,
        client_jars: Sequence[Path] | None = None,
        work_dir: Path = STATE_DIR / "workers",
        planner_dir: Path | None = None,
        planner_files: Path = STATE_DIR / "jars" / "planner",
        limits: Limits | None = None,
    ) -> None:
        self._limits = limits or Limits()
        jars = sorted((STATE_DIR / "jars" / "flink").glob("*.jar")) if client_jars is None else client_jars
        planner = planner_dir or default_planner_dir(STATE_DIR)
        self._target = Target(
            rest_url, str(work_dir), str(planner), str(planner_files), tuple(map(str, jars))
        )
        self._prepared: Submission | None = None

    def prepare(self, plan: JobPlan) -> None:
        """Start planning a job on Flink before `run` is called; the cluster may still be starting.

        Call `close` if `run` may never be called.
        """
        self._submission(plan)

    def _submission(self, plan: JobPlan) -> Submission:
        if self._prepared is None or self._prepared.request.plan != plan:
            self.close()
            self._prepared = Submission(Request(plan, self._target))
        return self._prepared

    def close(self) -> None:
        """Abandon what was prepared and not started; may be called more than once."""
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            prepared.abandon()

    def explain(self, plan: JobPlan) -> str:
        """Return Flink's plans of a job, each operator with its changelog mode; needs no broker, no cluster.

        Raises SqlError, ConfigError, JobError for what `run` would refuse, too.
        """
        return Submission(Request(plan, self._target, explain=True)).finish()

    def run(
        self,
        plan: JobPlan,
        on_stage: Callable[[str], None] = lambda _: None,
        on_restart: Callable[[str], None] = lambda _: None,
    ) -> RunningFlinkJob:
        """Check cluster and topics, submit the job and return when all its tasks run.

        `on_stage` is called with what is being done or waited for, `on_restart` with each root cause. The job
        is cancelled if it does not start, or if its start is interrupted.
        Raises SqlError, ConfigError (the job, or one of its topics), JobError (Flink), RetriableError if the
        cluster does not answer.
        """
        submission, rest = self._submission(plan), FlinkRest(self._target.rest_url)
        try:
            await_answer(rest, self._limits.connect_s, on_stage)
            on_stage(f"asking the broker for the topics of {plan.name}")
            partitions = preflight(plan)
            on_stage(f"submitting {plan.name} to {self._target.rest_url}")
            job_id = submission.finish(partitions, self._limits)
        except BaseException:
            rest.close()
            raise
        finally:
            self.close()
        job = RunningFlinkJob(rest, job_id, plan, self._limits)
        on_stage(f"waiting until all tasks of {plan.name} run")
        try:
            job.await_running(on_stage, on_restart)
        except BaseException:  # also Ctrl-C: otherwise a job that does not start would retry for ever
            job.cancel()
            raise
        return job

    def start(self, sql_path: Path, settings: RunSettings) -> RunningFlinkJob:
        """Plan a job's file and run it; raises what `plan_file` and `run` raise."""
        return self.run(plan_file(sql_path, settings))


def await_answer(rest: FlinkRest, limit_s: float, on_stage: Callable[[str], None]) -> None:
    """Wait until the cluster answers. Raises RetriableError if it does not within the limit."""
    on_stage(f"asking Flink at {rest.url}")
    started_s = time.monotonic()
    while True:
        try:
            rest.jobs()
        except RetriableError as exc:
            waited_s = time.monotonic() - started_s
            if waited_s > limit_s:
                message = (
                    f"{exc}; gave up after {waited_s:.0f} s, the limit of --connect-limit. Nothing was "
                    "submitted: correct rest_url in the profile, or start the cluster"
                )
                raise RetriableError(message) from exc
            on_stage(f"{exc}; trying for {limit_s - waited_s:.0f} s more")
            time.sleep(_POLL_S)
        else:
            return
