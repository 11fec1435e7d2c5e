"""How long a command waits for what is not in its hands; each is an option of `streamjobs run`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Times in seconds, after which a command gives up and says so.

    `submit_s`: so long may Flink plan and take a job; a loaded machine needs minutes.
    `connect_s`: so long may Flink's REST address not answer before the job is submitted.
    `still_s`: so long may a submitted job not change at all before all its tasks run.
    `outage_s`: so long is trouble outside of the job waited for: no free slot, a TaskManager, a store, a
    broker or the JobManager away.
    """

    submit_s: float = 600.0
    connect_s: float = 30.0
    still_s: float = 300.0
    outage_s: float = 1800.0
