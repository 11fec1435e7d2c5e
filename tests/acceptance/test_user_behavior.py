"""The sample job on shop events: the real file, and harder ones, against SQLite over the same file."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamjobs.demo.events import EventFeed
from streamjobs.demo.feed import FeedOptions
from streamjobs.demo.proof import Proof
from streamjobs.demo.scenario import HARD_LIMITS, shop_events
from streamjobs.demo.tables import BEHAVIOR_CONVERSION_TOPIC, BEHAVIOR_IMPRESSION_TOPIC
from tests.acceptance.court import Court
from tests.acceptance.event_files import invented, read, write_hard
from tests.acceptance.oracle import behavior_samples_of_file
from thrift_idl.codec import Limits

NEVER = 10**9
SKEWED = FeedOptions(
    lags={
        (BEHAVIOR_IMPRESSION_TOPIC, 1): NEVER,
        (BEHAVIOR_IMPRESSION_TOPIC, 3): 300,
        (BEHAVIOR_CONVERSION_TOPIC, 0): NEVER,
        (BEHAVIOR_CONVERSION_TOPIC, 2): 2_000,
    }
)
"""Two partitions are written when all others have been, two run behind."""


def assert_is_the_oracles(proof: Proof, path: Path) -> None:
    assert {key: row[:-1] for key, row in proof.samples.items()} == behavior_samples_of_file(path)
    assert (proof.line.late, proof.line.dead) == (0, 0)


@pytest.mark.services
@pytest.mark.parametrize("parallelism", [1, 2])
def test_the_real_file_gives_exactly_the_samples_of_a_batch_computation(
    court: Court, user_behavior: Path, parallelism: int
) -> None:
    proof = court.judge(shop_events(EventFeed(user_behavior)), parallelism)
    assert len(proof.samples) == 98_361
    assert proof.line.repeated == 0
    assert_is_the_oracles(proof, user_behavior)


@pytest.mark.services
@pytest.mark.parametrize("parallelism", [pytest.param(1, marks=pytest.mark.long), 2])
def test_the_real_file_made_hard_gives_exactly_the_samples_of_a_batch_computation(
    court: Court, user_behavior: Path, tmp_path: Path, parallelism: int
) -> None:
    path = write_hard(read(user_behavior), tmp_path / "hard.csv", seed=3)
    proof = court.judge(shop_events(EventFeed(path, 0.05, 30.0), 4, Limits(max_rows=20)), parallelism, SKEWED)
    assert_is_hard(proof)
    assert_is_the_oracles(proof, path)


@pytest.mark.services
@pytest.mark.parametrize("parallelism", [1, 2])
def test_an_invented_hard_file_gives_exactly_the_samples_of_a_batch_computation(
    court: Court, tmp_path: Path, parallelism: int
) -> None:
    path = write_hard(invented(8_000, seed=5), tmp_path / "hard.csv", seed=5)
    proof = court.judge(shop_events(EventFeed(path, 0.05, 600.0), 4, HARD_LIMITS), parallelism, SKEWED)
    assert_is_hard(proof)
    assert_is_the_oracles(proof, path)


def assert_is_hard(proof: Proof) -> None:
    assert proof.positives >= 0.1 * len(proof.samples)
    assert proof.line.repeated >= 0.04 * len(proof.samples)
    assert sum((row[-4] or 0) not in {0, 1} for row in proof.samples.values()) > 100
