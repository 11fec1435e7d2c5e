"""What a planner is asked for, and how the request reaches the child process that carries it out."""

from __future__ import annotations

import base64
import pickle
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from streamjobs.job.plan.job_plan import JobPlan
from streamjobs.job.workers.worker_zip import worker_package

HANDING_OVER = "streamjobs: the job goes to the cluster now"
"""What the child prints before it submits: from then on the cluster may have the job."""
SUBMITTING = "Failed to execute sql"
"""In Flink's error when the hand-over itself failed, which says little of what the cluster has."""


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


def packed(thing: object) -> str:
    """Return a thing as one line of text, for a process of this very code."""
    return base64.b64encode(pickle.dumps(thing)).decode()


def unpacked(line: str) -> object:
    """Return what `packed` was given."""
    return pickle.loads(base64.b64decode(line))  # noqa: S301 - between parent and child, by a private pipe


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
