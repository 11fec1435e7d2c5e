"""The plan of a job: all that will be handed to Flink, as text and data. What is explained is what runs.

Pure: no Flink, no network. `flink.py` only carries it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streamjobs.dialect.connectors import Connector, KafkaTable, MetaqTable, StoreTable
from streamjobs.dialect.nodes import (
    CreateFunction,
    CreateTable,
    CreateView,
    IgnoredSetting,
    InsertInto,
    Script,
    SetStatement,
)
from streamjobs.dialect.rules import check
from streamjobs.dialect.scan_start import StartKind
from streamjobs.dialect.statements import parse_script
from streamjobs.errors import ConfigError
from streamjobs.job.lookups import Lookups, RegisterLookup, function_name
from streamjobs.job.native import kafka_dead_letters, native_table, quoted
from streamjobs.job.padding import OuterJoin, outer_joins
from streamjobs.job.sources import SourcePlan, plan_raw_table, plan_source
from streamjobs.kafka_connection import KafkaConnection, connection_of
from streamjobs.sink import SinkColumn, SinkTable
from udfs import FUNCTIONS

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
"""What a job runs with unless its file says otherwise. The bundle size is DESIGN §6's measured knob.

Rows of a bundle come back when it ends: a bundle of a second keeps all rows of that second in memory."""


def _not_asked(_broker: KafkaConnection, topic: str) -> int:
    message = f"how many partitions {topic} has is known when the job is submitted"
    raise ConfigError(message)


@dataclass(frozen=True)
class Brokers:
    """Where the profiles' brokers are: name -> how to reach it, or its bootstrap servers alone.

    `partitions` gives the number of a topic's partitions from connection and topic; it is only asked for a
    table that starts at an offset. Raises ConfigError where there is no such topic.
    """

    known: Mapping[str, str | KafkaConnection]
    partitions: Callable[[KafkaConnection, str], int] = _not_asked

    def connection(self, name: str) -> KafkaConnection:
        """Give how to reach a profile's broker. Raises KeyError."""
        return connection_of(self.known[name])


@dataclass(frozen=True)
class RegisterFunction:
    """A Python function under a SQL name; `path` is `module.attribute`."""

    name: str
    path: str


@dataclass(frozen=True)
class Execute:
    """A statement for Flink as it stands."""

    sql: str


@dataclass(frozen=True)
class NativeInsert:
    """`INSERT INTO` a table that Flink itself writes."""

    sql: str


@dataclass(frozen=True)
class PythonInsert:
    """A query whose rows a Python sink writes.

    `on_conflict` is the job's own word on its key, None when the file has none. `offset` is the place of
    the INSERT in the file, for errors.
    """

    kind: str
    table: SinkTable
    query: str
    on_conflict: str | None
    offset: int


Step = Execute | RegisterFunction | RegisterLookup | SourcePlan
Insert = NativeInsert | PythonInsert


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
    topics: tuple[tuple[str, KafkaConnection], ...] = field(default=())
    """Topics that are read, each with its broker: for the preflight."""
    groups: tuple[str, ...] = ()
    """For each of `topics`, the consumer group to which every checkpoint commits what it covers."""
    outer_joins: tuple[OuterJoin, ...] = ()
    """What Flink may turn into outer interval joins: then its plan is read for what stands behind them."""
    lookups: Mapping[str, int] = field(default_factory=dict)
    """Tables that lookup joins read -> the place of the first such join in the file, for errors."""
    has_event_time: bool = True
    """Whether a source has event time; without, mini-batching makes watermarks of the clock's."""


def plan_job(
    text: str,
    path: str,
    name: str,
    brokers: Brokers,
    *,
    store_path: str,
    overrides: Mapping[str, str] | None = None,
    disorder_ms: int | None = None,
    env: Mapping[str, str] | None = None,
) -> JobPlan:
    """Plan a job's SQL file.

    `overrides` are Flink settings that win over the file's. `store_path` is the absolute directory of
    embedded stores that name no other; a relative one is taken from the current directory. `disorder_ms`
    overrides the disorder bound of every source.
    Raises SqlError, with the place, at the first thing that is refused.
    """
    script = parse_script(text, path)
    checked = check(script, env)
    checked.raise_first_error()
    planner = _Planner(script, checked.connectors, name, brokers, store_path, disorder_ms)
    steps, inserts = planner.plan()
    settings = dict(DEFAULT_SETTINGS)
    settings.update({each.key: each.value for each in script.settings})
    settings.update(overrides or {})
    settings["pipeline.name"] = name
    warnings = [script.error(each.message, each.span) for each in checked.warnings]
    return JobPlan(
        name, path, text, settings, tuple(steps), tuple(inserts),
        brokers.connection("default"), tuple(map(str, warnings)), tuple(planner.topics),
        tuple(planner.groups), outer_joins(script), planner.lookups, planner.has_event_time,
    )  # fmt: skip


class _Planner:
    def __init__(
        self,
        script: Script,
        connectors: Mapping[str, Connector],
        name: str,
        brokers: Brokers,
        store_path: str,
        disorder_ms: int | None,
    ) -> None:
        self._script = script
        self._disorder_ms = disorder_ms
        self._connectors = connectors
        self._name = name
        self._brokers = brokers
        self._store_path = store_path
        self._tables = {table.name: table for table in script.tables}
        self.topics: list[tuple[str, KafkaConnection]] = []
        self.groups: list[str] = []
        self.has_event_time = False
        self._lookups = Lookups(script, connectors)
        self.lookups = {join.table: join.span.start for join in reversed(self._lookups.joins)}

    def plan(self) -> tuple[list[Step], list[Insert]]:
        steps: list[Step] = list(self._known_functions())
        inserts: list[Insert] = []
        for statement in self._script.statements:
            match statement:
                case CreateTable():
                    steps += self._table(statement)
                case CreateView():
                    columns = ", ".join(quoted(each.text) for each in statement.columns)
                    head = f"CREATE TEMPORARY VIEW {quoted(statement.name)}"
                    steps.append(
                        Execute(
                            f"{head}{f' ({columns})' if columns else ''} AS\n{self._lookups.query(statement)}"
                        )
                    )
                case CreateFunction():
                    steps.append(RegisterFunction(statement.name, statement.path))
                case InsertInto():
                    inserts.append(self._insert(statement))
                case SetStatement() | IgnoredSetting():
                    pass
        sources = [step for step in steps if isinstance(step, SourcePlan)]
        parsed = {source.name for source in sources}
        self.has_event_time = any(source.rowtime for source in sources) or any(
            table.watermark is not None and table.name not in parsed for table in self._script.tables
        )
        if any(source.dead_letters for source in sources):
            steps.append(Execute(kafka_dead_letters(self._brokers.connection("default"), DEAD_LETTER_TOPIC)))
            inserts += [NativeInsert(source.dead_letters) for source in sources if source.dead_letters]
        return steps, inserts

    def _broker(self, table: CreateTable, broker: str) -> KafkaConnection:
        try:
            return self._brokers.connection(broker)
        except KeyError:
            known = ", ".join(self._brokers.known)
            message = f"the profile has no broker {broker!r}; it has {known}"
            raise self._script.error(message, table.name_span) from None

    def _table(self, table: CreateTable) -> list[Step]:
        connector = self._connectors[table.name]
        if isinstance(connector, StoreTable):
            if table.name not in self.lookups:
                return []
            store = sink_table(table, connector, self._store_path)
            return [RegisterLookup(function_name(table.name), connector.kind, store)]
        if isinstance(connector, MetaqTable):
            broker = self._broker(table, connector.broker)
            self.topics.append((connector.topic, broker))
            self.groups.append(connector.consumer_group or self._name)
            self._refuse_tag(table, connector)
            count = self._partitions(table, connector, broker)
            if connector.table is None:
                return [Execute(plan_raw_table(table, connector, broker, self._name, count))]
            return [plan_source(table, connector, broker, self._name, self._script, self._disorder_ms, count)]
        if isinstance(connector, KafkaTable):
            broker = self._broker(table, connector.broker)
            count = self._partitions(table, connector, broker)
            return [Execute(native_table(table, connector, broker, self._name, count))]
        return [Execute(native_table(table, connector, None, self._name))]

    def _partitions(
        self, table: CreateTable, connector: MetaqTable | KafkaTable, broker: KafkaConnection
    ) -> int:
        """Give the number of the topic's partitions, 0 where nothing asks for it."""
        if connector.start.kind is not StartKind.OFFSET:
            return 0
        try:
            return self._brokers.partitions(broker, connector.topic)
        except ConfigError as exc:
            message = f"startMessageOffset is an offset in each partition: {exc}"
            raise self._script.error(message, table.options.entry("startMessageOffset").value_span) from exc

    def _refuse_tag(self, table: CreateTable, connector: MetaqTable) -> None:
        if connector.tag is not None:
            message = (
                f"a Kafka topic has no tags: {connector.topic} would be read whole; filter by a column, or "
                "give these messages a topic of their own"
            )
            raise self._script.error(message, table.options.entry("tag").key_span)

    def _known_functions(self) -> Iterator[RegisterFunction]:
        """Give the functions of `udfs.FUNCTIONS` that the job calls and does not declare itself."""
        declared = {function.name.upper() for function in self._script.functions}
        words = {token.name.upper() for token in self._script.tokens if token.is_name}
        for name, path in FUNCTIONS.items():
            if name.upper() in words - declared:
                yield RegisterFunction(name, path)

    def _insert(self, insert: InsertInto) -> Insert:
        table = self._tables.get(insert.target)
        if table is None:
            message = f"there is no table {insert.target}; the file declares {', '.join(self._tables)}"
            raise self._script.error(message, insert.target_span)
        connector, query = self._connectors[table.name], self._lookups.query(insert)
        if not isinstance(connector, StoreTable):
            columns = ", ".join(quoted(each.text) for each in insert.columns)
            target = quoted(table.name) + (f" ({columns})" if columns else "")
            conflict = f"\nON CONFLICT DO {insert.on_conflict}" if insert.on_conflict else ""
            return NativeInsert(f"INSERT INTO {target}\n{query}{conflict}")
        return PythonInsert(
            connector.kind, sink_table(table, connector, self._store_path),
            self._ordered(insert, query, table), insert.on_conflict, insert.target_span.start,
        )  # fmt: skip

    def _ordered(self, insert: InsertInto, query: str, table: CreateTable) -> str:
        """Give the query; with a column list, wrapped so that its columns stand in the table's order."""
        if not insert.columns:
            return query
        given = {each.text: place for place, each in enumerate(insert.columns)}
        for name in given:
            if table.column(name) is None:
                message = f"{table.name} has no column {name}"
                raise self._script.error(message, insert.target_span)
        deleting = table.options.get("deleteWhenNull")
        if deleting is not None and deleting not in given:
            message = f"{deleting} is not given: by 'deleteWhenNull' each of these rows would be a delete"
            raise self._script.error(message, insert.target_span)
        names = ", ".join(quoted(name) for name in given)
        selected = ", ".join(
            quoted(column.name)
            if column.name in given
            else f"CAST(NULL AS {column.type}) AS {quoted(column.name)}"
            for column in table.physical_columns
        )
        return f"SELECT {selected} FROM (\n{query}\n) AS `__given` ({names})"


def sink_table(table: CreateTable, connector: StoreTable, store_path: str) -> SinkTable:
    """Give what a Python sink needs to know of its declared table."""
    columns = tuple(
        SinkColumn(column.name, column.type, column.nullable) for column in table.physical_columns
    )
    options = {name: text for name, text in connector.options.items() if name != "type"}
    if connector.kind == "rocksdb":
        path = options.get("path", DEFAULT_STORE_PATH)
        options["path"] = store_path if path == DEFAULT_STORE_PATH else str(Path(str(path)).absolute())
    return SinkTable(table.name, columns, table.primary_key, options)
