"""Python workers that SIGSTOP freezes while another attempt replaces them, and that continue afterwards."""

from __future__ import annotations

from contextlib import suppress

import psutil

from streamjobs.local.environment import Environment
from tests.integration.waiting import wait_for
from tests.services.workers import workers_of


def workers(environment: Environment) -> list[psutil.Process]:
    """Return the Python workers of the TaskManager that was started last."""
    return workers_of(environment.flink.taskmanagers[-1].pid)


def freeze_workers(environment: Environment) -> list[psutil.Process]:
    """Freeze all of them, whatever they are doing."""
    found = workers(environment)
    assert found
    for process in found:
        process.suspend()
    return found


def replace_taskmanager(environment: Environment) -> None:
    """Kill -9 the TaskManager that was started last, and start another."""
    environment.flink.taskmanagers[-1].kill()
    environment.flink.start_taskmanager()


def wake(zombies: list[psutil.Process]) -> None:
    """Continue them, and wait until each has ended or is idle: a worker that wrote finds its job gone."""
    assert any(map(_stopped, zombies))
    for process in zombies:
        with suppress(psutil.NoSuchProcess):
            process.resume()
    wait_for(lambda: all(map(_at_rest, zombies)), "the zombies to end or to rest", 120)


def _stopped(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def _at_rest(process: psutil.Process) -> bool:
    try:
        return process.cpu_percent(interval=2.0) < 5
    except psutil.NoSuchProcess:
        return True
