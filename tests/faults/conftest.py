"""Fixtures of fault tests: each test has a live TaskManager and an empty store.

The fixture imports the arena: pytest may load this file before it knows which warnings of the clients to
ignore.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from streamjobs.local.environment import Environment
from streamjobs.local.flink import FlinkCluster
from streamjobs.local.kafka import KafkaServer
from tests.integration.waiting import wait_for
from tests.patience import limit_s
from tests.services.kinds import FlinkAddress

if TYPE_CHECKING:
    from tests.faults.arena import Arena

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder: `make faults` runs all of them, and the long tests of other folders."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker("fault")


@pytest.fixture
def cluster(own_cluster: Environment) -> Environment:
    if not own_cluster.flink.taskmanagers[-1].alive:
        own_cluster.flink.start_taskmanager()
    if not own_cluster.kafka.alive:
        own_cluster.kafka.restart()
    # A TaskManager may end because of a bug of Flink while it ends the previous job; then it starts again.
    wait_for(lambda: _has_free_slots(own_cluster.flink), "a TaskManager with all its slots free")
    return own_cluster


def _has_free_slots(flink: FlinkCluster) -> bool:
    known = httpx.get(f"{flink.rest_url}/taskmanagers", timeout=limit_s(10)).json()["taskmanagers"]
    return any(each["freeSlots"] == flink.slots for each in known)


@pytest.fixture
def arena(cluster: Environment, tmp_path: Path) -> Iterator[Arena]:
    from tests.faults.arena import Arena  # noqa: PLC0415

    arena = Arena(cluster.kafka, cluster.flink, tmp_path / "rocksdb")
    yield arena
    arena.rest.close()


@pytest.fixture
def shared_arena(own_kafka: KafkaServer, flink: FlinkAddress, tmp_path: Path) -> Iterator[Arena]:
    """Yield an arena on the cluster of all tests, for faults that do not affect other jobs."""
    from tests.faults.arena import Arena  # noqa: PLC0415

    arena = Arena(own_kafka, flink, tmp_path / "rocksdb")
    yield arena
    arena.rest.close()
