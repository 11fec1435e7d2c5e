"""What store and topics hold at one time, read back for the proof."""

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
    """The store's samples, and the scenario's dead letters by id."""

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
        """Read both now; of the dead letters those from the offsets `letters_before` (by partition) on."""
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
        """Return the conservation line at the job's watermark; `closings` as of `read_closings`."""
        topic = truth.impression_topic
        pending = pending_impressions(closings, watermark_ms)
        return balance(truth.ledger.rows_sent[topic], self.table.samples, self.letters, pending, topic)


def read_closings(bootstrap: str, truth: Truth) -> list[int]:
    """Return of each impression on time in the topic the watermark at which its window closes."""
    return closings_of(read_committed(bootstrap, truth.impression_topic))


def read_committed(bootstrap: str, topic: str) -> list[Envelope]:
    """Return all that a read_committed consumer sees of a topic now, each partition in its order."""
    with closing(KafkaConsumer(bootstrap, "read_committed", client_id="streamjobs-demo")) as consumer:
        return list(read_topic(consumer, topic))


def _table_samples(store: Path, table: str, columns: tuple[str, ...]) -> ReadSamples:
    """Read the table; one that no sink has opened yet has no rows."""
    if table not in list_tables(store):
        return ReadSamples({}, 0)
    with RocksDbTable(store, table) as reader:
        return samples_of_records(reader.scan(), columns)
