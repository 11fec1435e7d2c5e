"""item_ctr_features.sql on real services: its events, a batch over them, and what plain clients read."""

from __future__ import annotations

import random
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import redis

from connectors.kafka import KafkaProducer, create_topic
from streamjobs.brokers.contract import Envelope
from streamjobs.changes.position import Position
from streamjobs.changes.row_change import Column, RowChange, SqlType, TableId, TableSchema
from streamjobs.job.cluster.running_job import RunningFlinkJob
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.run_settings import RunSettings
from tests.contract.store_hbase import HBaseReader
from thrift_idl.codec import Header, Limits, PartitionMessageBuilder

JOB = Path(__file__).parents[2] / "sql" / "jobs" / "item_ctr_features.sql"
PARTITIONS = 2
MINUTE = 60_000
START = 1_790_000_000_000 // (24 * 60 * MINUTE) * (24 * 60 * MINUTE)
SPANS = {"10m": (10 * MINUTE, MINUTE), "1h": (60 * MINUTE, MINUTE), "24h": (24 * 60 * MINUTE, 10 * MINUTE)}
ATTRIBUTION_MS = 5 * MINUTE
BIG = (SqlType.BIGINT, "bigint(20)")
Key = tuple[int, str, int]
"""Item, span, and end of the window in epoch milliseconds."""
Feature = tuple[int, int, float | None]
"""Impressions, clicks, and clicks an impression."""


def schema(name: str, *columns: str) -> TableSchema:
    made = tuple(Column(column, *BIG, key=place == 0) for place, column in enumerate(columns))
    return TableSchema(TableId("ad", name), made)


IMPRESSION = schema("impression", "impression_id", "user_id", "item_id", "event_time_ms")
CLICK = schema("click", "click_id", "impression_id", "user_id", "event_time_ms")


class Events:
    """Hours of impressions of a few items, and clicks: most soon, some too late, some of nothing."""

    def __init__(self, seed: int, *, impressions: int = 400, items: int = 5, minutes: int = 180) -> None:
        rng = random.Random(seed)
        self.minutes = minutes
        self.impressions = sorted(
            (START + rng.randrange(minutes * MINUTE), rng.randrange(items), number)
            for number in range(impressions)
        )
        self.clicks: list[tuple[int, int, int]] = []
        for number, (at_ms, _, impression) in enumerate(self.impressions):
            if rng.random() < 0.4:
                delay_ms = rng.choice([0, rng.randrange(ATTRIBUTION_MS), ATTRIBUTION_MS, ATTRIBUTION_MS + 1])
                self.clicks.append((at_ms + delay_ms, impression, number))
        self.clicks.append((START + MINUTE, 10 * impressions, 10 * impressions))
        self.clicks.sort()

    def truth(self) -> dict[Key, Feature]:
        """Count by item, span and end of every window that is not empty."""
        shown = {impression: (at_ms, item) for at_ms, item, impression in self.impressions}
        seen = [(item, at_ms, 0) for at_ms, item, _ in self.impressions]
        for at_ms, impression, _ in self.clicks:
            if impression in shown and 0 <= at_ms - shown[impression][0] <= ATTRIBUTION_MS:
                seen.append((shown[impression][1], at_ms, 1))
        counts: dict[Key, list[int]] = defaultdict(lambda: [0, 0])
        for item, at_ms, kind in seen:
            for span, (size, slide) in SPANS.items():
                first = at_ms // slide * slide + slide
                for end in range(first, first + size, slide):
                    counts[item, span, end][kind] += 1
        return {key: (i, c, c / i if i else None) for key, (i, c) in counts.items()}

    def changes(self) -> Iterator[tuple[str, list[RowChange]]]:
        """Give topic and changes in order of time; a tenth of the events comes twice."""
        rows = [(b"%d" % i, b"1", b"%d" % item, b"%d" % at) for at, item, i in self.impressions]
        yield "ad.impression", _inserts(IMPRESSION, rows)
        clicks = [(b"%d" % number, b"%d" % i, b"1", b"%d" % at) for at, i, number in self.clicks]
        yield "ad.click", _inserts(CLICK, clicks)

    def envelopes(self) -> list[Envelope]:
        """Give the messages of both topics in order of time; the last ones say that no more rows come."""
        sent: list[Envelope] = []
        for topic, changes in self.changes():
            builder = PartitionMessageBuilder(PARTITIONS, disorder_ms=1000, limits=Limits(max_rows=10))
            header = Header("test", "event_time_ms")
            for change in changes:
                builder.add(change)
            end_ms = START + (self.minutes + 60) * MINUTE
            built = [*builder.flush(header), *builder.heartbeat(header, end_ms)]
            sent += [Envelope(topic, place, message.payload, message.time_ms) for place, message in built]
        return sorted(sent, key=lambda envelope: envelope.timestamp_ms)


def last_windows(truth: Mapping[Key, Feature]) -> dict[Key, Feature]:
    """Give the windows that are the last ones of their item and span."""
    last: dict[tuple[int, str], int] = {}
    for item, span, end in truth:
        last[item, span] = max(end, last.get((item, span), 0))
    return {(item, span, end): truth[item, span, end] for (item, span), end in last.items()}


def _inserts(table: TableSchema, rows: Sequence[tuple[bytes, ...]]) -> list[RowChange]:
    repeated = [row for number, row in enumerate(rows) for _ in range(1 + (number % 10 == 0))]
    return [
        RowChange.insert(table, row, Position(0, 1, 100 + place), 1) for place, row in enumerate(repeated)
    ]


@dataclass(frozen=True)
class CtrServices:
    """Where the job runs, and the ports of its stores."""

    bootstrap: str
    rest_url: str
    redis_port: int
    hbase_port: int


class CtrArena:
    """One cluster, one Redis, one HBase; `start` runs the job of the repository on them."""

    def __init__(self, services: CtrServices, work: Path) -> None:
        self._services = services
        self._work = work

    def start(self, batch_rows: int | None = None) -> RunningFlinkJob:
        """Make the topics, and run the job file with these addresses.

        `batch_rows` is the size of a request to both stores; None: what they take.
        """
        bootstrap = self._services.bootstrap
        for topic in ("ad.impression", "ad.click"):
            create_topic(bootstrap, topic, PARTITIONS)
        text = JOB.read_text(encoding="utf-8")
        size = "" if batch_rows is None else f", batchSize='{batch_rows}'"
        for given, ours in (
            ("'6379'", f"'{self._services.redis_port}'"),
            (":9090", f":{self._services.hbase_port}"),
            ("ttl='3 min'", "ttl='1 h'"),  # a slow machine reads late
            *((f"type='{store}'", f"type='{store}'{size}") for store in ("redis", "hbase")),
        ):
            assert given in text
            text = text.replace(given, ours)
        path = self._work / JOB.name
        path.write_text(text, encoding="utf-8")
        return FlinkSession(self._services.rest_url).start(path, RunSettings(bootstrap, self._work, 2))

    def feed(self, events: Events) -> None:
        """Send all messages."""
        for _ in self.feed_slices(events, 1):
            pass

    def feed_slices(self, events: Events, count: int) -> Iterator[int]:
        """Send the messages in so many slices, one after the other in time; gives the number of the next."""
        all_ = events.envelopes()
        with closing(KafkaProducer(self._services.bootstrap)) as producer:
            for number in range(count):
                for envelope in all_[len(all_) * number // count : len(all_) * (number + 1) // count]:
                    producer.send(envelope)
                producer.flush()
                yield number + 1

    def fresh(self) -> dict[Key, Feature]:
        """What a model reads."""
        found: dict[Key, Feature] = {}
        with redis.Redis(port=self._services.redis_port, decode_responses=True) as client:
            for key in client.scan_iter("item_ctr:*"):
                row: dict[str, str] = client.hgetall(key)
                _, span, item = str(key).split(":")
                ctr = row.get("ctr")
                found[int(item), span, _end_of(row["window_end"])] = (
                    int(row["impressions"]), int(row["clicks"]), float(ctr) if ctr else None,
                )  # fmt: skip
        return found

    def history(self) -> list[tuple[Key, Feature]]:
        """What an analyst's scan shows, in its order."""
        with closing(HBaseReader(self._services.hbase_port)) as reader:
            rows = [cells for _, cells in reader.scan("item_ctr_history")]
        return [(_key_of(cells), _feature_of(cells)) for cells in rows]


def _end_of(text: str) -> int:
    moment = datetime.fromisoformat(text.replace("Z", "")).replace(tzinfo=timezone.utc)
    return int(moment.timestamp() * 1000)


def _key_of(cells: dict[bytes, bytes]) -> Key:
    return _long(cells[b"f:item_id"]), cells[b"f:span"].decode(), _long(cells[b"f:window_end"])


def _feature_of(cells: dict[bytes, bytes]) -> Feature:
    ctr: Any = struct.unpack(">d", cells[b"f:ctr"])[0] if b"f:ctr" in cells else None
    return _long(cells[b"f:impressions"]), _long(cells[b"f:clicks"]), ctr


def _long(data: bytes) -> int:
    value: int = struct.unpack(">q", data)[0]
    return value
