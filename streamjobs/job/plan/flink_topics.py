"""Finds the topics that Flink's own connectors read and write for a job; the preflight checks them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from streamjobs.brokers.kafka import KafkaConnection, connection_of_properties
from streamjobs.dialect.connectors import Connector, FlinkTable, KafkaTable
from streamjobs.dialect.nodes import CreateTable, Script
from streamjobs.job.plan.flink_ddl import Topic

_KAFKA_CONNECTORS = ("kafka", "upsert-kafka")
_PROPERTIES = "properties."


@dataclass(frozen=True)
class FlinkTopic:
    """A topic of a table that Flink's own connector reads or writes.

    The table has `type='kafka'`, or names its servers itself with `'connector'='kafka'` or `'upsert-kafka'`.
    `creates`: the job may create the topic, as it only writes it and the profile allows that.

    Shape: `FlinkTopic("sample_topic", ("samples", KafkaConnection("10.0.0.1:9092")), written=True)`.
    """

    table: str
    topic: Topic
    read: bool = False
    written: bool = False
    creates: bool = False


class FlinkTopics:
    """The topics of the tables that a job uses; `brokers` are the profile's, `creating` may get new topics.

    The preflight checks `topics`. `unreachable` are tables of Kafka whose servers only Flink's client can log
    in to: with key stores that are not PEM texts, with Kerberos or tokens.
    """

    def __init__(
        self,
        script: Script,
        connectors: Mapping[str, Connector],
        topic_of: Callable[[CreateTable, KafkaTable], Topic],
        brokers: Mapping[str, KafkaConnection],
        creating: frozenset[str],
    ) -> None:
        self._brokers = brokers
        self._topic_of = topic_of
        self.topics: list[FlinkTopic] = []
        self.unreachable: list[CreateTable] = []
        targets = Counter(insert.target for insert in script.inserts)
        words = Counter(token.name for token in script.tokens if token.is_name)
        for table in script.tables:
            written = table.name in targets
            # more often than by its declaration and its INSERTs
            read = words[table.name] > 1 + targets[table.name]
            if not read and not written:
                continue
            for broker, topic in self._of_table(table, connectors[table.name]):
                creates = broker in creating and not read
                self.topics.append(FlinkTopic(table.name, topic, read, written, creates))

    def _of_table(self, table: CreateTable, connector: Connector) -> Iterator[tuple[str, Topic]]:
        """Yield the topics of a table, each with the profile's name of its broker, "" for none."""
        match connector:
            case KafkaTable():
                yield connector.broker, self._topic_of(table, connector)
            case FlinkTable() if connector.connector in _KAFKA_CONNECTORS:
                found = self._broker(table)
                names = [name.strip() for name in table.options.get("topic", "").split(";")]
                if found is None:
                    self.unreachable.append(table)
                else:
                    yield from ((found[0], (name, found[1])) for name in names if name)
            case _:
                pass

    def _broker(self, table: CreateTable) -> tuple[str, KafkaConnection] | None:
        """Return the profile's broker with the same servers, else one made of the table's properties."""
        properties = {
            entry.key[len(_PROPERTIES) :]: entry.value
            for entry in table.options.entries
            if entry.key.startswith(_PROPERTIES)
        }
        servers = _servers(properties.get("bootstrap.servers", ""))
        for name, broker in self._brokers.items():
            if servers and _servers(broker.bootstrap) == servers:
                return name, broker
        own = connection_of_properties(properties)
        return None if own is None else ("", own)


def _servers(bootstrap: str) -> frozenset[str]:
    return frozenset(server.strip().lower() for server in bootstrap.split(",") if server.strip())
