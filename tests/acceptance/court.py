"""Runs scenarios on a cluster, and fails unless all of it is exact."""

from __future__ import annotations

from pathlib import Path

from streamjobs.demo.feed import FeedOptions
from streamjobs.demo.proof import Proof, RunOptions, forget, prove
from streamjobs.demo.runner import JobRunner
from streamjobs.demo.scenario import Scenario


class Court:
    """Judges scenarios, each on empty topics and an empty table."""

    def __init__(self, bootstrap: str, runner: JobRunner, store: Path) -> None:
        self.bootstrap = bootstrap
        self._runner = runner
        self._store = store

    def judge(self, scenario: Scenario, parallelism: int, options: FeedOptions | None = None) -> Proof:
        """Run the scenario; fail unless it balances and equals the generator's truth."""
        forget(scenario, self.bootstrap, self._store)
        run = RunOptions(self.bootstrap, self._store, parallelism, options or FeedOptions())
        proof = prove(scenario, self._runner, run)
        assert proof.line.difference == 0, f"{proof.line}; {proof.table}"
        assert str(proof.table) == f"all {len(proof.samples)} equal", str(proof.table)
        assert str(proof.topic) == f"all {len(proof.samples)} equal", str(proof.topic)
        assert str(proof.letters) == f"all {len(proof.dead_letters)} equal", str(proof.letters)
        assert proof.line.pending == 0
        assert proof.ok
        return proof
