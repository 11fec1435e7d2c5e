"""Where fault tests run their jobs: each test finds a living TaskManager and an empty store.

The arena is imported inside its fixture: pytest may load this file before it knows which warnings of the
clients to ignore.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streamjobs.local.environment import Environment
from streamjobs.local.kafka import KafkaServer
from tests.services.kinds import FlinkAddress

if TYPE_CHECKING:
    from tests.faults.arena import Arena

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder: `make faults` runs all of them, and the long ones of other folders."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("fault")


@pytest.fixture
def cluster(own_cluster: Environment) -> Environment:
    if not own_cluster.flink.taskmanagers[-1].alive:
        own_cluster.flink.start_taskmanager()
    if not own_cluster.kafka.alive:
        own_cluster.kafka.restart()
    return own_cluster


@pytest.fixture
def arena(cluster: Environment, tmp_path: Path) -> Iterator[Arena]:
    from tests.faults.arena import Arena  # noqa: PLC0415

    arena = Arena(cluster.kafka, cluster.flink, tmp_path / "rocksdb")
    yield arena
    arena.rest.close()


@pytest.fixture
def shared_arena(own_kafka: KafkaServer, flink: FlinkAddress, tmp_path: Path) -> Iterator[Arena]:
    """An arena on the cluster of all tests, for faults that no other job feels."""
    from tests.faults.arena import Arena  # noqa: PLC0415

    arena = Arena(own_kafka, flink, tmp_path / "rocksdb")
    yield arena
    arena.rest.close()
