"""Python workers of a TaskManager: forks of the pool that serves it."""

from __future__ import annotations

import psutil


def pool_of(taskmanager: int) -> psutil.Process | None:
    """Return the pool of the TaskManager with this pid; None when there is none."""
    pools = _with_command_of_pool(taskmanager)
    pids = {process.pid for process, _ in pools}
    return next((process for process, parent in pools if parent not in pids), None)


def workers_of(taskmanager: int) -> list[psutil.Process]:
    """Return the live workers of the TaskManager with this pid; ignore those that end meanwhile."""
    pool = pool_of(taskmanager)
    return [process for process, parent in _with_command_of_pool(taskmanager) if pool and parent == pool.pid]


def _with_command_of_pool(taskmanager: int) -> list[tuple[psutil.Process, int]]:
    """Return each process with the command of the pool, and its parent: forks keep the command."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if command[-2:] == ["pool", str(taskmanager)] and "python_workers.py" in command[-3]:
                found.append((process, process.ppid()))
        except (psutil.NoSuchProcess, IndexError):
            continue
    return found
