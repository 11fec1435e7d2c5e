"""A row that was written after the last checkpoint, and is gone when the job has caught up again."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.acceptance.wide_arena import WideArena, wide_arena
from tests.acceptance.wide_shop import ITEM, SCHEDULE, SHOP, Shop, SourceTable
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.services


@pytest.fixture
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WideArena]:
    with wide_arena(tmp_path_factory.mktemp("gone")) as arena:
        yield arena


def await_items(arena: WideArena, items: set[int]) -> None:
    for name, store in (("MySQL", arena.report), ("Elasticsearch", arena.search)):
        wait_for(lambda store=store: set(store()) == items, f"{items} in {name}", 120)  # type: ignore[misc]


def test_it_is_deleted_though_the_replay_meets_birth_and_death_together(arena: WideArena) -> None:
    shop, rng = Shop(SourceTable(ITEM), SourceTable(SHOP), SourceTable(SCHEDULE)), random.Random(1)
    for item in (1, 2):
        shop.item.put(item, None, None, "cup", None, None)
    job = arena.start(checkpoints_every="30 min")
    try:
        arena.feed(shop, rng)
        await_items(arena, {1, 2})
        arena.environment.flink.taskmanagers[-1].kill()
        shop.item.drop(1)
        arena.feed(shop, rng)
        arena.environment.flink.start_taskmanager()
        await_items(arena, {2})
    finally:
        job.cancel()
