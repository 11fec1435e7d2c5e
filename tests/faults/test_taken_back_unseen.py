"""Rows that were written after the last checkpoint, and that a replay in another order never writes again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.kafka import KafkaProducer, create_topic
from connectors.rocksdb import RocksDbTable, list_tables
from streamjobs.brokers.contract import Envelope
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.local.environment import Environment
from tests.acceptance.wide_shop import ITEM, PARTITIONS, SHOP, SourceTable, messages
from tests.faults.checkpoints import completed, restored
from tests.integration.waiting import wait_for
from tests.patience import limit_s
from thrift_idl.codec import partition_of

pytestmark = pytest.mark.services
SOURCES = """
CREATE TABLE item (
    item_id BIGINT, shop_id BIGINT, title VARCHAR, price DECIMAL(10, 2), PRIMARY KEY (item_id) NOT ENFORCED
) WITH (type='metaq', topic='unseen{n}.item', 'table'='shop.item', 'ingest'='upsert');
CREATE TABLE shop (shop_id BIGINT, name VARCHAR, PRIMARY KEY (shop_id) NOT ENFORCED)
WITH (type='metaq', topic='unseen{n}.shop', 'table'='shop.shop', 'ingest'='upsert');
"""
OFFERED = """
CREATE TABLE kept (item_id BIGINT, shop_id BIGINT, name VARCHAR, PRIMARY KEY (item_id) NOT ENFORCED)
WITH (type='rocksdb', 'deleteWhenNull'='shop_id');
INSERT INTO kept
SELECT i.item_id, s.shop_id, s.name FROM item AS i LEFT JOIN shop AS s ON i.shop_id = s.shop_id
ON CONFLICT DO DEDUPLICATE;
"""
DEAREST = """
CREATE TABLE kept (shop_id BIGINT, price DECIMAL(10, 2), titles BIGINT, PRIMARY KEY (shop_id) NOT ENFORCED)
WITH (type='rocksdb');
INSERT INTO kept SELECT shop_id, MAX(price), COUNT(DISTINCT title) FROM item GROUP BY shop_id;
"""
MANY = 30_000
"""So many rows of others come before one that the replay shall meet last."""
_numbers = count(1)


class Scene:
    """Two topics and one job; `feed` sends the changes since its last call."""

    def __init__(self, cluster: Environment, work: Path) -> None:
        self._cluster = cluster
        self._work = work
        self._number = next(_numbers)
        self.item, self.shop = SourceTable(ITEM), SourceTable(SHOP)
        self._tables = {f"unseen{self._number}.item": self.item, f"unseen{self._number}.shop": self.shop}
        self._fed = dict.fromkeys(self._tables, 0)
        self.job_id = ""

    def feed(self) -> None:
        with closing(KafkaProducer(self._cluster.kafka.bootstrap)) as producer:
            for topic, table in self._tables.items():
                new = SourceTable(table.schema, changes=table.changes[self._fed[topic] :])
                self._fed[topic] = len(table.changes)
                for partition, message in messages(new, random.Random(1), rows=500):
                    producer.send(Envelope(topic, partition, message.payload, message.time_ms))
            producer.flush()

    @contextmanager
    def job(self, text: str) -> Iterator[None]:
        """Run the job; after a checkpoint at its start it makes checkpoints only by `checkpoint`."""
        for topic in self._tables:
            create_topic(self._cluster.kafka.bootstrap, topic, PARTITIONS)
        path = self._work / "unseen.sql"
        path.write_text(SOURCES.format(n=self._number) + text, encoding="utf-8")
        settings = {"execution.checkpointing.interval": "30 min"}
        overrides = RunSettings(self._cluster.kafka.bootstrap, self._work / "store", 2, settings=settings)
        job = FlinkSession(self._cluster.flink.rest_url).start(path, overrides)
        self.job_id = job.job_id
        try:
            yield
        finally:
            job.cancel()

    def checkpoint(self) -> None:
        url = f"{self._cluster.flink.rest_url}/jobs/{self.job_id}/checkpoints"
        before = completed(self._cluster, self.job_id)
        httpx.post(url, json={"checkpointType": "CONFIGURED"}, timeout=limit_s(10)).raise_for_status()
        wait_for(lambda: completed(self._cluster, self.job_id) > before, "the checkpoint", 120)

    def stored(self) -> dict[int, dict[str, Any]]:
        """Return the rows of the store by key."""
        store = self._work / "store"
        if "kept" not in list_tables(store):
            return {}
        with RocksDbTable(store, "kept") as reader:
            return {next(iter(row.values())): row for row in reader.scan()}

    def await_stored(self, keys: set[int]) -> None:
        wait_for(lambda: set(self.stored()) == keys, lambda: f"{keys} in the store: {self.stored()}", 120)

    def items_of(self, partition: int, numbers: range) -> list[int]:
        """Return the item numbers whose changes go to that partition."""
        probe = SourceTable(ITEM)
        for number in numbers:
            probe.put(number, None, None, None, None, None)
        where = (partition_of(change, PARTITIONS) for change in probe.changes)
        return [number for number, place in zip(numbers, where, strict=True) if place == partition]


@pytest.fixture
def scene(cluster: Environment, tmp_path: Path) -> Scene:
    return Scene(cluster, tmp_path)


def test_a_joined_row_is_deleted_whose_partner_comes_when_it_has_gone(
    cluster: Environment, scene: Scene
) -> None:
    """An inner join left item 1 in the store: it is deleted before shop 7 arrives, and so never joins it."""
    for item in (1, 2):
        scene.item.put(item, 7, None, "cup", None, None)
    for shop in range(100, 100 + MANY):
        scene.shop.put(shop, "other", None, None)
    scene.shop.put(7, "Ünï", None, None)
    with scene.job(OFFERED):
        scene.feed()
        scene.await_stored({1, 2})
        cluster.flink.taskmanagers[-1].kill()
        scene.item.drop(1)
        scene.item.put(3, 7, None, "pot", None, None)
        scene.item.put(4, 8, None, "pot", None, None)
        scene.feed()
        cluster.flink.start_taskmanager()
        scene.await_stored({2, 3})


def test_a_result_that_was_left_for_a_moment_is_written_again(cluster: Environment, scene: Scene) -> None:
    """Without a state TTL, 5.00 and one title stayed: in the other order it is always 9.00 and two titles."""
    first, other = (scene.items_of(partition, range(1000)) for partition in (0, 1))
    dear, twin, end, other_end = first[0], other[0], first[1], other[1]
    scene.item.put(first[2], 7, None, "cup", Decimal("5.00"), None)
    scene.item.put(dear, 7, None, "pot", Decimal("9.00"), None)
    with scene.job(DEAREST):
        scene.feed()
        scene.await_stored({7})
        wait_for(lambda: scene.stored()[7]["titles"] == 2, "both titles are counted")
        scene.checkpoint()
        for item in scene.items_of(0, range(1000, 1000 + 2 * MANY)):
            scene.item.put(item, None, None, None, None, None)
        scene.item.drop(dear)
        scene.feed()
        wait_for(lambda: scene.stored()[7]["titles"] == 1, "the dear one is gone", 120)
        assert scene.stored()[7]["price"] == Decimal("5.00")
        scene.item.put(twin, 7, None, "pot", Decimal("9.00"), None)
        scene.item.put(other_end, 9, None, None, None, None)
        scene.item.put(end, 8, None, None, None, None)
        cluster.flink.taskmanagers[-1].kill()
        scene.feed()
        cluster.flink.start_taskmanager()
        wait_for(lambda: {8, 9} <= set(scene.stored()), lambda: f"the ends: {scene.stored()}", 120)
        wait_for(
            lambda: scene.stored()[7] == {"shop_id": 7, "price": Decimal("9.00"), "titles": 2},
            lambda: f"what the server would give: {scene.stored()}",
        )
        assert restored(cluster, scene.job_id) >= 1
