"""Makes the plan of a job from its SQL file. Pure: no Flink, no network, no file except the job's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from streamjobs.brokers.kafka import KafkaConnection
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
from streamjobs.dialect.statements import parse_script
from streamjobs.errors import ConfigError
from streamjobs.job.plan.flink_ddl import TableDdl, Topic, kafka_dead_letters, native_table, quoted
from streamjobs.job.plan.flink_topics import FlinkTopics
from streamjobs.job.plan.job_plan import (
    DEAD_LETTER_TOPIC,
    DEFAULT_SETTINGS,
    DEFAULT_STORE_PATH,
    Execute,
    FlinkInsert,
    Insert,
    JobPlan,
    PythonInsert,
    RegisterFunction,
    Step,
)
from streamjobs.job.plan.lookups import Lookups, RegisterLookup, function_name
from streamjobs.job.plan.outer_interval_joins import outer_joins
from streamjobs.job.plan.run_settings import DEFAULT_BROKER, RunSettings
from streamjobs.job.plan.sources import SourcePlan, plan_raw_table, plan_source
from streamjobs.job.plan.written import Written
from streamjobs.sinks.contract import SinkColumn, SinkTable
from udfs import FUNCTIONS

_UNREACHABLE = (
    "the topics of table {} are not checked before the job runs: only Flink's own client can log in with "
    "its properties. If one does not exist, the job runs and its checkpoints fail. Name its servers as a "
    "broker in the profile to have them checked"
)


def plan_file(path: Path, settings: RunSettings, env: Mapping[str, str] | None = None) -> JobPlan:
    """Read a job's file and plan it; the job is named after the file.

    Raises SqlError as `plan_job` does, and ConfigError for a file that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as exc:
        message = f"cannot read {path}: {exc}"
        raise ConfigError(message) from exc
    return plan_job(text, str(path), path.stem, settings, env)


def plan_job(
    text: str, path: str, name: str, settings: RunSettings, env: Mapping[str, str] | None = None
) -> JobPlan:
    """Plan the text of a job's file. Secrets read `${NAME}` from `env`, by default from the environment.

    Raises SqlError, with line and column, for all that is refused.
    """
    script = parse_script(text, path)
    checked = check(script, env)
    checked.raise_errors()
    brokers = settings.connections()
    planner = _Planner(script, checked.connectors, name, settings, brokers)
    steps, inserts = planner.plan()
    natives = FlinkTopics(script, checked.connectors, planner.topic_of, brokers, settings.creates_topics)
    flink = dict(DEFAULT_SETTINGS)
    flink.update({each.key: each.value for each in script.settings})
    flink.update(settings.flink_settings())
    flink["pipeline.name"] = name
    return JobPlan(
        name=name,
        path=path,
        text=text,
        settings=flink,
        steps=tuple(steps),
        inserts=tuple(inserts),
        dead_letter_broker=brokers[DEFAULT_BROKER],
        warnings=(
            *(str(script.error(each.message, each.span)) for each in checked.warnings),
            *(
                str(script.error(_UNREACHABLE.format(each.name), each.name_span))
                for each in natives.unreachable
            ),
        ),
        topics=tuple(planner.topics),
        offset_topics=tuple(planner.offset_topics),
        groups=tuple(planner.groups),
        flink_topics=tuple(natives.topics),
        outer_joins=outer_joins(script),
        lookups=planner.lookups,
        has_event_time=planner.has_event_time,
    )


class _Planner:
    def __init__(
        self,
        script: Script,
        connectors: Mapping[str, Connector],
        name: str,
        settings: RunSettings,
        brokers: Mapping[str, KafkaConnection],
    ) -> None:
        self._script = script
        self._disorder_ms = settings.disorder_ms
        self._connectors = connectors
        self._name = name
        self._brokers = brokers
        self._store_path = str(settings.store.absolute())
        self._tables = {table.name: table for table in script.tables}
        self.topics: list[Topic] = []
        self.offset_topics: list[Topic] = []
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
                    head = (
                        f"CREATE TEMPORARY VIEW {quoted(statement.name)}{f' ({columns})' if columns else ''}"
                    )
                    steps.append(Execute(self._lookups.query(statement).inside(f"{head} AS\n")))
                case CreateFunction():
                    steps.append(RegisterFunction(statement.name, statement.path, statement.path_span.start))
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
            letters = kafka_dead_letters(self._brokers[DEFAULT_BROKER], DEAD_LETTER_TOPIC)
            steps.append(Execute(Written(letters, 0)))
            inserts += [
                FlinkInsert(Written(source.dead_letters, self._tables[source.name].name_span.start))
                for source in sources
                if source.dead_letters
            ]
        return steps, inserts

    def topic_of(self, table: CreateTable, connector: KafkaTable) -> Topic:
        """Return the topic of a table with its broker. Raises SqlError for an unknown broker."""
        return connector.topic, self._broker(table, connector.broker)

    def _broker(self, table: CreateTable, broker: str) -> KafkaConnection:
        try:
            return self._brokers[broker]
        except KeyError:
            known = ", ".join(self._brokers)
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
            if connector.table is None:
                return [self._counted(table, plan_raw_table(table, connector, broker, self._name))]
            source = plan_source(table, connector, broker, self._name, self._script, self._disorder_ms)
            return [replace(source, raw_ddl=self._counted(table, source.raw_ddl))]
        broker_or_none = self._broker(table, connector.broker) if isinstance(connector, KafkaTable) else None
        return [self._counted(table, native_table(table, connector, broker_or_none, self._name))]

    def _counted(self, table: CreateTable, ddl: TableDdl) -> TableDdl:
        """Record a table that starts at an offset: the preflight counts the partitions of its topic."""
        if ddl.topic is not None and ddl.offset is not None:
            self.offset_topics.append(ddl.topic)
        return replace(ddl, place=table.name_span.start)

    def _refuse_tag(self, table: CreateTable, connector: MetaqTable) -> None:
        if connector.tag not in (None, "*"):
            message = (
                f"a Kafka topic has no tags: all of {connector.topic} would be read; filter by a column, or "
                "give these messages a topic of their own"
            )
            raise self._script.error(message, table.options.entry("tag").key_span)

    def _known_functions(self) -> Iterator[RegisterFunction]:
        """Yield the functions of `udfs.FUNCTIONS` that the job calls but does not declare itself."""
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
            return FlinkInsert(query.inside(f"INSERT INTO {target}\n", conflict), table.name)
        return PythonInsert(
            connector.kind, sink_table(table, connector, self._store_path),
            self._ordered(insert, query, table), insert.on_conflict, insert.target_span.start,
        )  # fmt: skip

    def _ordered(self, insert: InsertInto, query: Written, table: CreateTable) -> Written:
        """Return the query; with a column list, wrapped so that its columns are in the table's order."""
        if not insert.columns:
            return query
        given = {each.text: index for index, each in enumerate(insert.columns)}
        for name in given:
            if table.column(name) is None:
                message = f"{table.name} has no column {name}"
                raise self._script.error(message, insert.target_span)
        deleting = table.options.get("deleteWhenNull")
        if deleting is not None and deleting not in given:
            message = f"{deleting} is not given: by 'deleteWhenNull' each of these rows would be a delete"
            raise self._script.error(message, insert.target_span)
        origin = table.options.get("originColumn")
        if origin is not None and origin not in given:
            message = f"{origin} is not given: by 'originColumn', dead letters name it as their message"
            raise self._script.error(message, insert.target_span)
        names = ", ".join(quoted(name) for name in given)
        selected = ", ".join(
            quoted(column.name)
            if column.name in given
            else f"CAST(NULL AS {column.type}) AS {quoted(column.name)}"
            for column in table.physical_columns
        )
        return query.inside(f"SELECT {selected} FROM (\n", f"\n) AS `__given` ({names})")


def sink_table(table: CreateTable, connector: StoreTable, store_path: str) -> SinkTable:
    """Return what a Python sink needs to know of its declared table."""
    columns = tuple(
        SinkColumn(column.name, column.type, column.nullable) for column in table.physical_columns
    )
    options = {name: text for name, text in connector.options.items() if name != "type"}
    if connector.kind == "rocksdb":
        path = options.get("path", DEFAULT_STORE_PATH)
        options["path"] = store_path if path == DEFAULT_STORE_PATH else str(Path(str(path)).absolute())
    return SinkTable(table.name, columns, table.primary_key, options)
