"""The topics that Flink's own connector reads and writes for a job: for the preflight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from streamjobs.dialect.connectors import Connector, KafkaTable
from streamjobs.dialect.nodes import CreateTable, Script
from streamjobs.job.native import Topic


@dataclass(frozen=True)
class NativeTopic:
    """A topic of a `type='kafka'` table; `creates`: the profile lets a job create it when it only writes it.

    Shape: `NativeTopic("sample_topic", ("samples", KafkaConnection("10.0.0.1:9092")), written=True)`.
    """

    table: str
    topic: Topic
    read: bool = False
    written: bool = False
    creates: bool = False


def native_topics(
    script: Script,
    connectors: Mapping[str, Connector],
    broker_of: Callable[[CreateTable, KafkaTable], Topic],
    creating: frozenset[str],
) -> Iterator[NativeTopic]:
    """Yield those of the tables that a job uses. `creating` are names of brokers that may get new topics."""
    targets = Counter(insert.target for insert in script.inserts)
    words = Counter(token.name for token in script.tokens if token.is_name)
    for table in script.tables:
        connector = connectors[table.name]
        if not isinstance(connector, KafkaTable):
            continue
        written = table.name in targets
        read = words[table.name] > 1 + targets[table.name]  # it is declared once, and written so often
        if read or written:
            may_create = connector.broker in creating and not read
            yield NativeTopic(table.name, broker_of(table, connector), read, written, may_create)
