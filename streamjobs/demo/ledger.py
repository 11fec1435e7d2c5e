"""The sender's record of the expected result of each message's rows, by the log's own time rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streamjobs.changes.dead_letter import Stage
from streamjobs.changes.row_change import RowChange
from streamjobs.demo.packing import Packed
from streamjobs.demo.tables import EVENT_TIME_COLUMNS, TABLES

Arrival = Callable[[RowChange, int], None]
"""Receives a valid row that is on time, and its event time in epoch milliseconds."""


@dataclass(frozen=True)
class ExpectedDeadLetter:
    """A dead letter that must be written: its origin, its stage, and how many rows it means."""

    id: str
    stage: Stage
    topic: str


class Ledger:
    """Counts what was sent to topics that were empty before.

    Promise: it does not depend on the encoding of messages; it uses only the rows passed to the builder and
    the resulting message times. Call `record` for every written message, in the order of writing.
    Raises: AssertionError when a message breaks the wire's time rule
    `time_ms == max(smallest event time of its rows, largest earlier time - disorder, 0)`.
    """

    def __init__(self, disorder_ms: int, arrivals: Mapping[str, Arrival]) -> None:
        self._disorder_ms = disorder_ms
        self._arrivals = arrivals
        self._offsets: Counter[tuple[str, int]] = Counter()
        self._newest: dict[tuple[str, int], int] = {}
        self.rows_sent: Counter[str] = Counter()
        """Rows by topic, including those in damaged messages."""
        self.messages_sent: Counter[str] = Counter()
        self.dead_letters: dict[str, ExpectedDeadLetter] = {}
        """By id."""

    def record(self, message: Packed) -> None:
        """Record one message."""
        place = (message.topic, message.partition)
        offset = self._offsets[place]
        self._offsets[place] += 1
        self.messages_sent[message.topic] += 1
        self.rows_sent[message.topic] += len(message.rows)
        times = _event_times(message)
        self._check_time(message, [time for time in times if time is not None])
        origin = f"{message.topic}/{message.partition}/{offset}"
        if message.damage is not None:
            self._bury(f"{origin}/-1", Stage.DECODE, message.topic)
            return
        arrival, honest = self._arrivals[message.topic], TABLES[message.topic]
        for number, (change, time) in enumerate(zip(message.rows, times, strict=True)):
            if time is None or change.schema is not honest:
                self._bury(f"{origin}/{number}", Stage.CONVERT, message.topic)
            elif time < message.time_ms:
                self._bury(f"{origin}/{number}", Stage.LATE, message.topic)
            else:
                arrival(change, time)

    def ends(self) -> Mapping[tuple[str, int], int]:
        """Return the end offset of each topic and partition if it holds each message once."""
        return dict(self._offsets)

    def dead(self, topic: str, *stages: Stage) -> int:
        """Return how many dead letters of `topic` are expected at these stages."""
        return sum(letter.topic == topic and letter.stage in stages for letter in self.dead_letters.values())

    def _bury(self, letter_id: str, stage: Stage, topic: str) -> None:
        self.dead_letters[letter_id] = ExpectedDeadLetter(letter_id, stage, topic)

    def _check_time(self, message: Packed, times: list[int]) -> None:
        place = (message.topic, message.partition)
        newest = self._newest.get(place, 0)
        low = max(newest - self._disorder_ms, 0)
        smallest = min(times) if times else low if message.rows else message.time_ms
        wanted = max(smallest, low)
        if message.time_ms != wanted:
            detail = f"message time {message.time_ms} of {message.topic}/{message.partition} is not {wanted}"
            raise AssertionError(detail)
        self._newest[place] = max(newest, message.time_ms)


def _event_times(message: Packed) -> list[int | None]:
    """Return each row's event time: the topic's event-time column, or the commit time; None when NULL."""
    column = EVENT_TIME_COLUMNS[message.topic]
    if column is None:
        return [change.committed_at_ms for change in message.rows]
    place = TABLES[message.topic].names.index(column)
    values = [change.image[place] for change in message.rows]
    return [int(value) if isinstance(value, bytes) else None for value in values]
