"""sql/jobs/item_ctr_features.sql: Redis and HBase equal a batch over the events."""

from __future__ import annotations

import pytest

from streamjobs.local.kafka import KafkaServer
from streamjobs.local.redis import RedisServer
from tests.acceptance.ctr_arena import CtrArena, CtrServices, Events, last_windows
from tests.integration.waiting import wait_for
from tests.services.kinds import FlinkAddress, HBaseAddress

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def arena(
    own_kafka: KafkaServer,
    flink: FlinkAddress,
    own_redis: RedisServer,
    hbase: HBaseAddress,
    tmp_path_factory: pytest.TempPathFactory,
) -> CtrArena:
    services = CtrServices(own_kafka.bootstrap, flink.rest_url, own_redis.port, hbase.port)
    return CtrArena(services, tmp_path_factory.mktemp("ctr"))


def test_fresh_features_and_their_history_equal_a_batch(arena: CtrArena) -> None:
    events = Events(5)
    job = arena.start()
    try:
        arena.feed(events)
        wait_for(lambda: job.is_idle(3.0), "all input is read", 240)
        job.drain()
    finally:
        job.cancel()
    truth = events.truth()
    found = arena.history()
    assert dict(found) == truth
    assert [key for key, _ in found] == sorted(truth)
    assert arena.fresh() == last_windows(truth)
