"""The stores under the contract. A new store adds one line to STORES and must pass everything."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.store_mysql import MySql
from tests.contract.stores import Server, ServerStore, Store

STORES = {
    "memory": "tests.contract.store_memory:Memory",
    "rocksdb": "tests.contract.store_rocksdb:RocksDb",
    "mysql": "tests.contract.store_mysql:MySql",
    "mysql-next": "tests.contract.store_mysql:MySqlNext",
    "redis-texts": "tests.contract.store_redis:RedisTexts",
    "redis-hashes": "tests.contract.store_redis:RedisHashes",
    "elasticsearch": "tests.contract.store_elasticsearch:Elasticsearch",
    "hbase": "tests.contract.store_hbase:HBase",
}
SERVERS = ("mysql", "mysql-next", "redis-texts", "redis-hashes", "elasticsearch", "hbase")
"""Those of STORES that are a service: a ServerStore."""
LOOKED_UP = ("mysql", "mysql-next", "redis-texts", "redis-hashes", "hbase")
"""Those of SERVERS that lookup joins read."""
IN_FAULTS = ("mysql-next",)
"""Those of STORES whose tests `make faults` runs, and `make test` does not."""


def marked(name: str) -> Any:
    """The name of a store as a parameter, marked `long` where `make faults` alone runs it."""
    return pytest.param(name, marks=pytest.mark.long) if name in IN_FAULTS else name


MYSQLS = tuple(map(marked, ("mysql", "mysql-next")))
"""The MariaDB of this machine, and the next release of it."""


class Started:
    """The stores that were asked for, each started once: the tests of one are a group."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._made: dict[str, Store] = {}

    def __getitem__(self, name: str) -> Store:
        if name not in self._made:
            module, _, class_ = STORES[name].partition(":")
            made: Store = getattr(importlib.import_module(module), class_)(self._factory.mktemp(name))
            try:
                made.start()
            except BaseException:
                made.stop()
                raise
            self._made[name] = made
        return self._made[name]

    def stop(self) -> None:
        for made in self._made.values():
            made.stop()


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """The stores by their names in STORES."""
    stores = Started(tmp_path_factory)
    yield stores
    stores.stop()


@pytest.fixture(scope="session")
def store(request: pytest.FixtureRequest, started: Started) -> Store:
    """Each store of STORES, one after the other."""
    return started[request.param]


@pytest.fixture(scope="module", params=MYSQLS)
def mysql(request: pytest.FixtureRequest, started: Started) -> MySql:
    """Each MySQL of STORES, for tests of what it alone has."""
    made = started[request.param]
    assert isinstance(made, MySql)
    return made


@pytest.fixture
def looked_up(store: Store) -> ServerStore:
    """The store as one that lookup joins read."""
    assert isinstance(store, ServerStore)
    return store


@pytest.fixture
def server(store: Store) -> Iterator[ServerStore]:
    """The store as a service, well and alive again after the test."""
    assert isinstance(store, ServerStore)
    yield store
    _heal(store.service)


def _heal(service: Server) -> None:
    if service.alive:
        service.thaw()
    else:
        service.restart()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test of a `store` each of them, a test of a `server` those that are a service, and so on."""
    if any(
        mark.name == "parametrize" and mark.args[0] == "store" for mark in metafunc.definition.iter_markers()
    ):
        return
    if "store" in metafunc.fixturenames:
        names = list(SERVERS if "server" in metafunc.fixturenames else STORES)
        names = list(LOOKED_UP) if "looked_up" in metafunc.fixturenames else names
        metafunc.parametrize("store", [*map(marked, names)], indirect=True, scope="session")
