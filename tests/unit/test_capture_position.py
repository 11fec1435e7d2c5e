"""The stored position: never ahead of what the broker has acknowledged, whatever the order of its answers."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mysql.position import LogPosition
from streamjobs.brokers.contract import Envelope, Receipt
from streamjobs.capture.checkpoint import Parts, StoredPosition
from streamjobs.capture.config.routes import Route, Routes
from streamjobs.capture.config.settings import MessageSettings
from streamjobs.capture.publish.delivered import Delivered
from streamjobs.capture.publish.outbox import Outbox
from streamjobs.capture.publish.partitions import Topic
from streamjobs.capture.state import CaptureState, FileStore
from streamjobs.capture.status.status import CaptureStatus, Telemetry
from streamjobs.changes.position import Position
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ChangeKind, Column, SqlType, TableId, TableSchema
from streamjobs.errors import RetriableError
from streamjobs.retry import SystemClock
from tests.unit.test_capture_outbox import refused
from thrift_idl.codec import decode

ITEM = TableSchema(TableId("shop", "item"), (Column("id", SqlType.INT, "int", key=True),))
STEPS = st.sampled_from(["rows", "commit", "alter", "answer", "answer", "wait"])


@dataclass(frozen=True)
class Asked:
    broker: Broker
    count: int

    def wait(self, timeout_s: float, /) -> bool:
        assert timeout_s >= 0
        if self.broker.failed:
            raise self.broker.failed
        return self.broker.answered >= set(range(self.count))


@dataclass
class Broker:
    """Acknowledges what it was sent when and in the order that the test says."""

    sent: list[Envelope] = field(default_factory=list)
    answered: set[int] = field(default_factory=set)
    failed: RetriableError | None = None

    def send(self, envelope: Envelope) -> None:
        self.sent.append(envelope)

    def answer(self, choice: int) -> None:
        open_ones = [n for n in range(len(self.sent)) if n not in self.answered]
        if open_ones:
            self.answered.add(open_ones[choice % len(open_ones)])

    def flush(self) -> None:
        self.answered = set(range(len(self.sent)))

    def receipt(self) -> Receipt:
        return Asked(self, len(self.sent))

    def partitions(self, topic: str) -> int:
        return 2 if topic else 0

    def close(self) -> None:
        self.flush()

    def acknowledged_rows(self) -> set[int]:
        payloads = (self.sent[n].payload for n in self.answered)
        return {row.position.offset for payload in payloads for row in decode(payload).changes}


class Clock(SystemClock):
    now_s = 100.0

    def monotonic_s(self) -> float:
        return self.now_s

    def now_ms(self) -> int:
        return round(self.now_s * 1000)


class Nothing:
    """No snapshot, no rejects, no GTIDs; definitions that are told apart by their number."""

    parts: dict[str, tuple[Any, ...]] = {}  # noqa: RUF012 - never changed
    pending: dict[str, str] = {}  # noqa: RUF012 - never changed
    gtids = ""
    undecided: tuple[str, ...] = ()
    file_made_at_s = 1_700_000_000

    def acknowledge(self) -> None:
        return


class Run:
    """A capture of numbered rows: row n stands at offset n, the place behind it is n + 1."""

    def __init__(self, home: Path) -> None:
        self.broker, self.clock, self.at = Broker(), Clock(), 4
        self.store = FileStore(home / "state", "shop")
        topics = lambda wanted: {name: Topic(2, {}) for name in wanted}  # noqa: E731
        routes = Routes([Route.made("shop.*")])
        self.outbox = Outbox(
            "shop", routes, MessageSettings(max_rows=3), self.broker, topics, self.clock, refused
        )
        self.nothing = Nothing()
        self.made, nothing = 0, cast("Any", self.nothing)
        parts = Parts(
            nothing,
            nothing,
            self.outbox,
            nothing,
            self.store,
            nothing,
            nothing,
            self.definitions,
            nothing,
            nothing,
            nothing,
            nothing,
        )
        self.telemetry = Telemetry(CaptureStatus("shop"), self.clock)
        self.delivered = Delivered(self.outbox, self.clock, self.telemetry, clock_ahead_ms=0)
        self.position = StoredPosition(
            parts, CaptureState("server", 0, "bin.1", 4), self.delivered, every_ms=1000, clock=self.clock,
            telemetry=self.telemetry,
        )  # fmt: skip

    def definitions(self) -> bytes:
        self.made += 1
        return b"%d" % self.made

    def rows(self, count: int) -> None:
        for _ in range(count):
            row = (b"%d" % self.at,)
            self.outbox.add(RowBatch(ITEM, ChangeKind.INSERT, [row], (), Position(0, 1, self.at), 1000))
            self.at += 1
        self.position.changed = True

    def step(self, word: str, number: int) -> None:
        if word == "rows":
            self.rows(number % 7)
        elif word == "answer":
            self.broker.answer(number)
        elif word == "wait":
            self.clock.now_s += 1.5
        else:
            self.position.altered |= word == "alter"
            self.position.changed = True
            self.position.store_due(LogPosition("bin.000001", self.at), self.clock.now_s)

    def stored(self) -> CaptureState | None:
        return self.store.read()


@given(st.lists(st.tuples(STEPS, st.integers(0, 1000)), max_size=60))
def test_what_is_stored_is_acknowledged(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as home:
        run = Run(Path(home))
        before = 0
        for word, number in steps:
            run.step(word, number)
            state = run.stored()
            if state is not None:
                assert set(range(4, state.offset)) <= run.broker.acknowledged_rows()
                assert state.offset >= before
                assert state.catalog == 0 or run.store.read_catalog(state.catalog) is not None
                before = state.offset
        run.rows(1)
        run.position.store_all(LogPosition("bin.000001", run.at))
        state = run.stored()
        assert state is not None
        assert (state.offset, state.catalog) == (run.at, run.made)
        assert set(range(4, run.at)) == run.broker.acknowledged_rows()
        run.store.close()


def test_nothing_is_stored_after_a_failure(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.rows(2)
    run.clock.now_s += 2
    run.step("commit", 0)
    run.broker.failed = RetriableError("the broker is away")
    run.broker.flush()
    with pytest.raises(RetriableError, match="away"):
        run.step("commit", 0)
    assert run.stored() is None
    run.store.close()


def test_a_position_that_has_not_changed_is_stored_now_and_then_with_how_far_the_log_was_read(
    tmp_path: Path,
) -> None:
    run, place = Run(tmp_path), LogPosition("bin.000001", 4)
    run.clock.now_s += 9
    run.position.store_due(place, run.clock.now_s)
    assert run.stored() is None
    run.clock.now_s += 2
    run.delivered.heard(run.clock.now_ms() - 50)
    run.position.store_due(place, run.clock.now_s)
    state = run.stored()
    assert state is not None
    assert (state.offset, state.at_ms, state.delivered_to_ms) == (4, 111_000, 110_950)
    run.store.close()


def test_a_position_that_waits_for_an_xa_transaction_is_told_with_its_seconds(tmp_path: Path) -> None:
    run, place = Run(tmp_path), LogPosition("bin.000001", 9)
    run.nothing.undecided = ("X'78'",)
    run.position.changed = True
    for now_s in (102.0, 104.0, 150.0):
        run.clock.now_s = now_s
        run.position.store_due(place, now_s)
    assert (run.telemetry.now().unstored_s, run.stored()) == (48.0, None)
    run.nothing.undecided = ()
    run.clock.now_s = 152.0
    run.position.store_due(place, 152.0)
    assert run.telemetry.now().unstored_s == 0.0
    run.store.close()
