"""What a process takes over hours: samples of memory and open files, and whether they grow."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from tests.integration.waiting import pause

MIB = 1024 * 1024
FEWEST = 8
"""Samples of one process below which nothing can be said of a trend."""


@dataclass(frozen=True)
class Growth:
    """What two levels of one quantity say: that after warming up, and that at the end."""

    what: str
    before: float
    after: float
    tolerance: float

    @property
    def is_a_leak(self) -> bool:
        """Whether it has grown by more than what comes and goes."""
        return self.after > self.before + self.tolerance

    def __str__(self) -> str:
        verdict = "GROWS" if self.is_a_leak else "level"
        return f"{self.what:<32}{self.before:>10.1f}{self.after:>10.1f}{self.tolerance:>10.1f}  {verdict}"


@dataclass
class Series:
    """One process's samples, oldest first."""

    name: str
    rss_mib: list[float] = field(default_factory=list)
    files: list[float] = field(default_factory=list)

    def growth(self) -> list[Growth]:
        """The medians of the second and of the last quarter: the first is warming up.

        Memory may grow by a tenth and 16 MiB: what allocators and caches still do after warming up. Files may
        grow by 8: connections that are made anew.

        Raises ValueError with too few samples.
        """
        memory, files = _levels(self.rss_mib), _levels(self.files)
        return [
            Growth(f"{self.name}, MiB", *memory, tolerance=0.1 * memory[0] + 16),
            Growth(f"{self.name}, open files", *files, tolerance=8),
        ]


def _levels(samples: list[float]) -> tuple[float, float]:
    if len(samples) < FEWEST:
        msg = f"{len(samples)} samples tell no trend; {FEWEST} are the least"
        raise ValueError(msg)
    quarter = len(samples) // 4
    return statistics.median(samples[quarter : 2 * quarter]), statistics.median(samples[-quarter:])


class Vitals:
    """Samples of several processes; `processes` names those that live now."""

    def __init__(self, processes: Callable[[], Iterable[tuple[str, psutil.Process]]]) -> None:
        self._processes = processes
        self._series: dict[tuple[str, int], Series] = {}

    def sample(self) -> None:
        """Take one sample of each; a process that has just ended gives none."""
        for name, process in self._processes():
            with suppress(psutil.NoSuchProcess):
                rss, files = process.memory_info().rss / MIB, process.num_fds()
                series = self._series.setdefault((name, process.pid), Series(f"{name} {process.pid}"))
                series.rss_mib.append(rss)
                series.files.append(files)

    def growth(self) -> list[Growth]:
        """What can be said of each process that lived long enough; raises ValueError if none did."""
        told = [each for each in self._series.values() if len(each.rss_mib) >= FEWEST]
        if not told:
            msg = "no process lived long enough to tell a trend"
            raise ValueError(msg)
        return [growth for series in told for growth in series.growth()]


def sample_for(vitals: Vitals, seconds: float, every_s: float, tick: Callable[[], None]) -> None:
    """Sample in steps of `every_s`; `tick` is called with each and raises what has gone wrong."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        vitals.sample()
        tick()
        pause(min(every_s, max(0.0, end - time.monotonic())))
