"""Submits a planned job to a cluster through a child process, `streamjobs.job.planner.child`.

PyFlink keeps its imports and its connection to a JVM. The child process keeps both out of the command line,
and imports the functions of a job again for each submission.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import closing

import psutil

from streamjobs.errors import ConfigError, JobError, RetriableError
from streamjobs.job.cluster import handed_over
from streamjobs.job.cluster.limits import Limits
from streamjobs.job.cluster.rest import FlinkRest
from streamjobs.job.plan.flink_ddl import Partitions
from streamjobs.job.planner import early
from streamjobs.job.planner.request import HANDING_OVER, SUBMITTING, Request, packed
from streamjobs.job.root_cause import root_cause

_DYING_S = 10.0
_ATTEMPTS = 2
"""How often a job is planned if its planner JVM dies meanwhile."""


class Submission:
    """A job that a child process starts to plan at once; it is not submitted before `finish`."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self._child = self._start()

    def _start(self) -> early.Child:
        child = early.take()
        try:
            _send(child, packed(self.request))
        except BrokenPipeError:
            return child  # it has died: `finish` reports why
        return child

    def finish(self, partitions: Partitions | None = None, limits: Limits | None = None) -> str:
        """Submit the job and return its id (or the explanation). `partitions` are the preflight's counts.

        If the submission breaks off, the job is looked up at the cluster by its run id: it starts only once.
        A KeyboardInterrupt or SystemExit cancels a job that was submitted.
        Raises SqlError and ConfigError for mistakes in the job, otherwise JobError with Flink's root cause.
        """
        limit_s = (limits or Limits()).submit_s
        for left in reversed(range(_ATTEMPTS)):
            answer = self._answer(partitions, limit_s)
            if "lost" not in answer:
                return self._judged(answer)
            if left:
                self._child = self._start()
        message = f"the planner's JVM died {_ATTEMPTS} times while it planned {self.request.plan.name}"
        raise JobError(message, str(answer["lost"]))

    def _answer(self, partitions: Partitions | None, limit_s: float) -> dict[str, str]:
        name = self.request.plan.name
        why, in_time = "its planner ended without a message", True
        try:
            out, err = self._child.communicate(f"go {packed(partitions)}\n", limit_s)
        except subprocess.TimeoutExpired:
            why, in_time = f"no answer came in {limit_s:g} s", False
            out, err = self._killed()
        except (KeyboardInterrupt, SystemExit):
            self._take_back()
            raise
        finally:
            self.abandon()
        answer = _last_answer(out)
        if "job_id" in answer or "explained" in answer:
            return answer
        if HANDING_OVER in out.splitlines() and ("error" not in answer or SUBMITTING in answer["error"]):
            return self._found(answer, why, root_cause(err))
        if answer:
            return answer
        if not in_time:
            message = (
                f"the job {name} was not planned in {limit_s:g} s, and nothing was submitted to "
                f"{self.request.target.rest_url}: --submit-limit sets the time"
            )
            raise JobError(message, root_cause(err))
        message = f"the job {name} could not be submitted to {self.request.target.rest_url}"
        raise JobError(message, root_cause(err or out))

    def _found(self, answer: dict[str, str], why: str, cause: str) -> dict[str, str]:
        """Return the job that the cluster has after a submission that broke off."""
        why = f"the planner's JVM died ({answer['lost']})" if "lost" in answer else why
        why = "its client failed" if "error" in answer else why
        job_id = self._at_the_cluster(why)
        if job_id is not None:
            return {"job_id": job_id}
        if "error" in answer:
            return answer
        message = (
            f"{self.request.target.rest_url} has not accepted the job {self.request.plan.name}: {why} while "
            "it was submitted, and the cluster has no job of this run: start it again"
        )
        raise JobError(message, cause)

    def _at_the_cluster(self, why: str) -> str | None:
        name, run_id = self.request.plan.name, self.request.run_id
        with closing(FlinkRest(self.request.target.rest_url)) as rest:
            try:
                return handed_over.find_job(rest, name, run_id)
            except RetriableError as exc:
                raise handed_over.unknown(rest.url, name, run_id, why, exc) from exc

    def _take_back(self) -> None:
        """Cancel the job if it was submitted. Raises JobError if that is unknown."""
        if HANDING_OVER not in self._killed()[0].splitlines():
            return
        job_id = self._at_the_cluster("the command was interrupted")
        if job_id is not None:
            with closing(FlinkRest(self.request.target.rest_url)) as rest:
                rest.cancel(job_id)

    def _killed(self) -> tuple[str, str]:
        """End the child and return all that it has printed; empty texts if its pipes are closed already."""
        self._kill()
        try:
            return self._child.communicate(timeout=_DYING_S)
        except (subprocess.TimeoutExpired, ValueError):
            return "", ""

    def _judged(self, answer: dict[str, str]) -> str:
        if "error" in answer:
            if answer["kind"] in ("SqlError", "ConfigError"):
                raise ConfigError(answer["error"])
            message = f"Flink refused the job {self.request.plan.name}"
            if answer["kind"] == "streamjobs":
                message = (
                    f"streamjobs failed to plan the job {self.request.plan.name}: this is a fault of "
                    "streamjobs, not of the job; please report it with the job's file"
                )
            raise JobError(message, root_cause(answer["error"]))
        return answer.get("job_id") or answer["explained"]

    def abandon(self) -> None:
        """End the child in any state; may be called more than once, and after `finish`.

        A planner JVM that it was using ends with it.
        """
        self._kill()
        with self._child:  # closes its pipes and waits
            pass

    def _kill(self) -> None:
        if self._child.poll() is None:
            try:
                others = psutil.Process(self._child.pid).children(recursive=True)
            except psutil.NoSuchProcess:
                others = []
            os.killpg(self._child.pid, signal.SIGKILL)
            psutil.wait_procs(others, timeout=_DYING_S)


def _last_answer(out: str) -> dict[str, str]:
    """Return the child's answer; {} if it has printed none."""
    lines = out.strip().splitlines()
    try:
        answer: dict[str, str] = json.loads(lines[-1])
    except (IndexError, ValueError):
        return {}
    return answer


def _send(child: early.Child, line: str) -> None:
    if child.stdin is None:
        raise AssertionError  # Popen was called with a pipe
    child.stdin.write(line + "\n")
    child.stdin.flush()
