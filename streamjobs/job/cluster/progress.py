"""Reads a running job's counters from Flink's metrics and the broker's offsets."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

from connectors.kafka import KafkaConsumer, committed_offsets
from streamjobs.brokers.kafka import KafkaConnection
from streamjobs.job.cluster.rest import FlinkRest
from streamjobs.job.cluster.unread import Unread
from streamjobs.job.plan.job_plan import JobPlan
from streamjobs.retry import RetryPolicy, SystemClock, call_with_retries

_PATIENCE = RetryPolicy(first_delay_s=0.2, max_delay_s=1.0, budget_s=20.0)
_STILL_S = 1.0
"""Unread messages are checked for heartbeats when no row has moved for so long: then there are few."""
NO_WATERMARK_MS = -(2**63)
_OFFSET = re.compile(
    r"\d+\.Source__.*\.KafkaSourceReader\.topic\.(?P<topic>.+)\.partition\.(?P<partition>\d+)\.currentOffset$"
)
_MESSAGES = re.compile(r"\d+\.Source__[^.]*\.numRecordsIn$")
_HEARTBEATING = re.compile(r"\d+\.Source__[^.]*__raw_[^.]*\.numRecordsIn$")
"""Messages of row-change tables, with heartbeats among them."""
_ROWS = re.compile(r"\d+\.PythonCorrelate\[\d+\]\.numRecordsOut$")
_WRITTEN = re.compile(r"\d+\.(?!__dead_letters)[^.]*__Writer\.numRecordsIn$")
_DEAD = re.compile(r"\d+\.__dead_letters\[\d+\]__Writer\.numRecordsIn$")
_LATE_DROPPED = re.compile(r"\d+\.[^.]*\.(?:numLateRecordsDropped|numElementsDropped)$")
_WATERMARK = re.compile(r"\d+\.currentInputWatermark$")


@dataclass(frozen=True)
class Progress:
    """The progress of a job.

    `messages_in` and `rows_in` count what was read and parsed since the last restart, `rows_out` the rows
    passed to sinks, `dead_letters` the rows sent to the dead-letter topic. `pending` is the number of unread
    messages in the topics; while no row moves, heartbeats at the end of a topic do not count. `watermark_ms`
    is None in a job without event time, and before the first watermark. `dropped_late` counts rows that an
    operator dropped silently: if it is not 0, something is wrong.
    """

    messages_in: int
    rows_in: int
    rows_out: int
    dead_letters: int
    dropped_late: int
    pending: int
    watermark_ms: int | None
    checkpoints: int
    state: str


class ProgressReader:
    """Reads a job's progress; remembers since when no row has moved (heartbeats move no row)."""

    def __init__(self, rest: FlinkRest, job_id: str, plan: JobPlan) -> None:
        self._rest = rest
        self._job_id = job_id
        self._topics = {topic.replace(".", "_"): (topic, broker) for topic, broker in plan.topics}
        self._has_event_time = plan.has_event_time
        self._sources = tuple(zip(plan.topics, plan.groups, strict=True))
        self._consumers: dict[KafkaConnection, KafkaConsumer] = {}
        self._readers: dict[KafkaConnection, KafkaConsumer] = {}
        self._unread = {broker: self._new_unread(broker) for _, broker in plan.topics}
        self._uncovered = {broker: self._new_unread(broker) for _, broker in plan.topics}
        self._last: tuple[int, ...] = ()
        self.still_since_s = time.monotonic()

    def close(self) -> None:
        """Close the connections to the brokers."""
        for consumers in (self._consumers, self._readers):
            for consumer in consumers.values():
                consumer.close()
            consumers.clear()

    def read(self) -> Progress:
        """Return the job's counters now."""
        state = self._rest.job(self._job_id)
        metrics: dict[str, str] = {}
        for vertex in state.vertices:
            names = [name for name in self._rest.metric_names(self._job_id, vertex) if _wanted(name)]
            for name, value in self._rest.metrics(self._job_id, vertex, names).items():
                metrics[f"{vertex}.{name}"] = value
        flat = {name.partition(".")[2]: value for name, value in metrics.items()}
        counts = [_sum(metrics, pattern) for pattern in (_MESSAGES, _ROWS, _WRITTEN, _DEAD)]
        moved = (counts[0] - _sum(metrics, _HEARTBEATING), *counts[1:])
        if moved != self._last:
            self._last, self.still_since_s = moved, time.monotonic()
        return Progress(
            messages_in=counts[0],
            rows_in=counts[1],
            rows_out=counts[2],
            dead_letters=counts[3],
            dropped_late=_sum(metrics, _LATE_DROPPED),
            pending=self._pending(flat),
            watermark_ms=self._least_watermark(metrics, state.vertices),
            checkpoints=self._rest.checkpoints(self._job_id),
            state=state.state,
        )

    def watermark_ms(self) -> int | None:
        """Return the smallest watermark that enters a stage with event time; None if there is none."""
        return self.read().watermark_ms

    def covered(self) -> int:
        """Return a number that changes whenever a checkpoint covers more input than the one before.

        It is the sum of the offset commits of checkpoints at the broker; without topics, the number of
        checkpoints. If a job restarts again and again, its checkpoints cover nothing new.
        """
        if not self._sources:
            return self._rest.checkpoints(self._job_id)
        return sum(self._committed().values())

    def uncovered(self) -> int:
        """Count the messages that no checkpoint covers yet; a restart does not change this number.

        Heartbeats at the end of a topic do not count.
        """
        committed = self._committed()
        total = 0
        for (topic, broker), group in self._sources:
            begins = self._consumer(broker).beginning_offsets(topic)
            for partition, end in self._consumer(broker).end_offsets(topic).items():
                position = committed.get((group, topic, partition), begins[partition])
                total += self._uncovered[broker].count(topic, partition, position, end)
        return total

    def _committed(self) -> dict[tuple[str, str, int], int]:
        """Return the offset commits of checkpoints, by group, topic and partition."""
        wanted = {(group, topic) for (topic, _), group in self._sources}
        return {
            (group, topic, partition): offset
            for broker, group in {(broker, group) for (_, broker), group in self._sources}
            for (topic, partition), offset in _committed_offsets(broker, group).items()
            if (group, topic) in wanted
        }

    def _least_watermark(self, metrics: Mapping[str, str], vertices: Mapping[str, str]) -> int | None:
        timed = [
            int(value)
            for name, value in metrics.items()
            if _WATERMARK.fullmatch(name.partition(".")[2])
            and not vertices[name.partition(".")[0]].startswith(("Source:", "__dead_letters"))
        ]
        if not self._has_event_time:
            return None  # mini-batches make watermarks of the clock, which always advance
        least = min(timed, default=NO_WATERMARK_MS)
        return None if least == NO_WATERMARK_MS else least

    def _pending(self, metrics: Mapping[str, str]) -> int:
        """Count the messages of each partition between the last one read and its end."""
        still = time.monotonic() - self.still_since_s >= _STILL_S
        read: dict[tuple[str, int], int] = {}
        for name, value in metrics.items():
            match = _OFFSET.fullmatch(name)
            if match:
                key = (match["topic"], int(match["partition"]))
                read[key] = max(read.get(key, -1), int(value))
        pending = 0
        for flat, (topic, broker) in self._topics.items():
            consumer = self._consumer(broker)
            begins = consumer.beginning_offsets(topic)
            for partition, end in consumer.end_offsets(topic).items():
                position = max(read.get((flat, partition), -1) + 1, begins[partition])
                if still:
                    pending += self._unread[broker].count(topic, partition, position, end)
                else:
                    pending += max(end - position, 0)
        return pending

    def _new_unread(self, broker: KafkaConnection) -> Unread:
        def reader() -> KafkaConsumer:
            if broker not in self._readers:
                self._readers[broker] = KafkaConsumer(broker)
            return self._readers[broker]

        return Unread(reader)

    def _consumer(self, broker: KafkaConnection) -> KafkaConsumer:
        if broker not in self._consumers:
            self._consumers[broker] = KafkaConsumer(broker)
        return self._consumers[broker]


def _committed_offsets(broker: KafkaConnection, group: str) -> Mapping[tuple[str, int], int]:
    """Return a group's offset commits; retry, as the first request makes the broker's group coordinator."""
    return call_with_retries(
        lambda: committed_offsets(broker, group), _PATIENCE, clock=SystemClock(), on_retry=lambda *_: None
    )


def _wanted(name: str) -> bool:
    return any(
        pattern.fullmatch(name)
        for pattern in (_OFFSET, _MESSAGES, _ROWS, _WRITTEN, _DEAD, _LATE_DROPPED, _WATERMARK)
    )


def _sum(metrics: Mapping[str, str], pattern: re.Pattern[str]) -> int:
    return sum(
        int(value)
        for name, value in metrics.items()
        if pattern.fullmatch(name.partition(".")[2]) and _is_count(value)
    )


def _is_count(value: str) -> bool:
    return value.lstrip("-").isdigit()
