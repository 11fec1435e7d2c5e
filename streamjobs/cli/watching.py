"""Watches the job of `streamjobs run` once all tasks run: shows its progress, and how it ended."""

from __future__ import annotations

import time

from streamjobs.cli.live import ProgressLine
from streamjobs.errors import JobError, RetriableError
from streamjobs.job.cluster.running_job import RunningFlinkJob

_POLL_S = 0.5


def watch(
    job: RunningFlinkJob, line: ProgressLine, idle_s: float | None, *, own: bool, outage_s: float
) -> None:
    """Show the job until it ends, is idle for `idle_s`, or the user interrupts.

    `own`: its services end with this command, and the job with them. Raises JobError when it has failed or
    was cancelled by someone else, RetriableError when the cluster does not answer for longer than `outage_s`.
    """
    try:
        with line:
            drained = _watched(job, line, idle_s, outage_s)
    except (KeyboardInterrupt, SystemExit):
        line.end("the job ends with its own services" if own else f"the job continues. {how_to_cancel(job)}")
        raise
    except RetriableError:
        if not own:
            line.end(f"unknown whether the job continues. {how_to_cancel(job)}")
        raise
    finally:
        job.close()
    if drained:
        line.end("done: drained, all windows closed")
        return
    if job.final_state != "FINISHED":
        message = f"{job.plan.name} was ended by someone else: its job {job.job_id} is {job.final_state}"
        raise JobError(message, "")
    line.end("the job has ended: all its input was read")


def how_to_cancel(job: RunningFlinkJob) -> str:
    """Return where to see a job that this command leaves running, and the command that cancels it."""
    return (
        f"See {job.rest_url}/#/job/running/{job.job_id}/overview\n"
        f"Cancel it: curl -X PATCH '{job.rest_url}/jobs/{job.job_id}?mode=cancel'"
    )


def _watched(job: RunningFlinkJob, line: ProgressLine, idle_s: float | None, outage_s: float) -> bool:
    """Return whether the job was drained; False if it has ended by itself."""
    silent_since_s: float | None = None
    while True:
        try:
            job.watch(line.restarted)
            line.show(job.progress(), job.trouble())
            silent_since_s = None
            if job.ended():
                return False
            if idle_s is not None and job.is_idle(idle_s):
                line.say("idle: draining")
                job.drain()
                return True
        except RetriableError as exc:
            silent_since_s = silent_since_s or time.monotonic()
            waited_s = time.monotonic() - silent_since_s
            if waited_s > outage_s:
                raise
            line.say(f"{exc} (for {waited_s:.0f} s, at most {outage_s:g} s)")
        time.sleep(_POLL_S)
