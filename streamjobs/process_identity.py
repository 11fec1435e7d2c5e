"""The identity of a process, which unlike a pid is never reused; standard library and /proc only (Linux)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from streamjobs.errors import SystemicError

_PROC = Path("/proc")
_BOOT_ID = _PROC / "sys/kernel/random/boot_id"


@dataclass(frozen=True)
class ProcessIdentity:
    """The identity of one process for ever: a pid is reused, a pid with its start time and boot is not.

    Shape: `ProcessIdentity(pid=4711, started_ticks=1234567, boot_id="6f0c…")`; ticks since boot, from
    field 22 of /proc/<pid>/stat. Source: proc_pid_stat(5).
    """

    pid: int
    started_ticks: int
    boot_id: str

    @property
    def alive(self) -> bool:
        """Return True while this process runs or is stopped; False once it is dead, a zombie, or replaced."""
        return identify(self.pid) == self

    def kill(self) -> bool:
        """Send SIGKILL to this process, never to another that got its pid; return False when it is gone.

        It works on a stopped process too. Raises: SystemicError when we have no permission.
        """
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive:
                return False
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        except ProcessLookupError:
            return False
        except PermissionError as exc:
            message = f"may not kill process {self.pid}; kill it or run as its user"
            raise SystemicError(message) from exc
        finally:
            os.close(handle)
        return True


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of a process, or None when it is dead or a zombie."""
    fields = _stat(pid)
    if fields is None or fields[0] in ("Z", "X"):
        return None
    return ProcessIdentity(pid, int(fields[19]), _BOOT_ID.read_text().strip())


def own_identity() -> ProcessIdentity:
    """Return the identity of this process."""
    identity = identify(os.getpid())
    if identity is None:
        message = f"/proc/{os.getpid()}/stat cannot be read; /proc must be mounted"
        raise SystemicError(message)
    return identity


def task_manager() -> ProcessIdentity | None:
    """Return the nearest JVM among this process's ancestors (a worker's TaskManager), or None."""
    pid = os.getppid()
    while pid > 1:
        try:
            name = (_PROC / str(pid) / "comm").read_text().strip()
        except FileNotFoundError:
            return None
        if name == "java":
            return identify(pid)
        fields = _stat(pid)
        pid = 0 if fields is None else int(fields[1])
    return None


def task_manager_guard() -> Callable[[], None]:
    """Return a check that raises SystemicError once the JVM above this process has died.

    Without a JVM above (a script, a test) the check never raises.
    """
    guardian = task_manager()

    def check() -> None:
        if guardian is not None and not guardian.alive:
            message = f"the TaskManager (pid {guardian.pid}) of this worker is gone; it may no longer write"
            raise SystemicError(message)

    return check


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
