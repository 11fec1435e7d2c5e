"""Python workers of a TaskManager: forks of the pool that serves it."""

from __future__ import annotations

import psutil

from streamjobs.local import python_workers
from streamjobs.local.python_workers import NAME


def pool_of(taskmanager: int) -> psutil.Process | None:
    """Return the pool of the TaskManager with this pid; None when there is none."""
    return next((process for process, name in _of(taskmanager) if name != NAME), None)


def workers_of(taskmanager: int) -> list[psutil.Process]:
    """Return the living workers of the TaskManager with this pid."""
    return [process for process, name in _of(taskmanager) if name == NAME]


def _of(taskmanager: int) -> list[tuple[psutil.Process, str]]:
    """Return the pool and the workers with their names: forks keep the command line of the pool."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if command[-2:] == ["pool", str(taskmanager)] and python_workers.__file__ in command:
                found.append((process, process.name()))
        except psutil.NoSuchProcess:
            continue
    return found
