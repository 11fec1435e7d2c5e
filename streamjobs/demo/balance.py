"""The conservation line: impressions sent = samples + repeated + late + dead + pending."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from streamjobs.brokers.contract import Envelope
from streamjobs.changes.dead_letter import DeadLetter, Stage
from streamjobs.demo.tables import ATTRIBUTION_MS, EVENT_TIME, TABLES
from streamjobs.demo.truth import Samples
from streamjobs.errors import DecodeError
from thrift_idl.codec import decode

WINDOW_MS: Final = 1_000
"""Samples leave in event-time windows of this length."""


@dataclass(frozen=True)
class Balance:
    """Six numbers, each counted independently; none is a remainder.

    `sent` is counted by the sender; `samples` and `repeated` (copies after the first) in the sink; `late` and
    `dead` as distinct dead-letter ids of the impression topic; `pending` in the topic, by the watermark.
    """

    sent: int
    samples: int
    repeated: int
    late: int
    dead: int
    pending: int

    @property
    def difference(self) -> int:
        """Return how many the right side lacks; negative: how many it has too many; 0: it balances."""
        return self.sent - (self.samples + self.repeated + self.late + self.dead + self.pending)

    def __str__(self) -> str:
        line = (
            f"{self.sent} impressions sent = {self.samples} samples + {self.repeated} repeated"
            f" + {self.late} late + {self.dead} dead + {self.pending} pending"
        )
        return line if self.difference == 0 else f"{line}   DOES NOT BALANCE: {self.difference:+d}"


def balance(
    sent: int,
    samples: Samples,
    dead_letters: Mapping[str, DeadLetter],
    pending: int,
    impression_topic: str,
) -> Balance:
    """Count the terms. `samples` have their copies in the last column; `dead_letters` are keyed by id."""
    late = dead = 0
    for letter in dead_letters.values():
        if letter.topic == impression_topic:
            late += letter.stage is Stage.LATE
            dead += letter.stage is not Stage.LATE
    return Balance(
        sent, len(samples), sum(_copies(row[-1]) - 1 for row in samples.values()), late, dead, pending
    )


def closings_of(messages: Iterable[Envelope]) -> list[int]:
    """Return for each on-time impression in `messages` the watermark at which its window closes."""
    closings = []
    for envelope in messages:
        try:
            message = decode(envelope.payload)
        except DecodeError:
            continue
        table = TABLES[envelope.topic]
        place = table.names.index(EVENT_TIME)
        for change in message.changes:
            value = change.image[place]
            if change.schema == table and isinstance(value, bytes) and int(value) >= message.time_ms:
                closings.append(closes_at_ms(int(value)))
    return closings


def pending_impressions(closings: Iterable[int], watermark_ms: int | None) -> int:
    """Count the impressions whose window is still open at the job's watermark.

    None: without a watermark every window is open.
    """
    return sum(watermark_ms is None or watermark_ms < closing for closing in closings)


def closes_at_ms(event_time_ms: int) -> int:
    """Return the watermark at which a sample is final: its second and its attribution window have ended."""
    return event_time_ms - event_time_ms % WINDOW_MS + WINDOW_MS - 1 + ATTRIBUTION_MS


def _copies(value: object) -> int:
    if not isinstance(value, int):
        message = f"a sample has {value!r} copies"
        raise AssertionError(message)
    return value
