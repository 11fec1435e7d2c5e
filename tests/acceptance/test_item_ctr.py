"""sql/jobs/item_ctr_features.sql: Redis and HBase equal a batch over the events."""

from __future__ import annotations

import random
import struct
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import redis

from connectors.kafka import KafkaProducer, create_topic
from streamjobs.broker import Envelope
from streamjobs.demo.runner import Overrides
from streamjobs.job.session import FlinkSession
from streamjobs.local.environment import Environment
from streamjobs.position import Position
from streamjobs.rowchange import Column, RowChange, SqlType, TableId, TableSchema
from tests.contract.store_hbase import HBaseReader
from tests.integration.waiting import wait_for
from thrift_idl.codec import Header, Limits, PartitionMessageBuilder

pytestmark = pytest.mark.services

JOB = Path(__file__).parents[2] / "sql" / "jobs" / "item_ctr_features.sql"
MINUTE = 60_000
START = 1_790_000_000_000 // (24 * 60 * MINUTE) * (24 * 60 * MINUTE)
SPANS = {"10m": (10 * MINUTE, MINUTE), "1h": (60 * MINUTE, MINUTE), "24h": (24 * 60 * MINUTE, 10 * MINUTE)}
ATTRIBUTION_MS = 5 * MINUTE
BIG = (SqlType.BIGINT, "bigint(20)")
Feature = tuple[int, int, float | None]


def schema(name: str, *columns: str) -> TableSchema:
    made = tuple(Column(column, *BIG, key=place == 0) for place, column in enumerate(columns))
    return TableSchema(TableId("ad", name), made)


IMPRESSION = schema("impression", "impression_id", "user_id", "item_id", "event_time_ms")
CLICK = schema("click", "click_id", "impression_id", "user_id", "event_time_ms")


class Events:
    """Three hours of impressions of a few items, and clicks: most soon, some too late, some of nothing."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        self.impressions = sorted(
            (START + rng.randrange(180 * MINUTE), rng.randrange(5), number) for number in range(400)
        )
        self.clicks: list[tuple[int, int, int]] = []
        for number, (at_ms, _, impression) in enumerate(self.impressions):
            if rng.random() < 0.4:
                delay_ms = rng.choice([0, rng.randrange(ATTRIBUTION_MS), ATTRIBUTION_MS, ATTRIBUTION_MS + 1])
                self.clicks.append((at_ms + delay_ms, impression, number))
        self.clicks.append((START + MINUTE, 10_000, 10_000))
        self.clicks.sort()

    def truth(self) -> dict[tuple[int, str, int], Feature]:
        """Count by item, span and end of every window that is not empty."""
        shown = {impression: (at_ms, item) for at_ms, item, impression in self.impressions}
        seen = [(item, at_ms, 0) for at_ms, item, _ in self.impressions]
        for at_ms, impression, _ in self.clicks:
            if impression in shown and 0 <= at_ms - shown[impression][0] <= ATTRIBUTION_MS:
                seen.append((shown[impression][1], at_ms, 1))
        counts: dict[tuple[int, str, int], list[int]] = defaultdict(lambda: [0, 0])
        for item, at_ms, kind in seen:
            for span, (size, slide) in SPANS.items():
                first = at_ms // slide * slide + slide
                for end in range(first, first + size, slide):
                    counts[item, span, end][kind] += 1
        return {key: (i, c, c / i if i else None) for key, (i, c) in counts.items()}

    def changes(self) -> Iterator[tuple[str, str, list[RowChange]]]:
        """Give topic, table and changes; a tenth of the events comes twice."""
        rows = [(b"%d" % i, b"1", b"%d" % item, b"%d" % at) for at, item, i in self.impressions]
        yield "ad.impression", "impression", _inserts(IMPRESSION, rows)
        clicks = [(b"%d" % number, b"%d" % i, b"1", b"%d" % at) for at, i, number in self.clicks]
        yield "ad.click", "click", _inserts(CLICK, clicks)


def _inserts(table: TableSchema, rows: Sequence[tuple[bytes, ...]]) -> list[RowChange]:
    repeated = [row for number, row in enumerate(rows) for _ in range(1 + (number % 10 == 0))]
    return [
        RowChange.insert(table, row, Position(0, 1, 100 + place), 1) for place, row in enumerate(repeated)
    ]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    root = tmp_path_factory.mktemp("ctr")
    with Environment(root, slots=2, redis=True, hbase=True, deadline_s=180) as running:
        yield running


def feed(environment: Environment, events: Events) -> None:
    bootstrap = environment.kafka.bootstrap
    with closing(KafkaProducer(bootstrap)) as producer:
        for topic, _, changes in events.changes():
            create_topic(bootstrap, topic, 2)
            builder = PartitionMessageBuilder(2, disorder_ms=1000, limits=Limits(max_rows=10))
            header = Header("test", "event_time_ms")
            for change in changes:
                builder.add(change)
            sent = [*builder.flush(header), *builder.heartbeat(header, START + 240 * MINUTE)]
            for partition, message in sent:
                producer.send(Envelope(topic, partition, message.payload, message.time_ms))
        producer.flush()


def fresh(environment: Environment) -> dict[tuple[int, str, int], Feature]:
    """What a model reads."""
    found: dict[tuple[int, str, int], Feature] = {}
    with redis.Redis(port=environment.redis.port, decode_responses=True) as client:
        for key in client.scan_iter("item_ctr:*"):
            row: dict[str, str] = client.hgetall(key)
            _, span, item = str(key).split(":")
            ctr = row.get("ctr")
            found[int(item), span, _end_of(row["window_end"])] = (
                int(row["impressions"]), int(row["clicks"]), float(ctr) if ctr else None,
            )  # fmt: skip
    return found


def _end_of(text: str) -> int:
    moment = datetime.fromisoformat(text.replace("Z", "")).replace(tzinfo=timezone.utc)
    return int(moment.timestamp() * 1000)


def history(environment: Environment) -> list[tuple[tuple[int, str, int], Feature]]:
    """What an analyst's scan shows, in its order."""
    with closing(HBaseReader(environment.hbase.port)) as reader:
        rows = [cells for _, cells in reader.scan("item_ctr_history")]
    return [(_key_of(cells), _feature_of(cells)) for cells in rows]


def _key_of(cells: dict[bytes, bytes]) -> tuple[int, str, int]:
    return _long(cells[b"f:item_id"]), cells[b"f:span"].decode(), _long(cells[b"f:window_end"])


def _feature_of(cells: dict[bytes, bytes]) -> Feature:
    ctr: Any = struct.unpack(">d", cells[b"f:ctr"])[0] if b"f:ctr" in cells else None
    return _long(cells[b"f:impressions"]), _long(cells[b"f:clicks"]), ctr


def _long(data: bytes) -> int:
    value: int = struct.unpack(">q", data)[0]
    return value


def test_fresh_features_and_their_history_equal_a_batch(environment: Environment, tmp_path: Path) -> None:
    events = Events(5)
    feed(environment, events)
    text = JOB.read_text(encoding="utf-8")
    for given, ours in (("'6379'", f"'{environment.redis.port}'"), (":9090", f":{environment.hbase.port}")):
        assert given in text
        text = text.replace(given, ours)
    path = tmp_path / JOB.name
    path.write_text(text.replace("ttl='3 min'", "ttl='1 h'"), encoding="utf-8")  # a slow machine reads late
    job = FlinkSession(environment.flink.rest_url).start(
        path, Overrides(environment.kafka.bootstrap, tmp_path, 2)
    )
    try:
        wait_for(lambda: job.is_idle(3.0), "all input is read", 240)
        job.drain()
    finally:
        job.cancel()
    truth = events.truth()
    found = history(environment)
    assert dict(found) == truth
    assert [key for key, _ in found] == sorted(truth)
    last: dict[tuple[int, str], int] = {}
    for item, span, end in truth:
        last[item, span] = max(end, last.get((item, span), 0))
    assert fresh(environment) == {(i, s, end): truth[i, s, end] for (i, s), end in last.items()}
