"""Counts the checkpoints that a job has completed, and its restores from one."""

from __future__ import annotations

import httpx

from streamjobs.local.environment import Environment
from tests.patience import limit_s


def completed(environment: Environment, job_id: str) -> int:
    """Return the number of the job's completed checkpoints."""
    url = f"{environment.flink.rest_url}/jobs/{job_id}/checkpoints"
    return int(httpx.get(url, timeout=limit_s(10)).raise_for_status().json()["counts"]["completed"])


def restored(environment: Environment, job_id: str) -> int:
    """Return how often the job was restored from a checkpoint.

    It reads the JobManager's log: its own count was 0 after a restore (Flink 2.3.0).
    """
    log = environment.flink.jobmanager.log.read_text(encoding="utf-8")
    return log.count(f"Restoring job {job_id} from Checkpoint ")
