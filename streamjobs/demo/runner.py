"""The contract of a job runner, as the demo needs it; `streamjobs.job.cluster.session` implements it."""

from __future__ import annotations

from typing import Final, Protocol

from streamjobs.job.plan.job_plan import JobPlan

MAX_WATERMARK_MS: Final = 2**63 - 1
"""The watermark after all input: every window is closed."""


class RunningJob(Protocol):
    """One job on a cluster."""

    def watermark_ms(self) -> int | None:
        """Return the smallest watermark of the job's last stage; MAX_WATERMARK_MS after `drain`.

        None: there is none yet.
        """

    def records_in(self) -> int:
        """Return the number of messages read by all sources so far."""

    def is_idle(self, seconds: float) -> bool:
        """Return whether all input was read and nothing has changed for `seconds`.

        Raises: JobError when the job has failed.
        """

    def drain(self) -> None:
        """Stop with a savepoint and the last watermark: all windows close, all output is committed.

        Blocks until the job has ended. Raises JobError when it failed instead.
        """

    def cancel(self) -> None:
        """Stop at once; nothing more is written. Do nothing when the job has ended."""


class JobRunner(Protocol):
    """Starts jobs on one cluster."""

    def run(self, plan: JobPlan) -> RunningJob:
        """Submit a planned job and return when it runs. Raises SqlError, ConfigError or JobError."""
