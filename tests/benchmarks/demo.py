"""The demo as a whole: seconds and peak memory of all its processes."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass

from streamjobs.local.places import dev_root
from streamjobs.local.state import running
from tests.benchmarks.meter import MemoryPeak


@dataclass(frozen=True)
class DemoRun:
    """Wall seconds, the exit status, and the memory (PSS, MiB) at its peak, by process."""

    seconds: float
    exit_status: int
    peak_mb: float
    parts_mb: dict[str, float]
    series: list[tuple[float, float]]


def measure(impressions: int) -> DemoRun:
    """Run `streamjobs demo`, with services of its own."""
    assert running(dev_root()) is None, "`streamjobs dev down` first: the demo would use those services"
    start = time.monotonic()
    child = subprocess.Popen(
        [sys.executable, "-m", "streamjobs.cli.main", "demo", "--impressions", str(impressions)],
        stdout=subprocess.DEVNULL,
    )
    with MemoryPeak(child.pid) as memory:
        status = child.wait()
    seconds = time.monotonic() - start
    parts = dict(sorted(memory.peak.items(), key=lambda item: -item[1]))
    return DemoRun(round(seconds, 1), status, round(sum(parts.values()), 1), parts, memory.series)
