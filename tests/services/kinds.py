"""The kinds of services that all tests of a run share: how each is started, and its address.

Tests get only addresses, with which they cannot stop, freeze or reconfigure a service that others use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from streamjobs.local import places
from streamjobs.local.environment import Environment
from streamjobs.local.flink_config import SHORT_LIVED, TaskManagerSize
from streamjobs.local.kafka import KafkaSize
from streamjobs.local.mariadb import MariaDbOptions
from tests.patience import limit_s

DEADLINE_S = 180.0
"""Deadline of a start, long enough while the tests of several workers use all processors."""


@dataclass(frozen=True)
class Address:
    """The address of a service; each field is a string or a number."""


@dataclass(frozen=True)
class KafkaAddress(Address):
    """The broker; `bootstrap` is what clients connect to, e.g. "127.0.0.1:24242"."""

    bootstrap: str


@dataclass(frozen=True)
class FlinkAddress(Address):
    """The Flink cluster; `rest_url` is for `FlinkSession`, e.g. "http://127.0.0.1:24243"."""

    rest_url: str


@dataclass(frozen=True)
class MariaDbAddress(Address):
    """A server with a row binlog; `root` has no password."""

    host: str
    port: int
    url: str


@dataclass(frozen=True)
class ElasticsearchAddress(Address):
    """A node without TLS and password; `url` is e.g. "http://127.0.0.1:24246"."""

    url: str


@dataclass(frozen=True)
class HBaseAddress(Address):
    """The Thrift gateway of the cluster."""

    host: str
    port: int


Address_co = TypeVar("Address_co", bound=Address, covariant=True)


@dataclass(frozen=True)
class Kind(Generic[Address_co]):
    """A kind of service, one per run; `environment` makes it, `address` is read when it is ready."""

    name: str
    environment: Callable[[Path], Environment]
    address: Callable[[Environment], Address_co]
    type: Callable[..., Address_co]


KAFKA = Kind(
    "kafka",
    lambda root: Environment(
        root, flink=False, kafka_size=KafkaSize(heap_mb=512), deadline_s=limit_s(DEADLINE_S)
    ),
    lambda made: KafkaAddress(made.kafka.bootstrap),
    KafkaAddress,
)
SLOTS = 10
"""Two for each job of four workers, and two for a job that is still ending."""
UNHURRIED = {"heartbeat.timeout": "60 s"}
"""No test kills this cluster, and a TaskManager that starts three jobs at once may not answer for long."""
FLINK = Kind(
    "flink",
    lambda root: Environment(
        root,
        kafka=False,
        slots=SLOTS,
        taskmanager_size=TaskManagerSize(
            heap_mb=1400,
            managed_mb=200 * SLOTS,
            network_mb=192,
            off_heap_mb=512,
            metaspace_mb=768,
            java_options=SHORT_LIVED,
        ),
        flink_settings=UNHURRIED,
        deadline_s=limit_s(DEADLINE_S),
    ),
    lambda made: FlinkAddress(made.flink.rest_url),
    FlinkAddress,
)
MARIADB = Kind(
    "mariadb",
    lambda root: Environment(root, kafka=False, flink=False, mariadb=True, deadline_s=limit_s(DEADLINE_S)),
    lambda made: MariaDbAddress(made.mariadb.host, made.mariadb.port, made.mariadb.url),
    MariaDbAddress,
)
MARIADB_NEXT = Kind(
    "mariadb-next",
    lambda root: Environment(
        root,
        kafka=False,
        flink=False,
        mariadb=MariaDbOptions(root=places.mariadb_next()),
        deadline_s=limit_s(DEADLINE_S),
    ),
    lambda made: MariaDbAddress(made.mariadb.host, made.mariadb.port, made.mariadb.url),
    MariaDbAddress,
)
ELASTICSEARCH = Kind(
    "elasticsearch",
    lambda root: Environment(
        root, kafka=False, flink=False, elasticsearch=True, deadline_s=limit_s(DEADLINE_S)
    ),
    lambda made: ElasticsearchAddress(made.elasticsearch.url),
    ElasticsearchAddress,
)
HBASE = Kind(
    "hbase",
    lambda root: Environment(root, kafka=False, flink=False, hbase=True, deadline_s=limit_s(DEADLINE_S)),
    lambda made: HBaseAddress(made.hbase.host, made.hbase.port),
    HBaseAddress,
)
_ALL: tuple[Kind[Address], ...] = (KAFKA, FLINK, MARIADB, MARIADB_NEXT, ELASTICSEARCH, HBASE)
KINDS: Mapping[str, Kind[Address]] = {kind.name: kind for kind in _ALL}
