"""A submitted job: waits for it, watches, drains and cancels it; implements `streamjobs.demo.runner`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from streamjobs.errors import JobError, RetriableError
from streamjobs.job.cluster.limits import Limits
from streamjobs.job.cluster.progress import Progress, ProgressReader
from streamjobs.job.cluster.rest import FlinkRest, JobState
from streamjobs.job.cluster.slots import lack_of_slots, slots_needed
from streamjobs.job.cluster.trouble import Outages, Outside, outside
from streamjobs.job.plan.job_plan import JobPlan
from streamjobs.job.root_cause import brief, root_cause

MAX_WATERMARK_MS = 2**63 - 1
_UP = {"RUNNING", "FINISHED"}
_RETENTION = "execution.checkpointing.externalized-checkpoint-retention"
_POLL_S = 0.3
_ENDING_S = 300.0
"""The longest that a cancelled job may take to end."""
_DRAIN_TIMEOUT_S = 600.0
_SETTLED_CHECKPOINTS = 3
"""After so many checkpoints since an outage of a store or broker the job counts as recovered."""
SAME_CAUSE_LIMIT = 3
"""A job is stopped when the same root cause of its own has failed it so often without progress."""


class RunningFlinkJob:
    """One job on a cluster. Its methods raise RetriableError while the cluster does not answer.

    `final_state` is Flink's name of the state in which it ended, such as "FINISHED"; empty before it ends.
    """

    def __init__(self, rest: FlinkRest, job_id: str, plan: JobPlan, limits: Limits | None = None) -> None:
        self.job_id = job_id
        self.plan = plan
        self.rest_url = rest.url
        self._limits = limits or Limits()
        self._outages = Outages(self._limits.outage_s)
        self._rest = rest
        self._reader = ProgressReader(rest, job_id, plan)
        self._drained = False
        self._closed = False
        self._ended = False
        self.final_state = ""
        self._causes: list[str] = []
        self._covered: int | None = None
        self._last_failure_ms = 0

    def await_running(
        self,
        on_stage: Callable[[str], None] = lambda _: None,
        on_restart: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Wait until every task runs, as long as something changes or an outage outside of the job may pass.

        Raises JobError with the root cause if the job does not start, RetriableError if the cluster does not
        answer for longer than the limit for outages.
        """
        still_since_s = answered_s = time.monotonic()
        before: object = None
        while True:
            try:
                state, tasks = self._state(), self._rest.tasks(self.job_id)
                if state.ended or (state.state == "RUNNING" and _all_run(tasks)):
                    break
                self.watch(on_restart)
                self._look_for_slots(state, tasks)
                answered_s = time.monotonic()
            except RetriableError as exc:
                if time.monotonic() - answered_s > self._limits.outage_s:
                    raise
                on_stage(str(exc))
            else:
                if before != (state, tasks) or self._outages:
                    before, still_since_s = (state, tasks), time.monotonic()
                elif time.monotonic() - still_since_s > self._limits.still_s:
                    self._stop_still(state, tasks)
                on_stage(
                    self.trouble()
                    or f"waiting until all tasks of {self.plan.name} run: {_task_counts(tasks)}"
                )
            time.sleep(_POLL_S)
        if state.state == "FAILED":
            self._fail(f"{self.plan.name} failed at its start")
        self._outages.over()

    def _look_for_slots(self, state: JobState, tasks: Mapping[str, int]) -> None:
        """Record a lack of slots now: Flink takes minutes until it fails the job for it."""
        if self._outages or not tasks.get("SCHEDULED"):
            return
        lack = lack_of_slots(self._rest, self.job_id, slots_needed(state))
        if lack is not None:
            self._outages.seen(Outside.CLUSTER, "it had too few free slots", 0)

    def _stop_still(self, state: JobState, tasks: Mapping[str, int]) -> None:
        self.cancel()
        message = (
            f"{self.plan.name} was cancelled: it is {state.state}, and nothing has changed for "
            f"{self._limits.still_s:g} s: {_task_counts(tasks)}. Look at the logs of the TaskManagers"
        )
        raise JobError(message, "")

    def watch(self, on_restart: Callable[[str], None] = lambda _cause: None) -> None:
        """Look for new failures; call `on_restart` with the root cause of each restart.

        During an outage outside of the job (no slots; a TaskManager, store or broker is unavailable) the job
        waits, up to the limit for outages; `trouble` describes the outage.
        Raises JobError if the job has failed for good. Cancels the job and raises JobError if an outage lasts
        too long, or if the same cause of its own has failed it SAME_CAUSE_LIMIT times without progress.
        """
        state = self._state()
        new = [each for each in self._rest.failures(self.job_id) if each.at_ms > self._last_failure_ms]
        found = [(root_cause(failure.text), outside(failure.text)) for failure in reversed(new)]
        if found:
            self._clear_recovered_causes([cause for cause, what in found if what is None])
            self._last_failure_ms = new[0].at_ms
            for cause, _ in found:
                on_restart(cause)
            self._note_outage(*found[-1])
        if state.state == "FAILED":
            self._fail(f"{self.plan.name} failed")
        last = self._causes[-SAME_CAUSE_LIMIT:]
        if len(last) == SAME_CAUSE_LIMIT and len(set(map(_kind, last))) == 1:
            self._stop(f"{SAME_CAUSE_LIMIT} restarts, no progress, the same cause", last[-1])
        self._judge_outage(state)

    def _note_outage(self, cause: str, what: Outside | None) -> None:
        if what is not None:
            self._outages.seen(what, brief(cause), self._rest.checkpoints(self.job_id))
        elif self._outages:
            self._outages.over()  # the job has recovered: now it fails for a reason of its own

    def _judge_outage(self, state: JobState) -> None:
        if not self._outages:
            return
        if state.state == "RUNNING" and _all_run(self._rest.tasks(self.job_id)):
            settled = self._rest.checkpoints(self.job_id) - self._outages.checkpoints >= _SETTLED_CHECKPOINTS
            if self._outages.what is Outside.CLUSTER or settled or self._reader.covered() != self._covered:
                self._outages.over()
                return
        if self._outages.too_long:
            why = f"{self._outages.lasted_s:.0f} s of trouble outside of it, more than --outage-limit allows"
            self._stop(why, self._outages.cause)

    def trouble(self) -> str | None:
        """Return what the job waits for, and for how long; None while no outage is known."""
        outages = self._outages
        if not outages:
            return None
        lack = None
        if outages.what is Outside.CLUSTER:
            lack = lack_of_slots(self._rest, self.job_id, slots_needed(self._state()))
        until = f"{outages.lasted_s:.0f} s, at most {outages.limit_s:g} s"
        return f"{self.plan.name} waits for {outages.what.value} ({until}): {lack or outages.cause}"

    def _stop(self, why: str, cause: str) -> NoReturn:
        """Cancel the job and raise JobError, which says how to continue."""
        kept = self._rest.last_checkpoint(self.job_id)
        self.cancel()
        start = f"streamjobs run {self.plan.path}"
        if kept is not None and self.plan.settings.get(_RETENTION) == "RETAIN_ON_CANCELLATION":
            how = f"from its last checkpoint by `{start} --set execution.state-recovery.path={kept}`"
        else:
            how = f"by `{start}`, which reads from the start that its tables declare"
        message = f"{self.plan.name} was stopped: {why}. It is cancelled; continue {how}"
        raise JobError(message, cause)

    def _clear_recovered_causes(self, causes: Sequence[str]) -> None:
        """Add `causes` to those that count; if checkpoints have progressed since, keep at most the newest."""
        covered = self._reader.covered()
        if covered != self._covered:
            self._covered, self._causes, causes = covered, [], causes[-1:]
        self._causes += causes

    def _fail(self, message: str) -> None:
        failures = self._rest.failures(self.job_id)
        raise JobError(message, root_cause(failures[0].text) if failures else "")

    def progress(self) -> Progress:
        """Return the job's counters now."""
        return self._reader.read()

    def ended(self) -> bool:
        """Return whether the job has ended. After `close`, only for a job that was seen to end before."""
        if not self._ended:
            if self._closed:
                message = f"{self.plan.name} was still running when it was closed: its state since is unknown"
                raise AssertionError(message)
            self._state()
        return self._ended

    def _state(self) -> JobState:
        state = self._rest.job(self.job_id)
        self._ended = state.ended
        self.final_state = state.state if state.ended else ""
        return state

    def watermark_ms(self) -> int | None:
        """Return the smallest watermark of the job's last stages; the greatest possible after `drain`."""
        return MAX_WATERMARK_MS if self._drained else self._reader.watermark_ms()

    def records_in(self) -> int:
        """Return the number of messages that all sources have read."""
        return self.progress().messages_in

    def is_idle(self, seconds: float) -> bool:
        """Return whether all input was read and nothing moved for `seconds`; False while a service is down.

        After a failure the metrics may be those of an older attempt for a while; then a checkpoint must cover
        all input.
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
        """Stop at once, and close; nothing more is written when this returns. Call it last."""
        if self._closed:
            return
        try:
            if not self.ended():
                self._rest.cancel(self.job_id)
            deadline = time.monotonic() + _ENDING_S
            while not self.ended():
                if time.monotonic() > deadline:
                    message = f"{self.plan.name} does not end after it was cancelled"
                    raise RetriableError(message)
                time.sleep(_POLL_S)
        finally:
            self.close()

    def close(self) -> None:
        """Close the connections; the job continues. May be called more than once."""
        self._closed = True
        self._reader.close()
        self._rest.close()


def _all_run(tasks: Mapping[str, int]) -> bool:
    return bool(tasks) and set(tasks) <= _UP


def _task_counts(tasks: Mapping[str, int]) -> str:
    """Return how many tasks run, and the states of the others: `2 of 4 run, 2 DEPLOYING`."""
    up = tasks.get("RUNNING", 0) + tasks.get("FINISHED", 0)
    others = [f"{count} {state}" for state, count in sorted(tasks.items()) if state not in _UP]
    return ", ".join([f"{up} of {sum(tasks.values())} run", *others])


def _kind(cause: str) -> str:
    """Return the key by which two causes are the same: the error's last line without numbers."""
    line = cause.strip().splitlines()[-1] if cause.strip() else ""
    return "".join(character for character in line if not character.isdigit())
