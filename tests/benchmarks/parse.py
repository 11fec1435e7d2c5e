"""(b) Kafka -> parse -> blackhole, against Flink's own debezium-json on the same rows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connectors.kafka import KafkaProducer, create_topic
from streamjobs.brokers.contract import Envelope
from streamjobs.job.cluster.rest import FlinkRest
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.local.environment import Environment
from tests.benchmarks import meter, rows
from tests.benchmarks.meter import Rate
from thrift_idl.codec import Header, PartitionMessageBuilder

TOPIC: Final = "bench.impression"
PEER_TOPIC: Final = "bench.impression.debezium"
PARTITIONS: Final = 2
WINDOW: Final = (0.25, 0.97)
_BLOCK: Final = 100_000

_SINK: Final = f"CREATE TABLE sink ({rows.COLUMNS}) WITH (type='blackhole');\n"
_OURS: Final = (
    f"CREATE TABLE impression ({rows.COLUMNS})\n"
    f"WITH (type='metaq', topic='{TOPIC}', 'table'='bench.impression', consumerGroup='bench', "
    "'ingest'='append');\n"
)
_PEER_OPTIONS: Final = (
    "'connector'='kafka', 'topic'='{topic}', 'properties.bootstrap.servers'='{bootstrap}', "
    "'properties.group.id'='bench', 'scan.startup.mode'='earliest-offset', 'format'='debezium-json'"
)
_INSERT: Final = f"INSERT INTO sink SELECT {rows.NAMES} FROM impression;\n"
_ROW: Final = f"ROW<{rows.COLUMNS}>"
_PLACE: Final = "`offset` BIGINT METADATA, `row` INT METADATA"
_DEBEZIUM: Final = (
    f"`before` {_ROW}, `after` {_ROW}, op STRING, ts_ms BIGINT, "
    "source ROW<db STRING, `table` STRING, file STRING, pos BIGINT, `row` INT, ts_ms BIGINT>"
)
_AS_DEBEZIUM: Final = (
    f"INSERT INTO sink SELECT CAST(NULL AS {_ROW}), CAST(ROW({rows.NAMES}) AS {_ROW}), 'c', ts, "
    "ROW('bench', 'impression', 'mysql-bin.000001', `offset`, `row`, ts) FROM impression;\n"
)
"""The peer's messages say of a row what ours say: where it stood in the source and when it was committed.

Flink's own debezium-json writer omits the `source` block, Debezium never does; ours has `seq` and the commit
time in each row.
"""
SINK_METRIC: Final = r"^\d+\.sink\[\d+\]__Writer\.numRecordsIn$"


@dataclass(frozen=True)
class ParseRun:
    """One run of one side: `side` is `thrift` or `debezium-json`."""

    side: str
    parallelism: int
    round: int
    rate: Rate


class ParseBench:
    """The topics and job files of this benchmark on one environment."""

    def __init__(self, environment: Environment, directory: Path, total: int) -> None:
        self._environment = environment
        self._directory = directory
        self.total = total
        self._session = FlinkSession(environment.flink.rest_url)
        self._rest = FlinkRest(environment.flink.rest_url)
        options = _PEER_OPTIONS.format(topic=PEER_TOPIC, bootstrap=environment.kafka.bootstrap)
        self.files = {
            "thrift": self._write("bench_thrift", _OURS + _SINK + _INSERT),
            "debezium-json": self._write(
                "bench_debezium",
                f"CREATE TABLE impression ({rows.COLUMNS}) WITH ({options});\n{_SINK}{_INSERT}",
            ),
        }
        plain = options.replace("'debezium-json'", "'json'")
        self._copy = self._write(
            "bench_copy",
            _OURS.replace(rows.COLUMNS, f"{rows.COLUMNS}, {_PLACE}")
            + f"CREATE TABLE sink ({_DEBEZIUM}) WITH ({plain});\n{_AS_DEBEZIUM}",
        )

    def _write(self, name: str, sql: str) -> Path:
        path = self._directory / f"{name}.sql"
        path.write_text(sql, encoding="utf-8")
        return path

    def fill(self) -> None:
        """Write the rows as our messages, and let Flink copy them to the peer's topic as Debezium would."""
        bootstrap = self._environment.kafka.bootstrap
        builder = PartitionMessageBuilder(PARTITIONS, disorder_ms=0)
        for topic in (TOPIC, PEER_TOPIC):
            create_topic(bootstrap, topic, PARTITIONS)
        for change in rows.changes(min(_BLOCK, self.total)):
            builder.add(change)
        block = list(builder.flush(Header("bench", "ts")))
        with closing(KafkaProducer(bootstrap)) as producer:
            for _ in range(self.total // min(_BLOCK, self.total)):
                for partition, built in block:
                    producer.send(Envelope(TOPIC, partition, built.payload, built.time_ms))
        self._run(self._copy, PARTITIONS, SINK_METRIC, (0.0, 1.0), {})

    def _run(
        self,
        sql: Path,
        parallelism: int,
        metric: str,
        window: tuple[float, float],
        settings: Mapping[str, str],
    ) -> Rate:
        overrides = RunSettings(
            self._environment.kafka.bootstrap, self._directory / "store", parallelism, settings=settings
        )
        job = self._session.start(sql, overrides)
        try:
            rate, _ = meter.steady(
                self._rest, job.job_id, metric, self.total, self._environment.flink.taskmanagers[0].pid,
                window=window, subtasks=parallelism, watch=job.watch,
            )  # fmt: skip
        finally:
            job.cancel()
        return rate

    def once(
        self, side: str, parallelism: int, number: int = 0, settings: Mapping[str, str] | None = None
    ) -> ParseRun:
        """Measure one side once."""
        rate = self._run(self.files[side], parallelism, SINK_METRIC, WINDOW, settings or {})
        return ParseRun(side, parallelism, number, rate)

    def alternate(self, parallelism: int, rounds: int, warm: int) -> list[ParseRun]:
        """Measure both sides in turn, after `warm` turns that only warm the JVM."""
        runs = []
        for number in range(1 - warm, rounds + 1):
            for side in self.files:
                run = self.once(side, parallelism, number)
                if number > 0:
                    runs.append(run)
                print(f"  {time.strftime('%H:%M:%S')} {run}", flush=True)
        return runs
