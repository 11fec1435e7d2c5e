"""(c) The sample job, against the same SQL with plain `json` events and `debezium-json` profiles."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from connectors.kafka import KafkaProducer, create_topic, delete_topic
from streamjobs.brokers.contract import Envelope
from streamjobs.changes.row_change import Row, RowChange, SqlType
from streamjobs.demo.options import TrafficOptions
from streamjobs.demo.packing import Packed
from streamjobs.demo.scenario import JOBS, ad_traffic
from streamjobs.demo.tables import CTR_TOPICS, ITEM_TOPIC, USER_TOPIC
from streamjobs.job.cluster.rest import FlinkRest
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.local.environment import Environment
from tests.benchmarks import meter
from tests.benchmarks.meter import Rate

PARTITIONS: Final = 2
_LEAST_SPAN_MS: Final = 12 * 3_600_000
"""JSON topics have no heartbeats: the attribution window must pass long before the traffic ends."""
WINDOW: Final = (0.2, 0.8)
OUTPUT: Final = "ctr_samples"
_SINK_METRIC: Final = r"^\d+\.sample_topic\[\d+\]__Writer\.numRecordsIn$"
_PLACE: Final = "`partition` INT METADATA VIRTUAL, `offset` BIGINT METADATA VIRTUAL"
_NUMBERS: Final = frozenset({SqlType.BIGINT, SqlType.INT})

_PEER_TABLES: Final[Mapping[str, tuple[str, str, str]]] = {
    "impression": (
        "ad.impression",
        "json",
        "impression_id BIGINT, user_id BIGINT, item_id BIGINT, scene VARCHAR, slot INT, "
        f"event_time_ms BIGINT, {_PLACE}, event_time AS TO_TIMESTAMP_LTZ(event_time_ms, 3), "
        "origin AS CAST(`partition` AS STRING) || '/' || CAST(`offset` AS STRING), "
        "WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND",
    ),
    "click": (
        "ad.click",
        "json",
        "click_id BIGINT, impression_id BIGINT, event_time_ms BIGINT, "
        "event_time AS TO_TIMESTAMP_LTZ(event_time_ms, 3), "
        "WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND",
    ),
    "item": (
        "shop.item",
        "debezium-json",
        "item_id BIGINT, title VARCHAR, category_id BIGINT, price DECIMAL(10, 2), "
        "valid_from TIMESTAMP_LTZ(3) METADATA FROM 'value.ingestion-timestamp' VIRTUAL, "
        "PRIMARY KEY (item_id) NOT ENFORCED, WATERMARK FOR valid_from AS valid_from - INTERVAL '5' SECOND",
    ),
    "`user`": (
        "shop.user",
        "debezium-json",
        "user_id BIGINT, city VARCHAR, age INT, level INT, "
        "valid_from TIMESTAMP_LTZ(3) METADATA FROM 'value.ingestion-timestamp' VIRTUAL, "
        "PRIMARY KEY (user_id) NOT ENFORCED, WATERMARK FOR valid_from AS valid_from - INTERVAL '5' SECOND",
    ),
}
"""Source table of the job file -> topic, format and columns of its stand-in."""


def peer_sql(text: str, bootstrap: str) -> str:
    """Return the job file with its four sources replaced, and all else unchanged."""
    for name, (topic, format_, columns) in _PEER_TABLES.items():
        options = (
            f"'connector'='kafka', 'topic'='json.{topic}', 'properties.bootstrap.servers'='{bootstrap}', "
            f"'properties.group.id'='bench', 'scan.startup.mode'='earliest-offset', 'format'='{format_}'"
        )
        table = f"CREATE TABLE {name} ({columns}) WITH ({options});"
        given = re.compile(rf"CREATE TABLE {name} \(.*?\) WITH \(type='metaq'[^;]*;", re.DOTALL)
        found = given.findall(text)
        assert len(found) == 1, f"the job file has {len(found)} sources {name}"
        text = text.replace(found[0], table)
    return text


@dataclass(frozen=True)
class SampleRun:
    """One run of one side: `side` is `thrift` or `json`. The rate is of samples."""

    side: str
    parallelism: int
    round: int
    rate: Rate


class SampleBench:
    """The topics and job files of this benchmark on one environment."""

    def __init__(self, environment: Environment, directory: Path, impressions: int) -> None:
        self._environment = environment
        self._directory = directory
        self.impressions = impressions
        self._session = FlinkSession(environment.flink.rest_url)
        self._rest = FlinkRest(environment.flink.rest_url)
        ours = (JOBS / "ctr_samples.sql").read_text(encoding="utf-8")
        self.files = {"thrift": directory / "ctr_samples.sql", "json": directory / "ctr_samples_json.sql"}
        self.files["thrift"].write_text(ours, encoding="utf-8")
        self.files["json"].write_text(peer_sql(ours, environment.kafka.bootstrap), encoding="utf-8")

    def fill(self) -> None:
        """Write traffic without faults to our topics, and each row also, as JSON, to the peer's."""
        bootstrap = self._environment.kafka.bootstrap
        options = TrafficOptions(
            impressions=self.impressions, span_ms=max(self.impressions * 100, _LEAST_SPAN_MS),
            late_rate=0, late_click_rate=0, broken_rate=0, poison_rate=0,
        )  # fmt: skip
        scenario = ad_traffic(options, PARTITIONS)
        for topic in CTR_TOPICS:
            create_topic(bootstrap, topic, PARTITIONS)
            create_topic(bootstrap, f"json.{topic}", PARTITIONS)
        with closing(KafkaProducer(bootstrap)) as producer:
            for message in scenario.messages():
                producer.send(Envelope(message.topic, message.partition, message.payload, message.time_ms))
                for time_ms, text in _json(message):
                    producer.send(Envelope(f"json.{message.topic}", message.partition, text, time_ms))

    def once(
        self, side: str, parallelism: int, number: int = 0, settings: Mapping[str, str] | None = None
    ) -> SampleRun:
        """Measure one side once, on an empty table and topic."""
        bootstrap = self._environment.kafka.bootstrap
        delete_topic(bootstrap, OUTPUT)
        create_topic(bootstrap, OUTPUT, PARTITIONS)
        store = self._directory / f"store-{time.monotonic_ns()}"
        job = self._session.start(
            self.files[side], RunSettings(bootstrap, store, parallelism, settings=settings or {})
        )
        try:
            rate, _ = meter.steady(
                self._rest, job.job_id, _SINK_METRIC, self.impressions,
                self._environment.flink.taskmanagers[0].pid, window=WINDOW, subtasks=parallelism,
                watch=job.watch,
            )  # fmt: skip
        finally:
            job.cancel()
        return SampleRun(side, parallelism, number, rate)

    def alternate(self, parallelism: int, rounds: int, warm: int) -> list[SampleRun]:
        """Measure both sides in turn, after `warm` turns that only warm the JVM."""
        runs = []
        for number in range(1 - warm, rounds + 1):
            for side in self.files:
                run = self.once(side, parallelism, number)
                if number > 0:
                    runs.append(run)
                print(f"  {time.strftime('%H:%M:%S')} {run}", flush=True)
        return runs


def _json(message: Packed) -> Iterator[tuple[int, bytes]]:
    """Yield each row's time and text: events as they are, profiles in Debezium's envelope."""
    for change in message.rows:
        if message.topic in (ITEM_TOPIC, USER_TOPIC):
            before, after = _object(change, change.before), _object(change, change.after)
            op = "d" if after is None else "u" if before is not None else "c"
            text = {"before": before, "after": after, "op": op, "ts_ms": change.committed_at_ms}
            yield change.committed_at_ms, orjson.dumps(text)
        else:
            event = _object(change, change.after) or {}
            yield event.get("event_time_ms", message.time_ms), orjson.dumps(event)


def _object(change: RowChange, row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        column.name: None
        if not isinstance(value, bytes)
        else int(value)
        if column.type in _NUMBERS
        else value.decode()
        for column, value in zip(change.schema.columns, row, strict=True)
    }
