"""Finds a submitted job on a cluster by its name and run id, without guessing."""

from __future__ import annotations

import time

from streamjobs.errors import JobError, RetriableError, SystemicError
from streamjobs.job.cluster.rest import FlinkRest

_POLL_S = 0.3
_TAKING_S = 10.0
"""For so long after its client is gone, a job may still appear in the cluster's list."""
_INITIALIZING_S = 120.0
"""The longest that a job of the same name may initialize; Flink 2.3 does not show its run id meanwhile."""


def find_job(rest: FlinkRest, name: str, run_id: str) -> str | None:
    """Return the id of the job of this run; None if the cluster has none.

    Blocks for some seconds before it returns None, and longer while a job of that name initializes.
    Raises RetriableError if the cluster does not answer: then nothing is known.
    """
    started_s = time.monotonic()
    while True:
        unclear = False
        for job in rest.jobs():
            if job.name != name:
                continue
            found = _run_of(rest, job.job_id)
            if found == run_id:
                return job.job_id
            unclear |= found is None and job.state == "INITIALIZING"
        waited_s = time.monotonic() - started_s
        if waited_s > _TAKING_S and not unclear:
            return None
        if waited_s > _INITIALIZING_S:
            message = f"Flink at {rest.url} lists a job {name}, but does not show its run id"
            raise RetriableError(message)
        time.sleep(_POLL_S)


def unknown(rest_url: str, name: str, run_id: str, why: str, trouble: RetriableError) -> JobError:
    """Return the error for a job of which it is unknown whether it runs."""
    message = (
        f"whether {rest_url} runs the job {name} is not known: it was submitted, then {why}. Before you "
        f"start it again, look for a job {name} whose configuration has streamjobs.run_id = {run_id}, and "
        "cancel it: two of them write the same tables"
    )
    return JobError(message, str(trouble))


def _run_of(rest: FlinkRest, job_id: str) -> str | None:
    try:
        return rest.run_id(job_id)
    except SystemicError:
        return None  # it has ended since it was listed, or is too new
