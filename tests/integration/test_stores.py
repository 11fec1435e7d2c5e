"""Updating queries into MySQL and Redis, whose servers die under way, end as a batch does."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import httpx
import pymysql
import pytest
import redis

from connectors.kafka import KafkaProducer, create_topic, read_dead_letters
from streamjobs import metrics as names
from streamjobs.brokers.contract import Envelope
from streamjobs.changes.position import Position
from streamjobs.changes.row_change import Column, Row, RowChange, SqlType, TableId, TableSchema
from streamjobs.job.cluster.running_job import RunningFlinkJob
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.job_plan import DEAD_LETTER_TOPIC
from streamjobs.job.plan.planning import plan_file
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.local.kafka import KafkaServer
from streamjobs.local.mariadb import MariaDbServer
from streamjobs.local.redis import RedisOptions, RedisServer
from tests.integration.waiting import wait_for
from tests.patience import limit_s
from tests.services.kinds import FlinkAddress
from thrift_idl.codec import Header, Limits, PartitionMessageBuilder

pytestmark = pytest.mark.services

ITEM = TableSchema(
    TableId("shop", "item"),
    (
        Column("item_id", SqlType.BIGINT, "bigint", key=True, nullable=False),
        Column("category_id", SqlType.BIGINT, "bigint"),
        Column("title", SqlType.TEXT, "varchar(64)"),
        Column("price", SqlType.DECIMAL, "decimal(10,2)"),
    ),
)
JOB = """-- Items and what their categories are worth, in two stores.
CREATE TABLE item (item_id BIGINT, category_id BIGINT, title VARCHAR, price DECIMAL(10, 2),
  PRIMARY KEY (item_id) NOT ENFORCED)
WITH (type='metaq', topic='shop.item', 'table'='shop.item', 'ingest'='upsert');

CREATE TABLE by_category (category_id BIGINT, n BIGINT, total DECIMAL(38, 2), dearest VARCHAR,
  PRIMARY KEY (category_id) NOT ENFORCED)
WITH (type='rds', url='jdbc:mysql://127.0.0.1:{mysql}/shop?rewriteBatchedStatements=true', userName='writer',
  password='${{STORE_PASSWORD}}', 'requestTimeout'='5 s', 'deleteWhenNull'='n');

CREATE TABLE dear_item (item_id BIGINT, category_id BIGINT, title VARCHAR, price DECIMAL(10, 2),
  PRIMARY KEY (item_id) NOT ENFORCED)
WITH (type='redis', host='127.0.0.1', port='{redis}', password='${{STORE_PASSWORD}}', mode='HASHMAP',
  keyPrefix='item:', 'requestTimeout'='5 s');

CREATE VIEW worth AS
SELECT category_id, COUNT(*) AS n, SUM(price) AS total, MAX(title) AS dearest FROM item GROUP BY category_id;

INSERT INTO by_category SELECT category_id, CASE WHEN n > 2 THEN n END, total, dearest FROM worth;
INSERT INTO dear_item SELECT item_id, category_id, title, price FROM item WHERE price > 50;
"""
SHOWN = {
    names.RECORDS_IN,
    names.RECORDS_WRITTEN,
    names.BATCHES_WRITTEN,
    names.BYTES_WRITTEN,
    names.BATCH_ROWS,
    names.WRITE_MS,
}
"""Flink shows a metric once it has a value: trouble has not come yet."""
ITEMS, CHANGES = 300, 4000
Item = tuple[int, str | None, Decimal]


class Shop:
    """Items that come, change their category, title and price, and go."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._count = 0
        self.items: dict[int, Item] = {}

    def changes(self, count: int) -> list[RowChange]:
        """The next changes, applied to `items`."""
        return [self._change() for _ in range(count)]

    def _change(self) -> RowChange:
        rng, at = self._rng, Position(0, 1, self._count)
        self._count += 1
        number, at_ms = rng.randrange(ITEMS), 1000 + self._count
        before = self.items.pop(number, None)
        if before is not None and rng.random() < 0.3:
            return RowChange.delete(ITEM, _wire(number, before), at, at_ms)
        title = None if rng.random() < 0.1 else f"Nº {rng.randrange(10**6)} 🦊"
        after = (rng.randrange(20), title, Decimal(rng.randrange(1, 10_000)) / 100)
        self.items[number] = after
        if before is None:
            return RowChange.insert(ITEM, _wire(number, after), at, at_ms)
        return RowChange.update(ITEM, _wire(number, before), _wire(number, after), at, at_ms)

    def by_category(self) -> dict[int, tuple[int, Decimal, str | None]]:
        """What a batch query over the items gives."""
        groups: dict[int, list[Item]] = defaultdict(list)
        for item in self.items.values():
            groups[item[0]].append(item)
        return {
            category: (
                len(items),
                sum((price for _, _, price in items), Decimal(0)),
                max((title for _, title, _ in items if title is not None), default=None),
            )
            for category, items in groups.items()
            if len(items) > 2
        }

    def dear(self) -> dict[int, Item]:
        """What a batch query over the items gives."""
        return {number: item for number, item in self.items.items() if item[2] > 50}


def _wire(number: int, item: Item) -> Row:
    category, title, price = item
    return (
        b"%d" % number,
        b"%d" % category,
        None if title is None else title.encode(),
        f"{price:.2f}".encode(),
    )


def produce(bootstrap: str, changes: Sequence[RowChange]) -> None:
    """Send the changes, some of them twice."""
    builder = PartitionMessageBuilder(2, disorder_ms=1000, limits=Limits(max_rows=50))
    for change in changes:
        builder.add(change)
    with closing(KafkaProducer(bootstrap)) as producer:
        for number, (partition, message) in enumerate(builder.flush(Header("shop"))):
            for _ in range(2 if number % 7 == 0 else 1):
                producer.send(Envelope("shop.item", partition, message.payload, message.time_ms))
        producer.flush()


@dataclass(frozen=True)
class Services:
    """Where the job runs, and the stores that are killed under it."""

    bootstrap: str
    rest_url: str
    mariadb: MariaDbServer
    redis: RedisServer


@pytest.fixture(scope="module")
def redis_options() -> RedisOptions:
    return RedisOptions(password="secret-7")  # noqa: S106


@pytest.fixture
def services(
    own_kafka: KafkaServer,
    flink: FlinkAddress,
    own_mariadb: MariaDbServer,
    own_redis: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Services:
    monkeypatch.setenv("STORE_PASSWORD", "secret-7")
    return Services(own_kafka.bootstrap, flink.rest_url, own_mariadb, own_redis)


def ask(services: Services, sql: str) -> Sequence[tuple[object, ...]]:
    with (
        closing(pymysql.connect(host="127.0.0.1", port=services.mariadb.port, user="root")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)
        return list(cursor.fetchall())


def found_categories(services: Services) -> dict[object, tuple[object, ...]]:
    rows = ask(services, "SELECT category_id, n, total, dearest FROM shop.by_category")
    return {row[0]: row[1:] for row in rows}


def found_items(services: Services) -> dict[int, Item]:
    items = {}
    with redis.Redis(port=services.redis.port, password="secret-7", decode_responses=True) as client:  # noqa: S106
        for key in client.scan_iter("item:*", 1000):
            row = client.hgetall(key)
            assert key == f"item:{row['item_id']}"
            assert isinstance(row, dict)
            item = (int(row["category_id"]), row.get("title"), Decimal(row["price"]))
            items[int(row["item_id"])] = item
    return items


def sink_metrics(services: Services, job_id: str) -> set[str]:
    """The names of the metrics that Flink shows of the table by_category."""
    job = f"{services.rest_url}/jobs/{job_id}"
    found: set[str] = set()
    for vertex in httpx.get(job, timeout=limit_s(10)).raise_for_status().json()["vertices"]:
        metrics = httpx.get(f"{job}/vertices/{vertex['id']}/metrics", timeout=limit_s(10)).raise_for_status()
        ids = [metric["id"].split(".") for metric in metrics.json()]
        found |= {parts[-1] for parts in ids if parts[-3:-1] == ["sink", "by_category"]}
    return found


def _saw_a_cause(job: RunningFlinkJob, causes: list[str]) -> bool:
    if not causes:
        job.watch(causes.append)
    return bool(causes)


def test_both_stores_end_as_a_batch_computation(services: Services, tmp_path: Path) -> None:
    shop, bootstrap = Shop(7), services.bootstrap
    ask(services, "CREATE DATABASE shop")
    ask(services, "CREATE USER writer@'127.0.0.1' IDENTIFIED BY 'secret-7'")
    ask(services, "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON shop.* TO writer@'127.0.0.1'")
    create_topic(bootstrap, "shop.item", 2)
    produce(bootstrap, shop.changes(CHANGES // 2))
    file = tmp_path / "stores.sql"
    file.write_text(JOB.format(mysql=services.mariadb.port, redis=services.redis.port), encoding="utf-8")
    causes: list[str] = []
    plan = plan_file(file, RunSettings(bootstrap, tmp_path, 2, None))
    job = FlinkSession(services.rest_url).run(plan, on_restart=causes.append)
    try:
        wait_for(lambda: _saw_a_cause(job, causes), "the first failure", 120)
        assert f"there is no table shop.by_category at 127.0.0.1:{services.mariadb.port}" in causes[0]
        ask(
            services,
            "CREATE TABLE shop.by_category (category_id BIGINT PRIMARY KEY, n BIGINT, total DECIMAL(38,2), "
            "dearest VARCHAR(100))",
        )
        wait_for(lambda: bool(found_categories(services)) and bool(found_items(services)), "rows", 120)
        wait_for(lambda: sink_metrics(services, job.job_id) >= SHOWN, "all metrics of a sink", 60)
        services.mariadb.kill()
        services.redis.kill()
        produce(bootstrap, shop.changes(CHANGES // 2))
        services.redis.restart()
        services.mariadb.restart()
        wait_for(lambda: job.is_idle(3.0), "all input is read", 120)
        job.drain()
    finally:
        job.cancel()
    assert found_items(services) == shop.dear()
    assert found_categories(services) == shop.by_category()
    assert list(read_dead_letters(bootstrap, DEAD_LETTER_TOPIC)) == []
