"""A store that is frozen under full load: the job waits, only the topic grows, no row is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import pymysql
import pytest

from connectors.kafka import KafkaProducer, create_topic, read_dead_letters
from streamjobs.brokers.contract import Envelope
from streamjobs.changes.position import Position
from streamjobs.changes.row_change import Column, RowChange, SqlType, TableId, TableSchema
from streamjobs.job.cluster.running_job import RunningFlinkJob
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.job_plan import DEAD_LETTER_TOPIC
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.local.environment import Environment
from tests.integration.waiting import pause, wait_for
from tests.patience import limit_s
from tests.services.workers import workers_of
from thrift_idl.codec import Header, PartitionMessageBuilder

pytestmark = [pytest.mark.services, pytest.mark.long, pytest.mark.timeout(1500)]

PARTITIONS = 2
SCHEMA = TableSchema(
    TableId("shop", "event"),
    (
        Column("id", SqlType.BIGINT, "bigint", key=True, nullable=False),
        Column("note", SqlType.TEXT, "varchar(200)"),
    ),
)
JOB = """-- Events as they come, into MySQL.
CREATE TABLE event (id BIGINT, note VARCHAR) WITH (type='metaq', topic='shop.event', 'table'='shop.event',
  'ingest'='append');
CREATE TABLE stored (id BIGINT, note VARCHAR, PRIMARY KEY (id) NOT ENFORCED)
WITH (type='mysql', url='mysql://127.0.0.1:{port}/shop', userName='root', 'requestTimeout'='5 s');
INSERT INTO stored SELECT id, note FROM event ON CONFLICT DO NOTHING;
"""
BACKLOG, SLICE = 400_000, 10_000
"""Rows that wait when the job starts, and rows that arrive about each second while the store is frozen."""
SETTLE_S = 15.0
"""How long the count of messages (up to ten seconds old) must not change: then all buffers are full."""
WORKER_MB, MANAGER_MB = 48, 96
"""What a Python worker, and the JVM, may still take after that."""


def note(number: int) -> str:
    return f"note {number:>150}"


class Topic:
    """The writer of the topic: counts the rows that it has sent, all with keys from 0."""

    def __init__(self, bootstrap: str) -> None:
        self.sent = 0
        self._producer = KafkaProducer(bootstrap)
        self._builder = PartitionMessageBuilder(PARTITIONS, disorder_ms=1000)

    def send(self, count: int) -> None:
        for number in range(self.sent, self.sent + count):
            row = (b"%d" % number, note(number).encode())
            at_ms = 1_000_000 + number
            self._builder.add(RowChange.insert(SCHEMA, row, Position(0, 1, number), at_ms))
        for partition, message in self._builder.flush(Header("shop")):
            self._producer.send(Envelope("shop.event", partition, message.payload, message.time_ms))
        self._producer.flush()
        self.sent += count

    def close(self) -> None:
        self._producer.close()


@dataclass(frozen=True)
class Memory:
    """MiB of the TaskManager's JVM and of all Python workers."""

    manager: int
    workers: int


def memory(environment: Environment) -> Memory:
    manager = psutil.Process(environment.flink.taskmanagers[-1].pid)
    below = workers_of(manager.pid)
    assert below
    workers = sum(each.memory_info().rss for each in below)
    return Memory(manager.memory_info().rss >> 20, workers >> 20)


def ask(environment: Environment, sql: str) -> Sequence[tuple[object, ...]]:
    connection = pymysql.connect(host="127.0.0.1", port=environment.mariadb.port, user="root")
    with connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def stored(environment: Environment) -> int:
    ((count,),) = ask(environment, "SELECT COUNT(*) FROM shop.stored")
    assert isinstance(count, int)
    return count


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    with Environment(tmp_path_factory.mktemp("frozen"), slots=2, mariadb=True) as made:
        yield made


def settled(job: RunningFlinkJob) -> int:
    """Wait until the job stops reading; return how many messages it has read."""
    read, since_s = -1, time.monotonic()
    deadline_s = since_s + limit_s(4 * SETTLE_S)
    while time.monotonic() - since_s < SETTLE_S:
        assert time.monotonic() < deadline_s, f"the job reads on: {job.progress()}"
        if (now := job.progress().messages_in) != read:
            read, since_s = now, time.monotonic()
        pause(0.5)
    return read


def starve(environment: Environment, job: RunningFlinkJob, topic: Topic, seconds: float) -> list[Memory]:
    """Freeze the store for so long while rows arrive; return the memory once all buffers are full."""
    sampled: list[Memory] = []
    environment.mariadb.freeze()
    until = time.monotonic() + seconds
    try:
        read = settled(job)
        lag = job.progress().pending
        while time.monotonic() < until:
            topic.send(SLICE)
            pause(1.0)
            sampled.append(memory(environment))
        progress = job.progress()
    finally:
        environment.mariadb.thaw()
    assert progress.messages_in == read
    assert progress.pending > lag
    assert progress.state == "RUNNING"
    return sampled


@pytest.mark.parametrize("frozen_s", [60.0, 300.0])
def test_a_store_frozen_under_full_load_is_backpressure(
    environment: Environment, tmp_path: Path, frozen_s: float
) -> None:
    bootstrap = environment.kafka.bootstrap
    ask(environment, "CREATE DATABASE shop")
    ask(environment, "CREATE TABLE shop.stored (id BIGINT PRIMARY KEY, note VARCHAR(200))")
    create_topic(bootstrap, "shop.event", PARTITIONS)
    file = tmp_path / "frozen.sql"
    file.write_text(JOB.format(port=environment.mariadb.port), encoding="utf-8")
    with closing(Topic(bootstrap)) as topic:
        topic.send(BACKLOG)
        job = FlinkSession(environment.flink.rest_url).start(file, RunSettings(bootstrap, tmp_path, 2, None))
        try:
            wait_for(lambda: stored(environment) > BACKLOG // 8, "the job at work", 120)
            sampled = starve(environment, job, topic, frozen_s)
            wait_for(lambda: job.is_idle(3.0), "all input is read", 600)
            job.drain()
        finally:
            job.cancel()
    first, last = sampled[0], sampled[-1]
    assert max(each.workers for each in sampled) - first.workers < WORKER_MB, (first, last)
    assert max(each.manager for each in sampled) - first.manager < MANAGER_MB, (first, last)
    checked = ask(
        environment,
        "SELECT COUNT(*), COUNT(DISTINCT id), MIN(id), MAX(id), "
        "SUM(note = CONCAT('note ', LPAD(id, 150, ' '))) FROM shop.stored",
    )
    assert checked == [(topic.sent, topic.sent, 0, topic.sent - 1, topic.sent)]
    assert list(read_dead_letters(bootstrap, DEAD_LETTER_TOPIC)) == []
