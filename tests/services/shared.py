"""Fixtures of the services that all tests of a run share, and the names that keep their tests apart."""

from __future__ import annotations

import itertools
import os

import pytest

from streamjobs.job.planner import lease
from streamjobs.job.planner.lease import DIRECTORY_VARIABLE
from tests.services.host import ServiceHost, address_of
from tests.services.kinds import (
    ELASTICSEARCH,
    FLINK,
    HBASE,
    KAFKA,
    MARIADB,
    MARIADB_NEXT,
    ElasticsearchAddress,
    FlinkAddress,
    HBaseAddress,
    KafkaAddress,
    MariaDbAddress,
)

_numbers = itertools.count(1)
_HOST = pytest.StashKey[ServiceHost]()


def unique_name(prefix: str) -> str:
    """Return a name that no other test of the run has, e.g. "item_4711_1": for topics, databases, indexes."""
    return f"{prefix}_{os.getpid()}_{next(_numbers)}"


@pytest.fixture(scope="session")
def kafka() -> KafkaAddress:
    """Return the broker of all tests; topics have unique names. Its dead letters are those of all jobs."""
    return address_of(KAFKA)


@pytest.fixture(scope="session")
def flink() -> FlinkAddress:
    """Return the cluster of all tests; each test cancels the jobs that it started."""
    return address_of(FLINK)


@pytest.fixture(scope="session")
def mariadb() -> MariaDbAddress:
    """Return the database server of all tests; databases and users have unique names; change no globals."""
    return address_of(MARIADB)


@pytest.fixture(scope="session")
def mariadb_next() -> MariaDbAddress:
    """Return the newer database server of all tests, to use like `mariadb`."""
    return address_of(MARIADB_NEXT)


@pytest.fixture(scope="session")
def elasticsearch() -> ElasticsearchAddress:
    """Return the search node of all tests; indexes have unique names."""
    return address_of(ELASTICSEARCH)


@pytest.fixture(scope="session")
def hbase() -> HBaseAddress:
    """Return the HBase of all tests; tables have unique names."""
    return address_of(HBASE)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        host = config.stash[_HOST] = ServiceHost()
        host.start()
        os.environ[DIRECTORY_VARIABLE] = str(host.root / "planner")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    host = config.stash.get(_HOST, None)
    if host is not None and host.used() and terminalreporter.stats.keys() & {"failed", "error"}:
        terminalreporter.line(f"the logs of the shared services are kept in {host.root}")


def pytest_unconfigure(config: pytest.Config) -> None:
    host = config.stash.get(_HOST, None)
    if host is not None:
        lease.stop(host.root / "planner")
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        host.stop(keep_logs=bool(reporter and reporter.stats.keys() & {"failed", "error"}))
