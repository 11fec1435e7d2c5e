"""Explains why a job has no slots: how many it needs, how many exist, and which jobs hold them."""

from __future__ import annotations

from collections import Counter

from streamjobs.job.cluster.rest import FlinkRest, JobState


def slots_needed(state: JobState) -> int:
    """Return how many slots a job needs: all its tasks share them, so as many as its widest stage has."""
    return max(state.parallelism.values(), default=1)


def lack_of_slots(rest: FlinkRest, job_id: str, needed: int) -> str | None:
    """Return what the cluster lacks to run a job; None if it has enough slots.

    Shape: "needs 2 slots, 0 of 4 on 1 TaskManager are free; held by wide (4, job 6e2f…)".
    """
    taskmanagers = rest.taskmanagers()
    if not taskmanagers:
        return (
            f"needs {_slots(needed)}, and no TaskManager is registered at {rest.url}: start one, or wait "
            "until it is back"
        )
    held = Counter(holder for each in taskmanagers for holder in each.holders)
    total, free = sum(each.slots for each in taskmanagers), sum(each.free for each in taskmanagers)
    if free + held.pop(job_id, 0) >= needed:
        return None
    there = f"{free} of {total} on {_taskmanagers(len(taskmanagers))} are free"
    if held:
        names = {job.job_id: job.name for job in rest.jobs()}
        holders = [f"{names.get(job, '?')} ({count}, job {job})" for job, count in sorted(held.items())]
        there += f"; held by {', '.join(holders)}"
    if total < needed:
        there += f": start more TaskManagers, or run it with --parallelism {total}"
    return f"needs {_slots(needed)}, {there}"


def _slots(count: int) -> str:
    return f"{count} slot{'' if count == 1 else 's'}"


def _taskmanagers(count: int) -> str:
    return f"{count} TaskManager{'' if count == 1 else 's'}"
