"""One real Kafka and Flink for all acceptance tests, and a loud word when the real input is not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from streamjobs.demo.feed import FeedOptions
from streamjobs.demo.proof import Proof, RunOptions, forget, prove
from streamjobs.demo.runner import JobRunner
from streamjobs.demo.scenario import Scenario
from streamjobs.job.session import FlinkSession
from streamjobs.local.environment import Environment

USER_BEHAVIOR = Path(__file__).parents[3] / "shared" / "data" / "user_behavior.csv.gz"


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    with Environment(tmp_path_factory.mktemp("cluster"), slots=2) as environment:
        yield environment


class Court:
    """Runs scenarios on the cluster, each on empty topics and an empty store."""

    def __init__(self, bootstrap: str, runner: JobRunner, store: Path) -> None:
        self.bootstrap = bootstrap
        self._runner = runner
        self._store = store

    def judge(self, scenario: Scenario, parallelism: int, options: FeedOptions | None = None) -> Proof:
        """Run the scenario; fail unless it balances and equals the generator's truth."""
        forget(scenario, self.bootstrap, self._store)
        run = RunOptions(self.bootstrap, self._store, parallelism, options or FeedOptions())
        proof = prove(scenario, self._runner, run)
        assert str(proof.table) == f"all {len(proof.samples)} equal"
        assert str(proof.topic) == f"all {len(proof.samples)} equal"
        assert str(proof.letters) == f"all {len(proof.dead_letters)} equal"
        assert proof.line.difference == 0, str(proof.line)
        assert proof.line.pending == 0
        assert proof.ok
        return proof


@pytest.fixture
def court(cluster: Environment, tmp_path: Path) -> Court:
    return Court(cluster.kafka.bootstrap, FlinkSession(cluster.flink.rest_url), tmp_path / "rocksdb")


@pytest.fixture(scope="session")
def user_behavior() -> Path:
    if not USER_BEHAVIOR.is_file():
        pytest.skip(f"the real input {USER_BEHAVIOR} is not there")
    return USER_BEHAVIOR


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it where nobody overlooks it: a skip alone is easily missed."""
    if not USER_BEHAVIOR.is_file():
        terminalreporter.section("REAL INPUT NOT JUDGED", red=True, bold=True)
        terminalreporter.line(
            f"{USER_BEHAVIOR} is not there: the acceptance on real shop events did not run."
        )
