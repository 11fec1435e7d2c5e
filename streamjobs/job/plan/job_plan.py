"""The plan of a job: all that is passed to Flink, as text and data. The explained plan is the one that runs.

A plan is made once (`planning.py`), shown, and passed to the process that submits it; `flink_job.py` only
carries it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamjobs.brokers.kafka import KafkaConnection
from streamjobs.job.plan.flink_ddl import TableDdl, Topic
from streamjobs.job.plan.flink_topics import FlinkTopic
from streamjobs.job.plan.lookups import RegisterLookup
from streamjobs.job.plan.outer_interval_joins import OuterJoin
from streamjobs.job.plan.sources import SourcePlan
from streamjobs.job.plan.written import Written
from streamjobs.sinks.contract import SinkTable

DEFAULT_STORE_PATH = ".streamjobs/rocksdb"
DEAD_LETTER_TOPIC = "streamjobs.dead_letters"
DEFAULT_SETTINGS: Mapping[str, str] = {
    "table.local-time-zone": "UTC",
    "state.backend.type": "rocksdb",
    "execution.checkpointing.interval": "10 s",
    "execution.checkpointing.timeout": "30 min",
    "execution.checkpointing.tolerable-failed-checkpoints": "100",
    "restart-strategy.type": "exponential-delay",
    "restart-strategy.exponential-delay.initial-backoff": "500 ms",
    "restart-strategy.exponential-delay.max-backoff": "30 s",
    "restart-strategy.exponential-delay.reset-backoff-threshold": "2 min",
    "pipeline.object-reuse": "true",
    "table.optimizer.agg-phase-strategy": "ONE_PHASE",
    "python.fn-execution.bundle.size": "100000",
    "python.fn-execution.arrow.batch.size": "5000",
    "python.fn-execution.bundle.time": "100",
}
"""The settings of a job unless its file changes them. DESIGN §6 has the measurements for the bundle size.

Rows of a bundle are returned when it ends: a bundle of one second keeps all rows of that second in memory."""


@dataclass(frozen=True)
class RegisterFunction:
    """A Python function under a SQL name; `path` is `module.attribute`.

    `offset` is the offset in the file where it is declared, None for one that the file only calls.
    """

    name: str
    path: str
    offset: int | None = None


@dataclass(frozen=True)
class Execute:
    """A statement that Flink executes unchanged."""

    statement: Written


@dataclass(frozen=True)
class FlinkInsert:
    """`INSERT INTO` a table that Flink itself writes; `target` is "" for dead letters, which are ours."""

    statement: Written
    target: str = ""


@dataclass(frozen=True)
class PythonInsert:
    """A query whose rows a Python sink writes.

    `on_conflict` is the job's ON CONFLICT clause, None if the file has none. `offset` is the offset of the
    INSERT in the file, for errors.
    """

    kind: str
    table: SinkTable
    query: Written
    on_conflict: str | None
    offset: int

    @property
    def statement(self) -> Written:
        """Return the query, the statement's text in the file."""
        return self.query


Step = Execute | TableDdl | RegisterFunction | RegisterLookup | SourcePlan
Insert = FlinkInsert | PythonInsert


@dataclass(frozen=True)
class JobPlan:
    """A whole job.

    `steps` are carried out in order, then all of `inserts` run as one job. `settings` are Flink's.
    """

    name: str
    path: str
    text: str
    settings: Mapping[str, str]
    steps: tuple[Step, ...]
    inserts: tuple[Insert, ...]
    dead_letter_broker: KafkaConnection
    warnings: tuple[str, ...] = ()
    topics: tuple[Topic, ...] = ()
    """Topics that are read, each with its broker: for the preflight."""
    offset_topics: tuple[Topic, ...] = ()
    """Topics that are read from an offset on: the preflight counts their partitions."""
    groups: tuple[str, ...] = ()
    """For each of `topics`, the consumer group whose offsets every checkpoint commits."""
    flink_topics: tuple[FlinkTopic, ...] = ()
    """Topics that Flink's own connector reads or writes: for the preflight."""
    outer_joins: tuple[OuterJoin, ...] = ()
    """Joins that Flink may turn into outer interval joins: if there are any, its plan is checked for them."""
    lookups: Mapping[str, int] = field(default_factory=dict)
    """Tables that lookup joins read -> the offset of the first such join in the file, for errors."""
    has_event_time: bool = True
    """Whether a source has event time; if none has, mini-batching makes watermarks of the clock."""
