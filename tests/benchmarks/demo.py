"""The whole demo: seconds and peak memory of all its processes."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from streamjobs.local.places import STATE_VARIABLE
from tests.benchmarks.meter import MemoryPeak

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class DemoRun:
    """Wall seconds, the exit status, and the peak memory (PSS, MiB) by process."""

    seconds: float
    exit_status: int
    peak_mb: float
    parts_mb: dict[str, float]
    series: list[tuple[float, float]]


def measure(impressions: int) -> DemoRun:
    """Run `streamjobs demo` in its own directory, with its own services."""
    with tempfile.TemporaryDirectory(prefix="streamjobs-bench-demo-") as directory:
        state = Path(directory) / ".streamjobs"
        state.mkdir()
        (state / "jars").symlink_to(ROOT / ".streamjobs" / "jars")
        start = time.monotonic()
        child = subprocess.Popen(
            [sys.executable, "-m", "streamjobs.cli.main", "demo", "--impressions", str(impressions)],
            cwd=directory,
            env={**os.environ, STATE_VARIABLE: str(state), "PYTHONPATH": str(ROOT)},
        )
        with MemoryPeak(child.pid) as memory:
            status = child.wait()
        seconds = time.monotonic() - start
    parts = dict(sorted(memory.peak.items(), key=lambda item: -item[1]))
    return DemoRun(round(seconds, 1), status, round(sum(parts.values()), 1), parts, memory.series)
