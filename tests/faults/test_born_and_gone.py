"""A row that was written after the last checkpoint, and was deleted when the job has caught up again."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamjobs.local.environment import Environment
from streamjobs.local.mariadb import MariaDbServer
from tests.acceptance.wide_arena import WideArena, WideServices, wide_arena
from tests.acceptance.wide_shop import ITEM, SCHEDULE, SHOP, Shop, SourceTable
from tests.integration.waiting import wait_for
from tests.services.kinds import ElasticsearchAddress
from tests.services.shared import unique_name

pytestmark = pytest.mark.services


@pytest.fixture
def arena(
    cluster: Environment, own_mariadb: MariaDbServer, elasticsearch: ElasticsearchAddress, tmp_path: Path
) -> Iterator[WideArena]:
    services = WideServices(
        cluster.kafka.bootstrap,
        cluster.flink.rest_url,
        own_mariadb.port,
        elasticsearch.url,
        unique_name("item_wide"),
    )
    with wide_arena(services, tmp_path) as arena:
        yield arena


def await_items(arena: WideArena, items: set[int]) -> None:
    for name, store in (("MySQL", arena.report), ("Elasticsearch", arena.search)):
        wait_for(lambda store=store: set(store()) == items, f"{items} in {name}", 120)  # type: ignore[misc]


def test_it_is_deleted_though_the_replay_meets_birth_and_death_together(
    cluster: Environment, arena: WideArena
) -> None:
    shop, rng = Shop(SourceTable(ITEM), SourceTable(SHOP), SourceTable(SCHEDULE)), random.Random(1)
    for item in (1, 2):
        shop.item.put(item, None, None, "cup", None, None)
    job = arena.start(checkpoints_every="30 min")
    try:
        arena.feed(shop, rng)
        await_items(arena, {1, 2})
        cluster.flink.taskmanagers[-1].kill()
        shop.item.drop(1)
        arena.feed(shop, rng)
        cluster.flink.start_taskmanager()
        await_items(arena, {2})
    finally:
        job.cancel()
