"""Hands a planned job to a cluster, by a child process of its own: `streamjobs.job.planner.child`.

PyFlink keeps what it imports and its connection to a JVM; a child process keeps both out of the command line,
and imports the functions of a job again for each submission.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import signal
import subprocess
import uuid
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from streamjobs.errors import ConfigError, JobError, RetriableError
from streamjobs.job import handed_over
from streamjobs.job.limits import Limits
from streamjobs.job.native import Partitions
from streamjobs.job.package import worker_package
from streamjobs.job.plan import JobPlan
from streamjobs.job.planner import early
from streamjobs.job.report import root_cause
from streamjobs.job.rest import FlinkRest

HANDING_OVER = "streamjobs: the job goes to the cluster now"
"""What the child prints before it submits: from then on the cluster may have the job."""
SUBMITTING = "Failed to execute sql"
"""In Flink's error when the hand-over itself failed, which says little of what the cluster has."""
_DYING_S = 10.0
_ATTEMPTS = 2
"""So often is a job planned whose planner JVM dies on the way."""


@dataclass(frozen=True)
class Target:
    """A Flink cluster, and where its client works.

    `client_jars` are needed to plan (connectors) and are on the cluster's class path already; `ship_jars`
    sends them along instead. `work_dir` is where the client may put files, `planner_dir` is the directory of
    the project's planner process; `planner_files` is where Flink's planner may be as a plain jar.
    """

    rest_url: str
    work_dir: str
    planner_dir: str
    planner_files: str
    client_jars: tuple[str, ...] = ()
    ship_jars: bool = False


@dataclass(frozen=True)
class Request:
    """A planned job to submit or, with `explain`, only to explain. `run_id` is new for each submission."""

    plan: JobPlan
    target: Target
    explain: bool = False
    run_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def waits(self) -> bool:
        """Whether nothing can be planned before the preflight has counted partitions."""
        return bool(self.plan.offset_topics) and not self.explain


class Submission:
    """A job that a child process plans from now on; nothing starts before `finish`."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self._child = self._start()

    def _start(self) -> early.Child:
        child = early.take()
        try:
            _send(child, packed(self.request))
        except BrokenPipeError:
            return child  # it has died: `finish` says of what
        return child

    def finish(self, partitions: Partitions | None = None, limits: Limits | None = None) -> str:
        """Start the job and return its id (or the explanation). `partitions` is what the preflight counted.

        Where the hand-over breaks off, the cluster is asked for the job, by its run id: it is started once.
        A KeyboardInterrupt or SystemExit takes back what was handed over.
        Raises SqlError and ConfigError for what the job says wrong, JobError with Flink's root cause else.
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
        why, in_time = "its planner ended without a word", True
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
                f"the job {name} was not planned in {limit_s:g} s, and nothing was handed over to "
                f"{self.request.target.rest_url}: --submit-limit sets the time"
            )
            raise JobError(message, root_cause(err))
        message = f"the job {name} could not be submitted to {self.request.target.rest_url}"
        raise JobError(message, root_cause(err or out))

    def _found(self, answer: dict[str, str], why: str, cause: str) -> dict[str, str]:
        """Return the job that the cluster has, after a hand-over that broke off."""
        why = f"the planner's JVM died ({answer['lost']})" if "lost" in answer else why
        why = "its client failed" if "error" in answer else why
        job_id = self._at_the_cluster(why)
        if job_id is not None:
            return {"job_id": job_id}
        if "error" in answer:
            return answer
        message = (
            f"{self.request.target.rest_url} has not taken the job {self.request.plan.name}: {why} while it "
            "was handed over, and no job of this run is there: start it again"
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
        """Cancel what was handed over, if anything was. Raises JobError where nobody knows."""
        if HANDING_OVER not in self._killed()[0].splitlines():
            return
        job_id = self._at_the_cluster("the command was interrupted")
        if job_id is not None:
            with closing(FlinkRest(self.request.target.rest_url)) as rest:
                rest.cancel(job_id)

    def _killed(self) -> tuple[str, str]:
        """End the child and return all that it has printed; nothing where its pipes are closed already."""
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
        """End the child, whatever it does; may be called again, and after `finish`.

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
    """Return the child's answer; nothing where it has given none."""
    lines = out.strip().splitlines()
    try:
        answer: dict[str, str] = json.loads(lines[-1])
    except (IndexError, ValueError):
        return {}
    return answer


def packed(thing: object) -> str:
    """Return a thing as one line of text, for a process of this very code."""
    return base64.b64encode(pickle.dumps(thing)).decode()


def unpacked(line: str) -> object:
    """Return what `packed` was given."""
    return pickle.loads(base64.b64decode(line))  # noqa: S301 - between parent and child, by a private pipe


def _send(child: early.Child, line: str) -> None:
    if child.stdin is None:
        raise AssertionError  # the pipe was asked for
    child.stdin.write(line + "\n")
    child.stdin.flush()


def configuration(target: Target) -> dict[str, str]:
    """Return Flink's client configuration for a target."""
    host, _, port = target.rest_url.rpartition("//")[2].partition(":")
    config = {
        "execution.target": "remote",
        "execution.attached": "false",
        "rest.address": host,
        "rest.port": port or "8081",
        "jobmanager.rpc.address": host,
        "python.files": str(worker_package(Path(target.work_dir))),
    }
    if target.ship_jars:
        config["pipeline.jars"] = ";".join(Path(jar).resolve().as_uri() for jar in target.client_jars)
    return config
