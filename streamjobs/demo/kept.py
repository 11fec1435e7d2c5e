"""The content of store and topics at one time, read for the proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from connectors.kafka import KafkaConsumer, read_topic
from connectors.rocksdb import RocksDbTable, list_tables
from streamjobs.brokers.contract import Envelope
from streamjobs.changes.dead_letter import DeadLetter
from streamjobs.demo.balance import Balance, balance, closings_of, pending_impressions
from streamjobs.demo.outcome import ReadSamples, dead_letters_of_messages, samples_of_records
from streamjobs.demo.scenario import Scenario
from streamjobs.demo.tables import DEAD_LETTER_TOPIC
from streamjobs.demo.truth import Truth


@dataclass(frozen=True)
class Kept:
    """The samples of the store, and the scenario's dead letters by id."""

    table: ReadSamples
    letters: dict[str, DeadLetter]

    @classmethod
    def read(
        cls,
        scenario: Scenario,
        truth: Truth,
        bootstrap: str,
        store: Path,
        letters_before: Mapping[int, int],
    ) -> Kept:
        """Read both now; dead letters only from the offsets `letters_before` (by partition) on."""
        letters = dead_letters_of_messages(
            envelope
            for envelope in read_committed(bootstrap, DEAD_LETTER_TOPIC)
            if (envelope.offset or 0) >= letters_before[envelope.partition]
        )
        return cls(
            table=_table_samples(store, scenario.output, truth.columns),
            letters={key: letter for key, letter in letters.items() if letter.topic in scenario.topics},
        )

    def balance(self, truth: Truth, closings: Sequence[int], watermark_ms: int | None) -> Balance:
        """Return the conservation line at the job's watermark; `closings` are from `read_closings`."""
        topic = truth.impression_topic
        pending = pending_impressions(closings, watermark_ms)
        return balance(truth.ledger.rows_sent[topic], self.table.samples, self.letters, pending, topic)


def read_closings(bootstrap: str, truth: Truth) -> list[int]:
    """Return for each on-time impression in the topic the watermark at which its window closes."""
    return closings_of(read_committed(bootstrap, truth.impression_topic))


def read_committed(bootstrap: str, topic: str) -> list[Envelope]:
    """Return all records of a topic that a read_committed consumer sees now, each partition in order."""
    with closing(KafkaConsumer(bootstrap, "read_committed", client_id="streamjobs-demo")) as consumer:
        return list(read_topic(consumer, topic))


def _table_samples(store: Path, table: str, columns: tuple[str, ...]) -> ReadSamples:
    """Read the table; it has no rows if no sink has opened it yet."""
    if table not in list_tables(store):
        return ReadSamples({}, 0)
    with RocksDbTable(store, table) as reader:
        return samples_of_records(reader.scan(), columns)
