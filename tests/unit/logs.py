"""Messages of a scenario as a broker would give them back."""

from __future__ import annotations

from collections import Counter

from streamjobs.brokers.contract import Envelope
from streamjobs.demo.scenario import Scenario
from streamjobs.demo.truth import Truth


def written(scenario: Scenario) -> tuple[list[Envelope], Truth]:
    """Give the log of a scenario, and the books that were kept while it was written."""
    truth = scenario.truth()
    offsets: Counter[tuple[str, int]] = Counter()
    log = []
    for message in scenario.messages():
        truth.ledger.record(message)
        place = (message.topic, message.partition)
        log.append(
            Envelope(message.topic, message.partition, message.payload, message.time_ms, offsets[place])
        )
        offsets[place] += 1
    return log, truth
