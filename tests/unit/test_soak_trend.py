"""What the soak calls a leak: growth after warming up, and not what comes and goes."""

from __future__ import annotations

import os

import psutil
import pytest

from tests.soak.vitals import FEWEST, Series, Vitals

HOUR = 240


def _series(rss_mib: list[float], files: list[float] | None = None) -> Series:
    return Series("worker 7", rss_mib, files or [40.0] * len(rss_mib))


def _leaks(series: Series) -> list[str]:
    return [each.what for each in series.growth() if each.is_a_leak]


def test_a_warm_up_and_a_saw_tooth_are_no_leak() -> None:
    warming = [20.0 + min(n, 60) for n in range(HOUR)]
    saw = [100.0 + n % 12 for n in range(HOUR)]
    assert _leaks(_series(warming)) == []
    assert _leaks(_series(saw)) == []


def test_memory_that_creeps_up_is_a_leak() -> None:
    """Half a MiB a minute: 30 MiB in the hour, 700 in a day."""
    assert _leaks(_series([100.0 + n / 8 + n % 12 for n in range(HOUR * 2)])) == ["worker 7, MiB"]


def test_files_that_stay_open_are_a_leak() -> None:
    series = _series([100.0] * HOUR, [40.0 + n // 12 for n in range(HOUR)])
    assert _leaks(series) == ["worker 7, open files"]
    assert "GROWS" in str(series.growth()[1])


def test_too_few_samples_are_refused_instead_of_called_level() -> None:
    with pytest.raises(ValueError, match="7 samples tell no trend"):
        _series([100.0] * (FEWEST - 1)).growth()
    with pytest.raises(ValueError, match="no process lived long enough"):
        Vitals(list).growth()


def test_a_living_process_is_sampled_and_one_that_ended_is_left_out() -> None:
    me, ended = psutil.Process(os.getpid()), psutil.Popen(["true"])
    ended.wait()
    vitals = Vitals(lambda: [("ended", ended), ("me", me)])
    for _ in range(FEWEST):
        vitals.sample()
    memory, files = vitals.growth()
    assert memory.what == f"me {me.pid}, MiB"
    assert memory.before > 1
    assert files.before > 0
