"""The request to plan a job, and its text for the child process that carries it out."""

from __future__ import annotations

import base64
import pickle
import uuid
from dataclasses import dataclass, field
from pathlib import Path

from streamjobs.job.plan.job_plan import JobPlan
from streamjobs.job.workers.worker_zip import worker_package

HANDING_OVER = "streamjobs: the job goes to the cluster now"
"""The line that the child prints before it submits: from then on the cluster may have the job."""
SUBMITTING = "Failed to execute sql"
"""Part of Flink's error when the submission failed; it does not show whether the cluster has the job."""


@dataclass(frozen=True)
class Target:
    """A Flink cluster, and the directories of its client.

    `client_jars` (connectors) are needed to plan. The cluster has them on its class path already, unless
    `ship_jars` sends them with the job. `work_dir` is for files of the client, `planner_dir` is the directory
    of the project's planner process; `planner_files` may contain Flink's planner as a plain jar.
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
        """Return whether planning needs the partitions that the preflight counts."""
        return bool(self.plan.offset_topics) and not self.explain


def packed(thing: object) -> str:
    """Return a thing as one line of text, for a process that runs the same code."""
    return base64.b64encode(pickle.dumps(thing)).decode()


def unpacked(line: str) -> object:
    """Return the thing that `packed` made a line of."""
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
