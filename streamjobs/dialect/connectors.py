"""The connectors of declared tables: each `type`, its legal options, and its typed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from streamjobs.dialect import kafka_properties
from streamjobs.dialect.scan_start import START_OPTIONS, ScanStart
from streamjobs.options.options import Option, OptionKind, OptionSet, Secret
from streamjobs.options.store_options import STORE_OPTIONS


class Ingest(Enum):
    """How row changes become rows of a table.

    APPEND: events that never change. UPSERT: the latest row of each key. VERSIONED: every version, for joins
    as of event time. CHANGELOG (trust the log) is known by name but refused for now.
    """

    APPEND = "append"
    UPSERT = "upsert"
    VERSIONED = "versioned"
    CHANGELOG = "changelog"


class Delivery(Enum):
    """The guarantee of a Kafka sink. EXACTLY_ONCE holds for readers with read_committed."""

    AT_LEAST_ONCE = "at-least-once"
    EXACTLY_ONCE = "exactly-once"


class Role(Enum):
    """What a table may be used for; for UNKNOWN Flink decides."""

    SOURCE = "source"
    SINK = "sink"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class MetaqTable:
    """A topic of row changes.

    `table` is `database.table` as in the messages, None for a table of raw messages, which a parser function
    reads; then `ingest` is None too. `broker` names a profile. `casts` are the columns whose values may be
    converted although the types differ. `tag` and `consumer_group` are None if not set.
    """

    topic: str
    table: str | None
    ingest: Ingest | None
    consumer_group: str | None
    start: ScanStart
    broker: str
    tag: str | None
    pull_interval_ms: int | None
    casts: frozenset[str]
    skip_all_exception: bool
    role: Role = Role.SOURCE


@dataclass(frozen=True)
class KafkaTable:
    """A topic of formatted messages, read or written by Flink's own connector.

    `properties` are client properties without the prefix `properties.`; `format_options` are passed to Flink
    under the same names (`json.ignore-parse-errors`, `key.fields`).
    """

    topic: str
    format: str
    delivery: Delivery
    transaction_prefix: str | None
    consumer_group: str | None
    start: ScanStart
    broker: str
    sink_parallelism: int | None
    properties: Mapping[str, str | Secret]
    format_options: Mapping[str, str]
    role: Role = Role.UNKNOWN


@dataclass(frozen=True)
class StoreTable:
    """A table in a store that a Python sink writes.

    `kind` is the connector's name (`mysql`, also for `type='rds'`). `options` are those that the file sets,
    by their declared names: each as written, or as a Secret if it is one.
    """

    kind: str
    options: Mapping[str, str | Secret]
    role: Role = Role.SINK


@dataclass(frozen=True)
class BlackholeTable:
    """A sink that drops all rows."""

    role: Role = Role.SINK


@dataclass(frozen=True)
class PrintTable:
    """A sink that prints to the TaskManager's log, each row after `identifier` ("" for none)."""

    identifier: str
    standard_error: bool
    role: Role = Role.SINK


@dataclass(frozen=True)
class FlinkTable:
    """A table with `'connector'='…'`: one of Flink's own connectors, with its options as written."""

    connector: str
    role: Role = Role.UNKNOWN


Connector = MetaqTable | KafkaTable | StoreTable | BlackholeTable | PrintTable | FlinkTable

_TYPE = Option("type", "the kind of table", required=True)
_BROKER = Option("broker", "the profile of the broker", default="default")
_TOPIC = Option("topic", "the topic to read or write", required=True)
_GROUP = Option("consumerGroup", "the consumer group", aliases=("consumer-group",))

METAQ_OPTIONS = OptionSet(
    (
        _TYPE,
        _TOPIC,
        Option("table", "database.table in the messages; without it the table holds raw messages"),
        _GROUP,
        Option(
            "ingest",
            "how row changes become rows; default: upsert with a primary key, append without",
            choices=tuple(each.value for each in Ingest),
        ),
        *START_OPTIONS,
        _BROKER,
        Option("tag", "read messages with this tag only: refused for Kafka, which has none"),
        Option(
            "pullIntervalMs", "Blink's; no effect: messages are read as they arrive", OptionKind.DURATION_MS
        ),
        Option(
            "skipAllException",
            "drop and count rows that cannot be parsed, instead of sending them to the dead-letter topic",
            OptionKind.FLAG,
            default="false",
            aliases=("skip_all_exception", "skip-all-exception"),
        ),
        Option("cast.*", "convert the column although the types differ", OptionKind.FLAG),
    )
)
BLACKHOLE_OPTIONS = OptionSet((_TYPE,))
PRINT_OPTIONS = OptionSet(
    (
        _TYPE,
        Option("print-identifier", "printed before each row"),
        Option("standard-error", "print to standard error", OptionKind.FLAG, default="false"),
    )
)
_SECRETS = tuple(
    Option(f"properties.{name}", "a client property", secret=True)
    for name in kafka_properties.SECRET_PROPERTIES
)


def kafka_options(format_: str) -> OptionSet:
    """Return the options of `type='kafka'` with that format; options of the format are passed on to Flink."""
    return OptionSet(
        (
            _TYPE,
            _TOPIC,
            Option("format", "the format of the messages, such as json", required=True),
            Option(
                "delivery",
                "the guarantee of the sink",
                default=Delivery.AT_LEAST_ONCE.value,
                choices=tuple(each.value for each in Delivery),
            ),
            Option("transactionPrefix", "prefix of transaction ids", aliases=("transaction-prefix",)),
            _GROUP,
            *START_OPTIONS,
            _BROKER,
            Option("sink.parallelism", "number of writers", OptionKind.INTEGER, minimum=1),
            *_SECRETS,
            Option("properties.*", "a client property"),
            Option("key.*", "an option of the key's format"),
            Option("value.*", "an option of the value's format"),
            Option(f"{format_}.*", "an option of the format"),
        )
    )


TYPES: Mapping[str, OptionSet] = {
    "metaq": METAQ_OPTIONS,
    "kafka": kafka_options("json"),
    **STORE_OPTIONS,
    "blackhole": BLACKHOLE_OPTIONS,
    "print": PRINT_OPTIONS,
}
"""Every `type` and its options; those of kafka are for its most common format, json."""
