"""The topics of a capture; their numbers of partitions are stored with the position."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from streamjobs.capture.config.routes import Routes, Way
from streamjobs.capture.publish.partitions import Topic
from streamjobs.capture.state import CaptureState, StateStore, table_id
from streamjobs.errors import ConfigError

logger = logging.getLogger(__name__)
_CURE = (
    "Nothing was sent. Set another topic for its tables (topic in [[tables]]) and snapshot them: `streamjobs "
    "capture run` and, for each, `streamjobs capture snapshot TABLE`, or `streamjobs capture run "
    "--resnapshot` for all tables of this capture. To keep the topic instead, wait until all readers are at "
    "its end, then use --resnapshot"
)


_KEPT = (
    "topic %s had %d partitions when this capture began to write to it, and has %d now: rows stay in the "
    "first ones, where the earlier changes of their keys are, and the others only get heartbeats. To use all "
    "of them, wait until all readers are at the topic's end, then snapshot all tables again: `streamjobs "
    "capture run --resnapshot`"
)
_USED_AGAIN = (
    "topic %s had %d partitions and has %d now: readers that start before its current end may see the "
    "changes of a key out of order"
)


class KnownTopics:
    """Opens topics for an outbox, and stores how many partitions each has; implements `state.StateStore`.

    Promise: a topic's number is stored before its first row is sent. From then on, rows go to so many
    partitions, also if the topic gets more: the changes of a key in two partitions could be read out of
    order. A topic with fewer raises ConfigError. `resnapshot`: all tables are snapshotted again, and all
    partitions are used.
    """

    def __init__(
        self,
        store: StateStore,
        open_topics: Callable[[Mapping[str, int]], Mapping[str, Topic]],
        *,
        resnapshot: bool = False,
    ) -> None:
        self._store = store
        self._open_topics = open_topics
        self._resnapshot = resnapshot
        self._last: CaptureState | None = None
        self._before: dict[str, int] = {}
        self._partitions: dict[str, int] = {}

    def open(self, wanted: Mapping[str, int]) -> Mapping[str, Topic]:
        """Create or find topics. Raises ConfigError for fewer partitions; what broker and store raise."""
        found = self._open_topics(wanted)
        changed = {
            name: (self._before[name], topic.partitions)
            for name, topic in found.items()
            if self._before.get(name, topic.partitions) != topic.partitions
        }
        less = [
            _refusal(name, before, now) for name, (before, now) in sorted(changed.items()) if now < before
        ]
        if less and not self._resnapshot:
            raise ConfigError("\n".join(less))
        for name, counts in sorted(changed.items()):
            logger.warning(_USED_AGAIN if self._resnapshot else _KEPT, name, *counts)
        if not self._resnapshot:
            kept = {name: replace(found[name], rows_in=before) for name, (before, _) in changed.items()}
            found = {**found, **kept}
        rows_in = {name: topic.rows_in or topic.partitions for name, topic in found.items()}
        known = {**self._partitions, **rows_in}
        if known != self._partitions:
            self._partitions = known
            if self._last is not None:
                self.write(self._last)
        return found

    def read(self) -> CaptureState | None:
        """Return the state, None if there is none yet."""
        self._last = self._store.read()
        self._before = {} if self._last is None else dict(self._last.partitions)
        self._partitions = {} if self._resnapshot else dict(self._before)
        return self._last

    def write(self, state: CaptureState) -> None:
        """Replace the state; its partitions are those of the opened topics."""
        self._last = replace(state, partitions=dict(self._partitions))
        self._store.write(self._last)

    def read_catalog(self, number: int) -> bytes | None:
        """Return the table definitions with this number, None if they do not exist."""
        return self._store.read_catalog(number)

    def write_catalog(self, number: int, data: bytes) -> None:
        """Store table definitions."""
        self._store.write_catalog(number, data)

    def close(self) -> None:
        """Close the store."""
        self._store.close()


def refuse_other_keys(ways: Mapping[str, Way], routes: Routes) -> None:
    """Raise ConfigError if tables would be partitioned by other columns in the same topic as before."""
    moved = [
        f"{table} went to topic {way.topic} by {way.by}, and would go there by {now.by} now: its rows would "
        f"move to other partitions, and readers would see their changes out of order. {_CURE}"
        for table, way in sorted(ways.items())
        if (now := routes.way(table_id(table))) is not None and now.topic == way.topic and now != way
    ]
    if moved:
        raise ConfigError("\n".join(moved))


def _refusal(topic: str, before: int, now: int) -> str:
    return (
        f"topic {topic} had {before} partitions when this capture wrote to it, and has {now} now: it was "
        f"deleted and created again, and its messages are lost. {_CURE}"
    )
