"""sql/jobs/item_wide.sql: Elasticsearch and MySQL equal a batch SQL join over the final tables."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from streamjobs.local.kafka import KafkaServer
from streamjobs.local.mariadb import MariaDbServer
from tests.acceptance.wide_arena import WideArena, WideServices, wide_arena
from tests.acceptance.wide_shop import changed_shop
from tests.integration.waiting import wait_for
from tests.services.kinds import ElasticsearchAddress, FlinkAddress
from tests.services.shared import unique_name

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def arena(
    own_kafka: KafkaServer,
    flink: FlinkAddress,
    own_mariadb: MariaDbServer,
    elasticsearch: ElasticsearchAddress,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[WideArena]:
    services = WideServices(
        own_kafka.bootstrap, flink.rest_url, own_mariadb.port, elasticsearch.url, unique_name("item_wide")
    )
    with wide_arena(services, tmp_path_factory.mktemp("wide")) as arena:
        yield arena


def test_both_sinks_equal_a_batch_join_over_the_final_tables(arena: WideArena) -> None:
    shop = changed_shop(3, 6000, items=400, shops=20, schedules=10)
    truth = shop.wide()
    assert len(truth) > 200
    job = arena.start()
    try:
        arena.feed(shop, random.Random(3))
        wait_for(lambda: arena.report() == truth and arena.search() == truth, "both sinks to be right", 180)
        job.drain()
    finally:
        job.cancel()
    assert arena.report() == truth
    assert arena.search() == truth
