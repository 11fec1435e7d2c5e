"""A worker that was frozen in the middle of a flush must not write when it continues (DESIGN §6)."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.faults.arena import Arena, Strike, assert_exact, traffic
from tests.faults.seeds import seeds
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.services

WRITING = {1, 18, 20, 75, 277}
"""System calls on x86-64: write, pwrite64, writev, fdatasync, sync_file_range."""


class Zombie:
    """Freezes a worker inside a write to its shard and kills its TaskManager."""

    def __init__(self) -> None:
        self.process: psutil.Process | None = None
        self.old_workers: list[psutil.Process] = []

    def make(self, arena: Arena) -> None:
        self.old_workers = arena.workers()
        self.process = stop_in_a_flush(arena)
        arena.replace_taskmanager()

    def wake(self) -> None:
        """Continue the frozen worker, if the fence has not killed it."""
        assert self.process is not None
        if self.process.is_running():
            self.process.send_signal(signal.SIGCONT)


def stop_in_a_flush(arena: Arena) -> psutil.Process:
    """Freeze a worker while one of its threads is in a system call that writes to its shard."""
    stopped: list[psutil.Process] = []

    def caught() -> bool:
        stopped.extend(
            filter(lambda process: stops_while_it_writes(process, arena.store), arena.shard_holders())
        )
        return bool(stopped)

    wait_for(caught, "a worker in the middle of a flush", 60.0)
    for process in stopped[1:]:
        process.send_signal(signal.SIGCONT)
    return stopped[0]


def stops_while_it_writes(process: psutil.Process, store: Path) -> bool:
    """Freeze the process; if it is not in a write, continue it and try again, many times a second.

    A worker that ends meanwhile, because its job restarts on a busy machine, does not write.
    """
    pause = threading.Event()
    with suppress(psutil.NoSuchProcess, FileNotFoundError):
        for _ in range(200):
            process.send_signal(signal.SIGSTOP)
            while process.status() != psutil.STATUS_STOPPED:
                pause.wait(0.0005)
            if writes_to(process.pid, store):
                return True
            process.send_signal(signal.SIGCONT)
            pause.wait(0.003)
    return False


def writes_to(pid: int, store: Path) -> bool:
    """Return whether a thread of the process is writing to a RocksDB log of the store."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        call = (task / "syscall").read_text().split()
        if call[0].isdigit() and int(call[0]) in WRITING:
            file = Path(os.readlink(f"/proc/{pid}/fd/{int(call[1], 16)}"))
            if file.suffix == ".log" and file.is_relative_to(store.resolve()):
                return True
    return False


@pytest.mark.parametrize("seed", seeds(41))
def test_a_worker_that_wakes_up_after_its_job_has_ended_changes_nothing(arena: Arena, seed: int) -> None:
    zombie = Zombie()
    scenario = traffic(seed)
    assert_exact(arena.prove(scenario, Strike(zombie.make)))
    before = arena.samples(scenario.output)
    zombie.wake()
    wait_for(
        lambda: not any(worker.is_running() for worker in zombie.old_workers),
        "no worker of the killed TaskManager lives on",
        60.0,
    )
    assert arena.samples(scenario.output) == before
