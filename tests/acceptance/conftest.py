"""What acceptance tests share, and a loud word when the real input is not there.

Clients are imported inside the fixtures: pytest may load this file before it knows which warnings of theirs
to ignore.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streamjobs.local.kafka import KafkaServer
from tests.services.kinds import FlinkAddress

if TYPE_CHECKING:
    from tests.acceptance.court import Court

USER_BEHAVIOR = Path(__file__).parents[3] / "shared" / "data" / "user_behavior.csv.gz"


@pytest.fixture
def court(own_kafka: KafkaServer, flink: FlinkAddress, tmp_path: Path) -> Court:
    """Scenarios have fixed topics, and judge all dead letters: the broker is the module's own."""
    with warnings.catch_warnings():  # PyFlink deprecates its own names while it is imported
        warnings.simplefilter("ignore", DeprecationWarning)
        from streamjobs.job.cluster.session import FlinkSession  # noqa: PLC0415
    from tests.acceptance.court import Court  # noqa: PLC0415

    return Court(own_kafka.bootstrap, FlinkSession(flink.rest_url), tmp_path / "rocksdb")


@pytest.fixture(scope="session")
def user_behavior() -> Path:
    if not USER_BEHAVIOR.is_file():
        pytest.skip(f"the real input {USER_BEHAVIOR} is not there")
    return USER_BEHAVIOR


BINLOGS = USER_BEHAVIOR.parent / "binlogs"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it where nobody overlooks it: a skip alone is easily missed."""
    if not USER_BEHAVIOR.is_file():
        terminalreporter.section("REAL INPUT NOT JUDGED", red=True, bold=True)
        terminalreporter.line(
            f"{USER_BEHAVIOR} is not there: the acceptance on real shop events did not run."
        )
    if not BINLOGS.is_dir():
        terminalreporter.section("RECORDED BINLOGS NOT JUDGED", red=True, bold=True)
        terminalreporter.line(f"{BINLOGS} is not there: capture was not compared with what SELECT returned.")
