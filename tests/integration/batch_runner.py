"""A job runner without a cluster: it computes all in one batch, at the drain, with the SQLite oracle.

It fulfils the JobRunner contract over real Kafka and a real store, so the demo is tested without Flink; and
it can be told to make one mistake, so that the demo's judgement can be tested too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, auto

from connectors.kafka import KafkaConsumer, KafkaProducer, read_topic
from connectors.rocksdb import RocksDbSink
from streamjobs.brokers.contract import Envelope
from streamjobs.changes.dead_letter import DeadLetter, Stage
from streamjobs.changes.row_change import RowChange
from streamjobs.demo.runner import MAX_WATERMARK_MS
from streamjobs.demo.tables import CTR_COLUMNS, CTR_TOPICS, DEAD_LETTER_TOPIC, TABLES
from streamjobs.errors import DecodeError
from streamjobs.job.plan.job_plan import JobPlan, PythonInsert
from streamjobs.sinks.contract import Attempt, Record, RecordKind, SinkColumn, SinkTable
from tests.acceptance.oracle import Oracle, Row
from thrift_idl.codec import decode

OUTPUT = "ctr_samples"
TYPES = {
    "scene": "STRING",
    "event_time": "TIMESTAMP_LTZ(3)",
    "item_title": "STRING",
    "item_price": "DECIMAL(10, 2)",
    "user_city": "STRING",
}
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Mistake(Enum):
    """One thing that a job could get wrong."""

    NONE = auto()
    LOST_SAMPLE = auto()
    WRONG_LABEL_IN_STORE = auto()
    WRONG_PRICE_IN_TOPIC = auto()
    SAMPLE_TWICE = auto()
    LOST_DEAD_LETTER = auto()
    WRONG_COPIES = auto()


class BatchRunner:
    """Starts batch jobs."""

    def __init__(self, mistake: Mistake = Mistake.NONE) -> None:
        self._mistake = mistake

    def run(self, plan: JobPlan) -> BatchJob:
        assert plan.name == OUTPUT
        return BatchJob(plan, self._mistake)


class BatchJob:
    """Does nothing until it is drained."""

    def __init__(self, plan: JobPlan, mistake: Mistake) -> None:
        (sink,) = [insert.table for insert in plan.inserts if isinstance(insert, PythonInsert)]
        self._bootstrap = plan.dead_letter_broker.bootstrap
        self._store = str(sink.options["path"])
        self._mistake = mistake
        self._watermark_ms: int | None = None

    def watermark_ms(self) -> int | None:
        return self._watermark_ms

    def records_in(self) -> int:
        return 0

    def is_idle(self, seconds: float) -> bool:
        return seconds >= 0

    def cancel(self) -> None:
        """Nothing runs."""

    def drain(self) -> None:
        oracle = Oracle()
        letters: list[DeadLetter] = []
        for topic in CTR_TOPICS:
            with closing(KafkaConsumer(self._bootstrap)) as consumer:
                log = list(read_topic(consumer, topic))
            oracle.load(log)
            letters += [letter for envelope in log for letter in dead_letters(envelope)]
        if self._mistake is Mistake.LOST_DEAD_LETTER:
            letters.pop()
        samples = oracle.ctr_samples()
        if self._mistake is Mistake.LOST_SAMPLE:
            samples.popitem()
        self._write_store(samples)
        self._write_topics(samples, letters)
        self._watermark_ms = MAX_WATERMARK_MS

    def _write_store(self, samples: Mapping[int, Row]) -> None:
        columns = tuple(SinkColumn(name, TYPES.get(name, "BIGINT")) for name in CTR_COLUMNS)
        table = SinkTable(OUTPUT, columns, ("impression_id",), {"path": self._store})
        sink = RocksDbSink(table)
        sink.open(Attempt("batch", 0, 1, 0))
        records: list[Record] = []
        for key, row in sorted(samples.items()):
            values = named(row)
            if self._mistake is Mistake.WRONG_LABEL_IN_STORE and not records:
                values["label"] = 7
            if self._mistake is Mistake.WRONG_COPIES and not records:
                values["copies"] = 7
            records.append(Record((key,), values, RecordKind.UPSERT, len(records)))
        for start in range(0, len(records), 1000):
            assert not sink.write(records[start : start + 1000]).rejected
        sink.close()

    def _write_topics(self, samples: Mapping[int, Row], letters: Sequence[DeadLetter]) -> None:
        with closing(KafkaProducer(self._bootstrap)) as producer:
            for number, row in enumerate(samples.values()):
                payload = as_json(row)
                if self._mistake is Mistake.WRONG_PRICE_IN_TOPIC and number == 0:
                    payload = as_json((*row[:8], Decimal("0.07"), *row[9:]))
                producer.send(Envelope(OUTPUT, 0, payload, 0))
                if self._mistake is Mistake.SAMPLE_TWICE and number == 0:
                    producer.send(Envelope(OUTPUT, 0, payload, 0))
            for letter in letters:
                producer.send(Envelope(DEAD_LETTER_TOPIC, 0, letter.to_json(), 0))


def named(row: Row) -> dict[str, object]:
    values: dict[str, object] = dict(zip(CTR_COLUMNS, row, strict=True))
    time_ms = values["event_time"]
    assert isinstance(time_ms, int)
    return values | {"event_time": EPOCH + timedelta(milliseconds=time_ms)}


def as_json(row: Row) -> bytes:
    """Write the price as a JSON number, digit by digit, as a JSON format would."""
    values = named(row)
    time, price = values["event_time"], values["item_price"]
    assert isinstance(time, datetime)
    values["event_time"] = time.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
    text = json.dumps(values | {"item_price": "@"}, ensure_ascii=False)
    return text.replace('"@"', "null" if price is None else str(price)).encode()


def dead_letters(envelope: Envelope) -> list[DeadLetter]:
    """Judge a message by the IDL's rules."""
    try:
        message = decode(envelope.payload)
    except DecodeError as exc:
        return [_letter(envelope, -1, Stage.DECODE, exc.reason)]
    found = []
    for row, change in enumerate(message.changes):
        time_ms = _event_time(change, message.header.event_time_column)
        if change.schema != TABLES[envelope.topic] or time_ms is None:
            found.append(_letter(envelope, row, Stage.CONVERT, "unfit"))
        elif time_ms < message.time_ms:
            found.append(_letter(envelope, row, Stage.LATE, "late"))
    return found


def _event_time(change: RowChange, column: str | None) -> int | None:
    if column is None:
        return change.committed_at_ms
    value = dict(zip(change.schema.names, change.image, strict=True))[column]
    return int(value) if isinstance(value, bytes) else None


def _letter(envelope: Envelope, row: int, stage: Stage, reason: str) -> DeadLetter:
    partition, offset = envelope.partition, envelope.offset
    assert offset is not None
    letter_id = f"{envelope.place}/{row}"
    return DeadLetter(letter_id, stage, reason, "", OUTPUT, "", envelope.topic, partition, offset, row, 0)
