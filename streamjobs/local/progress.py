"""Decides whether a process that is not ready makes progress: on a busy machine a slow start is normal."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

HARD_LIMIT = 4
"""The wait for a process that still works ends after so many times its deadline."""
_STILL_S = 10.0
"""A process makes no progress if it shows no sign of work for this long, or a third of a short deadline."""
_BUSY = 0.05
"""CPU seconds per second that count as work; a JVM that waits uses less."""


class Progress:
    """Watches one process from now on, and decides when to stop waiting for it.

    The process works while its log grows, or while it or its children use CPU time. Not thread-safe.
    """

    def __init__(self, log: Path, pid: int, deadline_s: float) -> None:
        self._log = log
        self._pid = pid
        self._deadline_s = deadline_s
        self._still_s = min(_STILL_S, deadline_s / 3)
        self._started_s = self._looked_s = self._worked_s = time.monotonic()
        self._log_bytes = self._size()
        self._cpu_s = self._used_s()

    def verdict(self) -> str | None:
        """Return None to wait on; else the end of an error, e.g. "in 90 s, and makes no progress"."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= self._still_s / 10:
            self._look(now_s)
        waited_s, hard_s = now_s - self._started_s, self._deadline_s * HARD_LIMIT
        if waited_s >= hard_s:
            return f"in {hard_s:g} s, {HARD_LIMIT} times its deadline, and still works"
        if waited_s >= self._deadline_s and now_s - self._worked_s >= self._still_s:
            return f"in {waited_s:.3g} s, and makes no progress"
        return None

    def _look(self, now_s: float) -> None:
        self._looked_s = now_s
        log_bytes, cpu_s = self._size(), self._used_s()
        worked = abs(cpu_s - self._cpu_s) >= _BUSY * self._still_s  # less when a child has ended
        if worked or log_bytes != self._log_bytes:
            self._worked_s, self._log_bytes, self._cpu_s = now_s, log_bytes, cpu_s

    def _size(self) -> int:
        return self._log.stat().st_size if self._log.exists() else 0

    def _used_s(self) -> float:
        used_s = 0.0
        try:
            process = psutil.Process(self._pid)
            for each in (process, *process.children(recursive=True)):
                times = each.cpu_times()
                used_s += times.user + times.system + times.children_user + times.children_system
        except psutil.NoSuchProcess:
            return used_s  # one has ended meanwhile
        return used_s
