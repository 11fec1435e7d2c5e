"""Python workers of a TaskManager: forks of the pool that serves it."""

from __future__ import annotations

import psutil

from streamjobs.local.python_workers import NAME


def pool_of(taskmanager: int) -> psutil.Process | None:
    """Return the pool of the TaskManager with this pid; None when there is none."""
    return next((each for each in _of(taskmanager) if each.name() != NAME), None)


def workers_of(taskmanager: int) -> list[psutil.Process]:
    """Return the living workers of the TaskManager with this pid."""
    return [each for each in _of(taskmanager) if each.name() == NAME]


def _of(taskmanager: int) -> list[psutil.Process]:
    """The pool and the workers: forks keep the command line of the pool."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            process.name()  # kept by psutil from now on
        except psutil.NoSuchProcess:
            continue
        if command[-2:] == ["pool", str(taskmanager)] and "python_workers.py" in command[-3]:
            found.append(process)
    return found
