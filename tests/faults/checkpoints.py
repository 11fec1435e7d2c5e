"""How many checkpoints a job has completed, and how often it was restored from one, by Flink's own count."""

from __future__ import annotations

from typing import Literal

import httpx

from streamjobs.local.environment import Environment


def checkpoints(environment: Environment, job_id: str, which: Literal["completed", "restored"]) -> int:
    """Give the count of the job's checkpoints that are complete, or of its restores."""
    url = f"{environment.flink.rest_url}/jobs/{job_id}/checkpoints"
    return int(httpx.get(url, timeout=10).raise_for_status().json()["counts"][which])
