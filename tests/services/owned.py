"""Fixtures of services that belong to one module: to kill, freeze and configure, or for fixed names.

A module that needs other settings overrides the `..._options` fixture.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamjobs.local import places
from streamjobs.local.environment import Environment
from streamjobs.local.flink_config import SHORT_LIVED, TaskManagerSize
from streamjobs.local.kafka import KafkaServer
from streamjobs.local.mariadb import MariaDbOptions, MariaDbServer
from streamjobs.local.redis import RedisOptions, RedisServer
from tests.integration.given_server import MYSQL_URL
from tests.patience import limit_s
from tests.services.kinds import DEADLINE_S


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """Yield the module's own broker, to kill it, or for fixed topics or all dead letters."""
    with Environment(tmp_path_factory.mktemp("kafka"), flink=False, deadline_s=limit_s(DEADLINE_S)) as made:
        yield made.kafka


ON_EVERY_RELEASE = re.compile(r"(contract/test_(binlog|ddl)|integration/test_(capture|snapshot))_\w+\.py$")
"""Modules whose tests run on each MariaDB release: those that read its log and its tables."""
RELEASES = ("10.11", "11.8")
"""The MariaDB of the machine (Debian 12), and the one of `make mariadb-next`."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests that read a MariaDB on each release, unless MYSQL_URL names the server."""
    if "mariadb_root" in metafunc.fixturenames and ON_EVERY_RELEASE.search(str(metafunc.definition.path)):
        releases = ("given",) if MYSQL_URL in os.environ else RELEASES
        metafunc.parametrize("mariadb_root", releases, indirect=True, scope="module")


@pytest.fixture(scope="module")
def mariadb_root(request: pytest.FixtureRequest) -> Path | None:
    """Return where the module's MariaDB is installed; None: it is the machine's."""
    return places.mariadb_next() if getattr(request, "param", "") == "11.8" else None


@pytest.fixture(scope="module")
def mariadb_options(mariadb_root: Path | None) -> MariaDbOptions:
    """Return the options of the module's own MariaDB."""
    return MariaDbOptions(root=mariadb_root)


@pytest.fixture(scope="module")
def own_mariadb(
    tmp_path_factory: pytest.TempPathFactory, mariadb_options: MariaDbOptions
) -> Iterator[MariaDbServer]:
    """Yield the module's own database server."""
    root = tmp_path_factory.mktemp("mariadb")
    with Environment(
        root, kafka=False, flink=False, mariadb=mariadb_options, deadline_s=limit_s(DEADLINE_S)
    ) as made:
        yield made.mariadb


@pytest.fixture(scope="module")
def redis_options() -> RedisOptions:
    """Return the options of the module's own Redis."""
    return RedisOptions()


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory, redis_options: RedisOptions) -> Iterator[RedisServer]:
    """Yield the module's own Redis; none is shared, because it starts very quickly."""
    root = tmp_path_factory.mktemp("redis")
    with Environment(
        root, kafka=False, flink=False, redis=redis_options, deadline_s=limit_s(DEADLINE_S)
    ) as made:
        yield made.redis


@pytest.fixture(scope="session")
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """Yield Kafka and Flink for tests that kill TaskManagers; modules of one group use it in turn."""
    root = tmp_path_factory.mktemp("cluster")
    with Environment(
        root,
        slots=2,
        taskmanager_size=TaskManagerSize(java_options=SHORT_LIVED),
        deadline_s=limit_s(DEADLINE_S),
    ) as made:
        yield made
