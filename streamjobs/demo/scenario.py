"""Scenarios of a demo run: its input, its job, and its expected results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streamjobs.demo.events import EventFeed
from streamjobs.demo.options import TrafficOptions
from streamjobs.demo.packing import Packed, PackingOptions, pack
from streamjobs.demo.sending import Sending
from streamjobs.demo.tables import BEHAVIOR_TOPICS, CTR_TOPICS
from streamjobs.demo.traffic import Traffic
from streamjobs.demo.truth import BehaviorTruth, CtrTruth, Truth
from thrift_idl.codec import Limits

LIMITS: Final = Limits(max_span_ms=20_000)
"""The feed sends hours of events in seconds: a message may span more event time than one of a live source."""

HARD_LIMITS: Final = Limits(max_rows=1)
"""One row per message: all disorder is between messages, and time advances with every row."""

JOBS: Final = Path(__file__).parents[2] / "sql" / "jobs"


@dataclass(frozen=True)
class Scenario:
    """A job file, its input topics and their traffic, and the truth of its output.

    `output` names both the sink table and the topic of samples. `truth` returns a new, empty truth.
    """

    sql_path: Path
    output: str
    topics: tuple[str, ...]
    sendings: Iterable[Sending]
    packing: PackingOptions
    truth: Callable[[], Truth]

    def messages(self) -> Iterator[Packed]:
        """Yield the messages to write; each call yields the same."""
        return pack(self.sendings, self.topics, self.packing)


def ad_traffic(options: TrafficOptions, partitions: int = 2, limits: Limits | None = None) -> Scenario:
    """Return the scenario of generated ad traffic for `ctr_samples`."""
    packing = PackingOptions(partitions, options.disorder_ms, limits=limits or LIMITS, seed=options.seed)
    return Scenario(
        JOBS / "ctr_samples.sql",
        "ctr_samples",
        CTR_TOPICS,
        Repeatable(lambda: Traffic(options)),
        packing,
        lambda: CtrTruth(options.disorder_ms),
    )


def shop_events(feed: EventFeed, partitions: int = 2, limits: Limits | None = None) -> Scenario:
    """Return the scenario of a file of shop events. Raises ConfigError when it cannot be read."""
    disorder_ms = feed.disorder_ms()
    packing = PackingOptions(partitions, disorder_ms, limits=limits or LIMITS, seed=feed.seed)
    return Scenario(
        JOBS / "behavior_samples.sql",
        "behavior_samples",
        BEHAVIOR_TOPICS,
        feed,
        packing,
        lambda: BehaviorTruth(disorder_ms),
    )


@dataclass(frozen=True)
class Repeatable:
    """Sendings that can be iterated again from the start."""

    make: Callable[[], Iterable[Sending]]

    def __iter__(self) -> Iterator[Sending]:
        return iter(self.make())
