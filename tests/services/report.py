"""Additions to pytest's report: each failure when it happens, and how long tests took."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.services.groups import DURATIONS, group_of

SLOWEST = 50


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-durations",
        action="store_true",
        help=f"write {DURATIONS.name} with the durations of this run's tests",
    )


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Told(config), "told")


class Told:
    """Receives the reports of all workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and reporter is not None:
            writer = self._config.get_terminal_writer()
            if writer.width_of_current_line:
                writer.line()
            reporter.write_line(f"FAILED in {report.when}: {report.nodeid}: {reason(report)}", red=True)

    def pytest_sessionfinish(self) -> None:
        if self._config.getoption("--write-durations"):
            write(self._seconds, DURATIONS)


def reason(report: pytest.TestReport) -> str:
    """Return why a test failed, in one line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = str(crash.message if crash else report.longrepr).strip().splitlines()
    return (lines[0] if crash else lines[-1]) if lines else "no reason given"


def write(seconds: Mapping[str, float], path: Path) -> None:
    """Write the seconds of each group, and of the slowest tests with their set-up."""
    groups: dict[str, float] = defaultdict(float)
    for nodeid, taken in seconds.items():
        groups[group_of(nodeid)] += taken
    text = {"groups": _longest(groups), "slowest": dict(list(_longest(seconds).items())[:SLOWEST])}
    path.write_text(json.dumps(text, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _longest(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: round(taken, 1) for name, taken in sorted(seconds.items(), key=lambda one: -one[1])}
