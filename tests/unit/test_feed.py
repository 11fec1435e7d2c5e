"""Writing: order within a partition, lagging partitions, throttling."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import pytest

from streamjobs.brokers.contract import Envelope, Receipt
from streamjobs.demo.feed import FeedOptions, feed, lagging
from streamjobs.demo.options import TrafficOptions
from streamjobs.demo.packing import Packed
from streamjobs.demo.scenario import ad_traffic
from streamjobs.demo.tables import IMPRESSION_TOPIC, ITEM_TOPIC

SCENARIO = ad_traffic(TrafficOptions.hard(2, 1_000), 3)
SLOW = (IMPRESSION_TOPIC, 1)


class Log:
    """A broker in memory: fulfils the Producer contract."""

    def __init__(self) -> None:
        self.sent: list[Envelope] = []
        self.flushed = 0

    def send(self, envelope: Envelope) -> None:
        self.sent.append(envelope)

    def flush(self) -> None:
        self.flushed = len(self.sent)

    def receipt(self) -> Receipt:
        raise NotImplementedError

    def partitions(self, topic: str) -> int:
        return 3 if topic else 0

    def close(self) -> None:
        self.flush()


def by_place(messages: Sequence[Packed]) -> dict[tuple[str, int], list[Packed]]:
    places: dict[tuple[str, int], list[Packed]] = defaultdict(list)
    for message in messages:
        places[message.topic, message.partition].append(message)
    return places


@pytest.mark.parametrize("lag", [0, 1, 7, 10**9])
def test_lags_move_partitions_and_keep_their_order(lag: int) -> None:
    made = list(SCENARIO.messages())
    written = list(lagging(made, {SLOW: lag, (ITEM_TOPIC, 0): 3}))
    assert by_place(written) == by_place(made)
    if lag == 10**9:
        assert {(m.topic, m.partition) for m in written[-len(by_place(made)[SLOW]) :]} == {SLOW}


def test_the_feed_writes_books_and_flushes_all() -> None:
    log, truth = Log(), SCENARIO.truth()
    result = feed(SCENARIO.messages(), truth.ledger, log, FeedOptions(lags={SLOW: 10**9}))
    assert result.messages == len(log.sent) == log.flushed == truth.ledger.messages_sent.total()
    assert result.rows == truth.ledger.rows_sent.total()
    wanted = SCENARIO.truth()
    for message in SCENARIO.messages():
        wanted.ledger.record(message)
    assert truth.samples() == wanted.samples()
    assert truth.ledger.dead_letters == wanted.ledger.dead_letters


def test_a_rate_slows_the_feed_down() -> None:
    log, truth = Log(), SCENARIO.truth()
    messages = list(SCENARIO.messages())
    rows = sum(len(message.rows) for message in messages)
    counted: list[int] = []
    result = feed(messages, truth.ledger, log, FeedOptions(rate=rows / 0.5), counted.append)
    assert result.seconds >= 0.4
    assert sum(counted) == result.rows == rows


def test_every_partition_of_every_topic_ends_at_the_same_time() -> None:
    places = by_place(list(SCENARIO.messages()))
    assert len(places) == 4 * 3
    assert len({messages[-1].time_ms for messages in places.values()}) == 1


def test_quiet_partitions_get_heartbeats_while_others_speak() -> None:
    places = by_place(list(SCENARIO.messages()))
    flushes = [len(messages) for messages in places.values()]
    beats = [sum(not message.rows for message in messages) for messages in places.values()]
    assert min(flushes) > 5
    assert max(beats) > 3
