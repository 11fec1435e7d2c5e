"""sql/jobs/item_ctr_features.sql: Redis and HBase equal a batch over the events."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streamjobs.local.environment import Environment
from tests.acceptance.ctr_arena import CtrArena, Events, last_windows
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CtrArena]:
    root = tmp_path_factory.mktemp("ctr")
    with Environment(root / "env", slots=2, redis=True, hbase=True, deadline_s=180) as environment:
        yield CtrArena(environment, root)


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
