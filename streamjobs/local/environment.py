"""A set of real services in one directory: started and stopped together, never left running."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from streamjobs.errors import ServiceError
from streamjobs.local import state
from streamjobs.local.elasticsearch import ElasticsearchOptions, ElasticsearchServer
from streamjobs.local.flink import FlinkCluster
from streamjobs.local.flink_config import JobManagerSize, TaskManagerSize
from streamjobs.local.hbase import HBaseCluster, HBaseOptions
from streamjobs.local.kafka import KafkaServer, KafkaSize
from streamjobs.local.mariadb import MariaDbOptions, MariaDbServer
from streamjobs.local.ports import PortLease
from streamjobs.local.processes import ProcessGroup
from streamjobs.local.redis import RedisOptions, RedisServer
from streamjobs.local.service import Service


class Environment:
    """Kafka, Flink and databases for one test, one demo run or one developer.

        with Environment(tmp_path, slots=2, mariadb=True) as env:
            env.kafka.bootstrap   # "127.0.0.1:24242"
            env.flink.rest_url    # "http://127.0.0.1:24243"
            env.mariadb.url       # "mysql://root@127.0.0.1:24244"
            env.redis.url         # "redis://127.0.0.1:24245", with redis=True
            env.elasticsearch.url # "http://127.0.0.1:24246", with elasticsearch=True
            env.hbase.port        # 24247, of the Thrift gateway, with hbase=True

    Promise: nothing outside `root` is written; all ports are on 127.0.0.1; no process and no port is left
    after the block, or after the process has died for any reason. Data and logs stay in `root`.
    `lease` has ports that were reserved before, to know addresses early; it is closed with the environment.
    Without `with`: `start()`, `stop()`. Raises ServiceError when a service does not come up.
    """

    def __init__(
        self,
        root: Path,
        *,
        kafka: bool = True,
        flink: bool = True,
        mariadb: bool | MariaDbOptions = False,
        redis: bool | RedisOptions = False,
        elasticsearch: bool | ElasticsearchOptions = False,
        hbase: bool | HBaseOptions = False,
        taskmanagers: int = 1,
        slots: int = 2,
        kafka_port: int | None = None,
        rest_port: int | None = None,
        mariadb_port: int | None = None,
        redis_port: int | None = None,
        elasticsearch_port: int | None = None,
        hbase_port: int | None = None,
        lease: PortLease | None = None,
        kafka_size: KafkaSize | None = None,
        jobmanager_size: JobManagerSize | None = None,
        taskmanager_size: TaskManagerSize | None = None,
        kafka_settings: Mapping[str, str] | None = None,
        flink_settings: Mapping[str, str] | None = None,
        deadline_s: float = 90.0,
    ) -> None:
        self.root = root.resolve()
        self._want_kafka = kafka
        self._want_flink = flink
        self._want_mariadb = mariadb
        self._want_redis = redis
        self._want_elasticsearch = elasticsearch
        self._want_hbase = hbase
        self._taskmanagers = taskmanagers
        self._slots = slots
        self._kafka_port = kafka_port
        self._rest_port = rest_port
        self._mariadb_port = mariadb_port
        self._redis_port = redis_port
        self._elasticsearch_port = elasticsearch_port
        self._hbase_port = hbase_port
        self._kafka_size = kafka_size
        self._jobmanager_size = jobmanager_size
        self._taskmanager_size = taskmanager_size
        self._kafka_settings = kafka_settings
        self._flink_settings = flink_settings
        self._deadline_s = deadline_s
        self._group: ProcessGroup | None = None
        self._lease = lease or PortLease()
        self._kafka: KafkaServer | None = None
        self._flink: FlinkCluster | None = None
        self._mariadb: MariaDbServer | None = None
        self._redis: RedisServer | None = None
        self._elasticsearch: ElasticsearchServer | None = None
        self._hbase: HBaseCluster | None = None
        self._stores: list[Service] = []

    @property
    def kafka(self) -> KafkaServer:
        """Return the broker; raise ServiceError when this environment has none."""
        if self._kafka is None:
            msg = f"no Kafka runs in {self.root}"
            raise ServiceError(msg)
        return self._kafka

    @property
    def flink(self) -> FlinkCluster:
        """Return the Flink cluster; raise ServiceError when this environment has none."""
        if self._flink is None:
            msg = f"no Flink runs in {self.root}"
            raise ServiceError(msg)
        return self._flink

    @property
    def mariadb(self) -> MariaDbServer:
        """Return the MariaDB; raise ServiceError when this environment has none."""
        if self._mariadb is None:
            msg = f"no MariaDB runs in {self.root}"
            raise ServiceError(msg)
        return self._mariadb

    @property
    def redis(self) -> RedisServer:
        """Return the Redis; raise ServiceError when this environment has none."""
        if self._redis is None:
            msg = f"no Redis runs in {self.root}"
            raise ServiceError(msg)
        return self._redis

    @property
    def elasticsearch(self) -> ElasticsearchServer:
        """Return the Elasticsearch; raise ServiceError when this environment has none."""
        if self._elasticsearch is None:
            msg = f"no Elasticsearch runs in {self.root}"
            raise ServiceError(msg)
        return self._elasticsearch

    @property
    def hbase(self) -> HBaseCluster:
        """Return the HBase; raise ServiceError when this environment has none."""
        if self._hbase is None:
            msg = f"no HBase runs in {self.root}"
            raise ServiceError(msg)
        return self._hbase

    @property
    def environment_id(self) -> str:
        """Return the value of STREAMJOBS_ENVIRONMENT in every process of this environment."""
        return self._running().environment_id

    def start(self, on_launched: Callable[[Environment], None] = lambda _: None) -> Environment:
        """Start everything and wait until it is ready; leave no process running when that fails.

        `on_launched` is called when all addresses are known and before anything answers.
        """
        if self._group is not None:
            msg = f"the environment in {self.root} was started before"
            raise ServiceError(msg)
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                msg = f"another process is starting an environment in {self.root}"
                raise ServiceError(msg) from exc
            state.clear_leftovers(self.root)
            try:
                self._start(on_launched)
            except BaseException:  # also Ctrl-C: nothing may be left running
                self.stop()
                raise
        return self

    def stop(self) -> None:
        """End all processes and release the ports; may be called again."""
        if self._group is not None:
            self._group.stop()
            state.forget(self.root)
            self._group = None
        self._lease.close()
        self._kafka = self._flink = self._mariadb = self._redis = None
        self._elasticsearch = self._hbase = None
        self._stores = []
        shutil.rmtree(self.root / "tmp", ignore_errors=True)

    def detach(self) -> None:
        """Keep the services running without this process, until `state.stop(root)`."""
        self._running().detach()
        if known := state.running(self.root):
            state.remember(replace(known, owner_pid=None))
        self._lease.close()
        self._group = None

    def __enter__(self) -> Environment:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _running(self) -> ProcessGroup:
        if self._group is None:
            msg = f"the environment in {self.root} is not running"
            raise ServiceError(msg)
        return self._group

    def _start(self, on_launched: Callable[[Environment], None]) -> None:
        shutil.rmtree(self.root / "tmp", ignore_errors=True)
        (self.root / "tmp").mkdir()
        self._group = group = ProcessGroup(self.root)
        known = state.RunningEnvironment(self.root, group.environment_id, group.warden_pid, os.getpid())
        state.remember(known)
        if self._want_flink:
            self._flink = FlinkCluster(
                group,
                self._lease,
                rest_port=self._rest_port,
                taskmanagers=self._taskmanagers,
                slots=self._slots,
                jobmanager_size=self._jobmanager_size,
                taskmanager_size=self._taskmanager_size,
                settings=self._flink_settings,
                deadline_s=self._deadline_s,
            )
            self._flink.launch()
        self._launch_stores(group)
        if self._want_kafka:
            self._kafka = KafkaServer(
                group,
                self._lease,
                port=self._kafka_port,
                size=self._kafka_size,
                settings=self._kafka_settings,
                deadline_s=self._deadline_s,
            )
            self._kafka.launch()
        on_launched(self)
        if self._kafka is not None:
            self._kafka.await_ready()
        if self._flink is not None:
            self._flink.await_ready()
        for store in self._stores:
            store.await_ready()
        state.remember(
            replace(
                known,
                bootstrap=self._kafka.bootstrap if self._kafka else None,
                rest_url=self._flink.rest_url if self._flink else None,
                services=tuple(self._records()),
            )
        )

    def _launch_stores(self, group: ProcessGroup) -> None:
        """Start the requested services other than Kafka and Flink; each is in `_stores`, with its address."""
        if self._want_mariadb:
            options = self._want_mariadb if isinstance(self._want_mariadb, MariaDbOptions) else None
            self._mariadb = MariaDbServer(
                group, self._lease, port=self._mariadb_port, options=options, deadline_s=self._deadline_s
            )
            self._stores.append(self._mariadb)
        if self._want_redis:
            choice = self._want_redis if isinstance(self._want_redis, RedisOptions) else None
            self._redis = RedisServer(
                group, self._lease, port=self._redis_port, options=choice, deadline_s=self._deadline_s
            )
            self._stores.append(self._redis)
        if self._want_elasticsearch:
            asked = self._want_elasticsearch
            self._elasticsearch = ElasticsearchServer(
                group,
                self._lease,
                port=self._elasticsearch_port,
                options=asked if isinstance(asked, ElasticsearchOptions) else None,
                deadline_s=self._deadline_s,
            )
            self._stores.append(self._elasticsearch)
        if self._want_hbase:
            wish = self._want_hbase if isinstance(self._want_hbase, HBaseOptions) else None
            self._hbase = HBaseCluster(
                group, self._lease, port=self._hbase_port, options=wish, deadline_s=self._deadline_s
            )
            self._stores += self._hbase.services
        for store in self._stores:
            store.launch()

    def _records(self) -> Iterator[state.ServiceRecord]:
        if self._kafka is not None:
            yield _record(self._kafka, self._kafka.bootstrap)
        if self._flink is not None:
            yield _record(self._flink.jobmanager, self._flink.rest_url)
            for taskmanager in self._flink.taskmanagers:
                yield _record(taskmanager, None)
        for store in self._stores:
            yield _record(store, store.address)


def _record(service: Service, address: str | None) -> state.ServiceRecord:
    return state.ServiceRecord(service.name, service.pid, address, str(service.log))
