"""Makes Flink DDL for declared tables that Flink's own connectors read or write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streamjobs.brokers.kafka import KafkaConnection
from streamjobs.dialect.connectors import (
    BlackholeTable,
    Connector,
    Delivery,
    FlinkTable,
    KafkaTable,
    PrintTable,
)
from streamjobs.dialect.nodes import Column, CreateTable
from streamjobs.dialect.scan_start import ScanStart, StartKind
from streamjobs.options.options import Secret

DEAD_LETTER_TABLE = "__dead_letters"
WORKED_ON = "__done_"
"""Prefix of the tables that count the rows of Python sinks."""
TRANSACTION_TIMEOUT_MS = 900_000
"""Kafka's default `transaction.max.timeout.ms`: the broker refuses a longer timeout."""

_KAFKA_SECURITY = "org.apache.kafka.common.security."
_SHADED = "org.apache.flink.kafka.shaded."
"""The package of the Kafka client in Flink's SQL connector: without it, a login module is not found."""


Topic = tuple[str, KafkaConnection]
"""A topic by its name, and the broker that has it."""
Partitions = Mapping[Topic, int]
"""The number of partitions of topics, counted by a preflight."""


@dataclass(frozen=True)
class TableDdl:
    """A CREATE TABLE for Flink whose start of reading may depend on the broker.

    `head` is all before `WITH`, `place` is the table's offset in the file. A table that starts at an `offset`
    names it for each partition of `topic`; a plan, which asks no broker, does not know their number.
    """

    head: str
    options: Mapping[str, str]
    topic: Topic | None = None
    offset: int | None = None
    place: int = 0

    def sql(self, partitions: Partitions | None) -> str:
        """Return the statement. With None the job is only explained, and it names just one partition."""
        options = dict(self.options)
        if self.topic is not None and self.offset is not None:
            count = 1 if partitions is None else partitions[self.topic]
            offsets = ";".join(f"partition:{number},offset:{self.offset}" for number in range(count))
            options["scan.startup.specific-offsets"] = offsets
        return f"{self.head} {with_clause(options)}"


def quoted(name: str) -> str:
    """Return a name in backticks."""
    return "`" + name.replace("`", "``") + "`"


def function_of(what: str, table: str) -> str:
    """Return the name of a function of ours for a table, which is unique for it in any case.

    Flink ignores the case of function names, so `Item` and `item` need different ones.
    Shape: `function_of("write", "Item")` is `__write_^item`.
    """
    spelled = "".join(
        f"^{character.lower()}" if character == "^" or character != character.lower() else character
        for character in table
    )
    return f"__{what}_{spelled}"


def literal(text: str) -> str:
    """Return a text as a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def with_clause(options: Mapping[str, str]) -> str:
    """Return `WITH (…)` with these options."""
    return "WITH (\n" + ",\n".join(f"  {literal(k)} = {literal(v)}" for k, v in options.items()) + "\n)"


def kafka_source(head: str, topic: str, broker: KafkaConnection, group: str, start: ScanStart) -> TableDdl:
    """Return the table `head`, whose raw messages Flink's connector reads from a topic."""
    options = {
        "connector": "kafka",
        "topic": topic,
        **_broker_options(broker),
        "properties.group.id": group,
        "scan.topic-partition-discovery.interval": "60 s",
        "format": "raw",
    } | start_options(start)
    return TableDdl(head, options, (topic, broker), start_offset(start))


def start_offset(start: ScanStart) -> int | None:
    """Return the offset at which every partition is read from; None for any other start."""
    return start.value if start.kind is StartKind.OFFSET else None


def start_options(start: ScanStart) -> dict[str, str]:
    """Return the options for the start of reading, without the offsets of an offset start: see `TableDdl`.

    Offsets that no longer exist stop the job: it never jumps to the latest message silently.
    """
    match start.kind:
        case StartKind.EARLIEST:
            mode = {"scan.startup.mode": "earliest-offset"}
        case StartKind.LATEST:
            mode = {"scan.startup.mode": "latest-offset"}
        case StartKind.GROUP:
            mode = {"scan.startup.mode": "group-offsets"}
        case StartKind.TIME:
            mode = {"scan.startup.mode": "timestamp", "scan.startup.timestamp-millis": str(start.value)}
        case StartKind.OFFSET:
            mode = {"scan.startup.mode": "specific-offsets"}
    return mode | {"properties.auto.offset.reset": "none"}


def kafka_dead_letters(broker: KafkaConnection, topic: str) -> str:
    """Return the DDL of the table that dead letters are written to."""
    options = {
        "connector": "kafka",
        "topic": topic,
        **_broker_options(broker),
        "properties.max.request.size": str(16 << 20),
        "format": "raw",
        "sink.delivery-guarantee": "at-least-once",
    }
    return f"CREATE TEMPORARY TABLE {quoted(DEAD_LETTER_TABLE)} (`letter` STRING) {with_clause(options)}"


def native_table(
    table: CreateTable, connector: Connector, broker: KafkaConnection | None, job: str
) -> TableDdl:
    """Return Flink's DDL of a declared table; `broker` is that of a KafkaTable."""
    head = f"CREATE TEMPORARY TABLE {quoted(table.name)} (\n{_body(table)}\n)"
    match connector:
        case KafkaTable() if broker is not None:
            options = _kafka(table, connector, broker, job)
            return TableDdl(head, options, (connector.topic, broker), start_offset(connector.start))
        case BlackholeTable():
            options = {"connector": "blackhole"}
        case PrintTable():
            options = {"connector": "print", "standard-error": str(connector.standard_error).lower()}
            if connector.identifier:
                options["print-identifier"] = connector.identifier
        case FlinkTable():
            options = {entry.key: _shaded(entry.key, entry.value) for entry in table.options.entries}
        case _:
            message = f"{connector} is not Flink's"
            raise AssertionError(message)
    return TableDdl(head, options)


def _kafka(table: CreateTable, connector: KafkaTable, broker: KafkaConnection, job: str) -> dict[str, str]:
    options = {
        "connector": "kafka",
        "topic": connector.topic,
        **_broker_options(broker),
        "properties.group.id": connector.consumer_group or job,
        "format": connector.format,
        "sink.delivery-guarantee": connector.delivery.value,
    } | start_options(connector.start)
    if connector.delivery is Delivery.EXACTLY_ONCE:
        options["sink.transactional-id-prefix"] = connector.transaction_prefix or f"{job}.{table.name}"
        options["properties.transaction.timeout.ms"] = str(TRANSACTION_TIMEOUT_MS)
    if connector.sink_parallelism is not None:
        options["sink.parallelism"] = str(connector.sink_parallelism)
    options |= connector.format_options
    for key, value in connector.properties.items():
        options |= _properties({key: value.reveal() if isinstance(value, Secret) else value})
    return options


def _broker_options(broker: KafkaConnection) -> dict[str, str]:
    """Return the options with which Flink's own client reaches the broker, secrets in clear text."""
    return _properties(broker.java_properties())


def _properties(properties: Mapping[str, str]) -> dict[str, str]:
    return {
        name: _shaded(name, value)
        for name, value in ((f"properties.{key}", value) for key, value in properties.items())
    }


def _shaded(option: str, value: str) -> str:
    """Return an option's value; in a login, with the module's name as in Flink's SQL connector."""
    if option != "properties.sasl.jaas.config" or _SHADED in value:
        return value
    return value.replace(_KAFKA_SECURITY, _SHADED + _KAFKA_SECURITY)


def _body(table: CreateTable) -> str:
    lines = [f"  {_column(column)}" for column in table.columns]
    if table.primary_key:
        lines.append(f"  PRIMARY KEY ({', '.join(map(quoted, table.primary_key))}) NOT ENFORCED")
    if table.watermark is not None:
        lines.append(f"  WATERMARK FOR {quoted(table.watermark.column)} AS {table.watermark.expr}")
    return ",\n".join(lines)


def _column(column: Column) -> str:
    name = quoted(column.name)
    if column.computed is not None:
        return f"{name} AS {column.computed}"
    text = f"{name} {column.type}{'' if column.nullable else ' NOT NULL'}"
    if column.metadata_from is not None:
        text += f" METADATA FROM {literal(column.metadata_from)}{' VIRTUAL' if column.virtual else ''}"
    return text
