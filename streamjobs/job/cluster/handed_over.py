"""Whether a cluster has a job that was handed over to it: found by name and run id, never guessed."""

from __future__ import annotations

import time

from streamjobs.errors import JobError, RetriableError, SystemicError
from streamjobs.job.cluster.rest import FlinkRest

_POLL_S = 0.3
_TAKING_S = 10.0
"""A cluster may still list a job so long after its client has gone."""
_INITIALIZING_S = 120.0
"""So long may a job of the same name start up; Flink 2.3 does not say meanwhile which run it is."""


def find_job(rest: FlinkRest, name: str, run_id: str) -> str | None:
    """Return the id of the job of this run; None where the cluster has none.

    Blocks for some seconds before it says None, and longer while a job of that name starts up.
    Raises RetriableError where the cluster does not answer: then nothing is known.
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
            message = f"Flink at {rest.url} lists a job {name}, which does not say which run it is"
            raise RetriableError(message)
        time.sleep(_POLL_S)


def unknown(rest_url: str, name: str, run_id: str, why: str, trouble: RetriableError) -> JobError:
    """Return the error for a job of which nobody can say whether it runs."""
    message = (
        f"whether {rest_url} runs the job {name} is not known: it was handed over, then {why}. Before you "
        f"start it again, look for a job {name} whose configuration has streamjobs.run_id = {run_id}, and "
        "cancel it: two of them write the same tables"
    )
    return JobError(message, str(trouble))


def _run_of(rest: FlinkRest, job_id: str) -> str | None:
    try:
        return rest.run_id(job_id)
    except SystemicError:
        return None  # gone since it was listed, or too new
