"""Measures a run: CPU and memory of process trees from /proc, and a running job's rows by REST."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from streamjobs.job.cluster.rest import FlinkRest
from tests.patience import limit_s

_TICKS = os.sysconf("SC_CLK_TCK")
_POLL_S = 0.1


def tree(pid: int) -> list[psutil.Process]:
    """Return a process and all its live descendants."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_s(pid: int) -> dict[str, float]:
    """Return the CPU seconds (user and system) of a tree so far, by kind of process: `java`, `python`."""
    spent: dict[str, float] = {}
    for process in tree(pid):
        try:
            line = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii")
        except OSError:
            continue
        name, _, rest = line.partition("(")[2].rpartition(")")
        fields = rest.split()
        kind = "python" if name.startswith("python") else name
        spent[kind] = spent.get(kind, 0.0) + (int(fields[11]) + int(fields[12])) / _TICKS
    return spent


def pss_mb(pid: int) -> dict[str, float]:
    """Return the memory of a tree in MiB by process name; a shared page counts by its share."""
    used: dict[str, float] = {}
    for process in tree(pid):
        try:
            text = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")
            name = _label(process)
        except (OSError, psutil.Error):
            continue
        match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
        if match:
            used[name] = used.get(name, 0.0) + int(match[1]) / 1024
    return used


def _label(process: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    for word, label in (
        ("kafka.Kafka", "kafka"),
        ("StandaloneSessionCluster", "jobmanager"),
        ("TaskManagerRunner", "taskmanager"),
        ("PythonGatewayServer", "client jvm"),
        ("streamjobs.job.planner.child", "client"),
        ("python_workers.py", "python workers"),
        ("fn_execution", "python workers"),
        ("warden", "warden"),
    ):
        if word in command:
            return label
    return process.name()


@dataclass(frozen=True)
class Sample:
    """Rows and CPU seconds at one time."""

    at_s: float
    rows: int
    cpu: dict[str, float]


@dataclass(frozen=True)
class Rate:
    """A job's steady state between two samples. CPU in seconds per million rows, by kind of process."""

    rows: int
    seconds: float
    rows_per_s: float
    cpu_s_per_million: dict[str, float]

    @property
    def cpu(self) -> float:
        """Return the CPU seconds per million rows of all processes."""
        return sum(self.cpu_s_per_million.values())

    @classmethod
    def between(cls, first: Sample, last: Sample) -> Rate:
        """Return the rate between two samples."""
        rows, seconds = last.rows - first.rows, last.at_s - first.at_s
        return cls(
            rows, round(seconds, 2), round(rows / seconds, 1),
            {
                kind: round((spent - first.cpu.get(kind, 0.0)) / rows * 1e6, 3)
                for kind, spent in last.cpu.items()
            },
        )  # fmt: skip


class RowMeter:
    """Counts the rows of a running job at the operators whose metric matches `pattern`."""

    def __init__(self, rest: FlinkRest, job_id: str, pattern: str) -> None:
        self._rest = rest
        self._job_id = job_id
        wanted = re.compile(pattern)
        self._names = {
            vertex: [name for name in rest.metric_names(job_id, vertex) if wanted.search(name)]
            for vertex in rest.job(job_id).vertices
        }

    @property
    def found(self) -> int:
        """Return how many such metrics exist yet; one per subtask."""
        return sum(map(len, self._names.values()))

    def rows(self) -> int:
        """Return the number of rows so far."""
        return sum(
            int(value)
            for vertex, names in self._names.items()
            for value in self._rest.metrics(self._job_id, vertex, names).values()
            if value.isdigit()
        )


def steady(
    rest: FlinkRest, job_id: str, pattern: str, total: int, taskmanager: int, *,
    window: tuple[float, float], subtasks: int, watch: Callable[[], None], deadline_s: float = 1200.0,
) -> tuple[Rate, list[Sample]]:  # fmt: skip
    """Watch a job that reads a full topic; return its rate between two fractions of `total` rows.

    Raises AssertionError when the job does not reach them in time, or ends before it was seen there.
    """
    low, high = (int(total * fraction) for fraction in window)
    deadline = time.monotonic() + limit_s(deadline_s)
    meter = RowMeter(rest, job_id, pattern)
    samples: list[Sample] = []
    while not samples or samples[-1].rows < high:
        assert time.monotonic() < deadline, f"{samples[-1:]} of {total} rows"
        if meter.found < subtasks:
            meter = RowMeter(rest, job_id, pattern)
        rows = meter.rows()
        if not samples or rows != samples[-1].rows:
            samples.append(Sample(time.monotonic(), rows, cpu_s(taskmanager)))
        watch()
        assert rest.job(job_id).state != "FINISHED" or samples[-1].rows >= high, "too few rows to measure"
        time.sleep(_POLL_S)
    first = next(sample for sample in samples if sample.rows >= low)
    assert first is not samples[-1], f"{total} rows are too few to measure: they were seen once in {window}"
    return Rate.between(first, samples[-1]), samples


class MemoryPeak:
    """Samples the memory of a process tree until it ends; `peak` is the moment of the largest sum."""

    def __init__(self, pid: int, every_s: float = 0.5) -> None:
        self.peak: dict[str, float] = {}
        self.series: list[tuple[float, float]] = []
        self._pid = pid
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> MemoryPeak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        start = time.monotonic()
        while not self._stop.wait(self._every_s):
            now = pss_mb(self._pid)
            self.series.append((round(time.monotonic() - start, 1), round(sum(now.values()), 1)))
            if sum(now.values()) > sum(self.peak.values()):
                self.peak = {name: round(size, 1) for name, size in now.items()}


def median(rates: Sequence[Rate]) -> Rate:
    """Return the rate with the median of rows per second."""
    return sorted(rates, key=lambda rate: rate.rows_per_s)[len(rates) // 2]
