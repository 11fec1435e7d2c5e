"""Queries that were refused wrongly (F43, F46, F48), on a cluster: each equals a batch over the rows.

Rows are inserted, updated, deleted and change their keys; messages come in any order, a third of them twice.
"""

from __future__ import annotations

import random
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.kafka import KafkaProducer, create_topic
from connectors.rocksdb import RocksDbTable
from streamjobs.brokers.contract import Envelope
from streamjobs.changes.position import Position
from streamjobs.changes.row_change import ChangeKind, RowChange
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.planning import plan_file
from streamjobs.job.plan.run_settings import RunSettings
from tests.integration.test_ingest_modes import SALE, Table, built, plain, replayed, shop
from tests.integration.waiting import wait_for
from tests.services.kinds import FlinkAddress, KafkaAddress

pytestmark = pytest.mark.services

HERE = Path(__file__).parent
RETRACT = "changelogMode=[I,UB,UA,D]"
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Outcome:
    """What both jobs left, the source rows as they are now, and what Flink told of its plans."""

    store: Path
    batch: sqlite3.Connection
    sales: Sequence[tuple[int, int]]
    plans: dict[str, str]

    def rows(self, table: str) -> Rows:
        with RocksDbTable(self.store, table) as found:
            return sorted((tuple(map(cents, row.values())) for row in found.scan()), key=repr)

    def asked(self, query: str) -> Rows:
        return sorted(self.batch.execute(query).fetchall(), key=repr)


def cents(value: Any) -> Any:
    return int(value * 100) if isinstance(value, Decimal) else value


def sold(rng: random.Random) -> list[tuple[int, int]]:
    return [(rng.randrange(7), number) for number in range(200)]


@pytest.fixture(scope="module")
def outcome(
    kafka: KafkaAddress, flink: FlinkAddress, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcome]:
    rng = random.Random(13)
    items, categories = shop(rng)
    kinds = Counter(change.kind for change in (*items.changes, *categories.changes))
    assert min(kinds[kind] for kind in (ChangeKind.INSERT, ChangeKind.UPDATE, ChangeKind.DELETE)) >= 40, kinds
    sales = sold(rng)
    changes = [
        RowChange.insert(SALE, (b"%d" % item, b"%d" % number, b"1000"), Position(0, 1, number), 1)
        for item, number in sales
    ]
    feeds = {
        "planned.item": replayed(built(items.changes), rng),
        "planned.category": replayed(built(categories.changes), rng),
        "planned.sale": replayed(built(changes), rng),
    }
    for topic in feeds:
        create_topic(kafka.bootstrap, topic, 2)
    with closing(KafkaProducer(kafka.bootstrap)) as producer:
        for topic, messages in feeds.items():
            for partition, message in messages:
                producer.send(Envelope(topic, partition, message.payload, message.time_ms))
        producer.flush()
    store = tmp_path_factory.mktemp("store")
    plans = {name: ran(name, kafka, flink, store) for name in ("planned_correlated", "planned_groups")}
    with closing(in_batch(items, categories)) as batch:
        yield Outcome(store, batch, sales, plans)


def ran(name: str, kafka: KafkaAddress, flink: FlinkAddress, store: Path) -> str:
    """Run a job until it has read everything; returns Flink's plan of it."""
    session = FlinkSession(flink.rest_url)
    plan = plan_file(HERE / f"{name}.sql", RunSettings(kafka.bootstrap, store, 2))
    explained = session.explain(plan)
    job = session.run(plan)
    try:
        wait_for(lambda: job.is_idle(3.0), "all input is read", 120)
        job.drain()
    finally:
        job.cancel()
    return explained


def in_batch(items: Table, categories: Table) -> sqlite3.Connection:
    batch = sqlite3.connect(":memory:")
    batch.execute("CREATE TABLE item (item_id, title, category_id, cents)")
    batch.execute("CREATE TABLE category (category_id, name)")
    batch.executemany(
        "INSERT INTO item VALUES (?, ?, ?, ?)",
        [(*row[:3], int(row[3] * 100)) for row in map(plain, items.rows.values())],
    )
    named = [(int(key), str(row[1], "utf-8")) for key, row in categories.rows.items()]  # type: ignore[arg-type]
    batch.executemany("INSERT INTO category VALUES (?, ?)", named)
    return batch


def test_a_subquery_that_reads_the_row_around_it_equals_a_batch(outcome: Outcome) -> None:
    sizes = outcome.asked(
        "SELECT category_id, name, (SELECT COUNT(*) FROM item i WHERE i.category_id = c.category_id), "
        "(SELECT MAX(cents) FROM item i WHERE i.category_id = c.category_id) FROM category c"
    )
    assert len(sizes) > 2
    assert outcome.rows("category_size") == sizes
    beside = outcome.asked(
        "SELECT item_id, title, (SELECT COUNT(*) FROM item o WHERE o.category_id = i.category_id) FROM item i"
    )
    assert {0} < {row[2] for row in beside}, "items with and without a category"
    assert outcome.rows("item_beside") == beside


def test_a_cube_of_rows_that_only_come_equals_a_batch(outcome: Outcome) -> None:
    ways: Sequence[Callable[[int, int], tuple[int, int]]] = (
        lambda item, part: (item, part), lambda item, _: (item, -1),
        lambda _, part: (-1, part), lambda _item, _part: (-1, -1),
    )  # fmt: skip
    counts = Counter(way(item, number % 4) for item, number in outcome.sales for way in ways)
    assert len(counts) == 8 * 5
    assert outcome.rows("sale_cube") == sorted(((*key, n) for key, n in counts.items()), key=repr)


def test_a_rollup_of_rows_that_change_equals_a_batch(outcome: Outcome) -> None:
    groups = [("category_id", "item_id % 3"), ("category_id", "-1"), ("-1", "-1")]
    wanted = " UNION ALL ".join(
        f"SELECT {one} a, {other} b, COUNT(*), SUM(cents) FROM item WHERE category_id IS NOT NULL "
        "GROUP BY 1, 2"
        for one, other in groups
    )
    assert outcome.rows("item_rollup") == outcome.asked(wanted)


def test_columns_with_names_of_flinks_and_ours_equal_a_batch(outcome: Outcome) -> None:
    assert outcome.rows("op") == outcome.asked(
        "SELECT category_id, COUNT(*), SUM(cents), MAX(cents), MIN(item_id) FROM item "
        "WHERE category_id IS NOT NULL GROUP BY category_id"
    )
    assert outcome.rows("op_of_item") == outcome.asked(
        "SELECT item_id, title, category_id FROM item WHERE cents >= 3000"
    )


def test_no_update_or_delete_is_planned_away(outcome: Outcome) -> None:
    """A plan that says insert-only of rows that change loses their updates (DESIGN §7)."""
    for name, plan in outcome.plans.items():
        physical = plan.partition("== Optimized Physical Plan ==")[2].partition("== Optimized Execution")[0]
        latest = [line for line in physical.splitlines() if re.search(r"\bRank\(|Deduplicate\(", line)]
        assert latest
        assert all("changelogMode=[I]" not in line for line in latest), "\n".join(latest)
        joins = [line for line in physical.splitlines() if re.search(r"\bJoin\(", line)]
        assert bool(joins) == (name == "planned_correlated")
        assert all(RETRACT in line for line in joins), "\n".join(joins)
