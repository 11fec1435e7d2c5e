"""How long a command waits for what it does not control; each limit is an option of `streamjobs run`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Times in seconds after which a command gives up and reports it.

    `submit_s`: for Flink to plan and accept a job; a loaded machine needs minutes.
    `connect_s`: for Flink's REST address to answer before the job is submitted.
    `still_s`: without any change of a submitted job before all its tasks run.
    `outage_s`: for trouble outside of the job: no free slot, or a TaskManager, a store, a broker or the
    JobManager is unavailable.
    """

    submit_s: float = 600.0
    connect_s: float = 30.0
    still_s: float = 300.0
    outage_s: float = 1800.0
