"""sql/jobs/item_wide.sql: Elasticsearch and MySQL equal a batch SQL join over the final tables."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.acceptance.wide_arena import WideArena, wide_arena
from tests.acceptance.wide_shop import changed_shop
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WideArena]:
    with wide_arena(tmp_path_factory.mktemp("wide")) as arena:
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
