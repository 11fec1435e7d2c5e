"""What a capture tells of how far it is: against a clock, so that it grows while nothing happens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from streamjobs.brokers.contract import Receipt
from streamjobs.capture.publish.delivered import Delivered
from streamjobs.capture.publish.outbox import Outbox
from streamjobs.capture.status.status import CaptureStatus, Telemetry
from streamjobs.retry import SystemClock


class Clock(SystemClock):
    now_s = 1000.0

    def monotonic_s(self) -> float:
        return self.now_s

    def now_ms(self) -> int:
        return round(self.now_s * 1000)


@dataclass
class Answer:
    """The receipt of everything so far, which comes when the test says so."""

    come: bool = False

    def wait(self, timeout_s: float, /) -> bool:
        assert timeout_s == 0
        return self.come


@dataclass
class Run:
    """A run whose server's clock is two seconds ahead of ours."""

    clock: Clock = field(default_factory=Clock)
    answers: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.telemetry = Telemetry(CaptureStatus("shop", "streaming"), self.clock)
        self.delivered = Delivered(cast("Outbox", self), self.clock, self.telemetry, clock_ahead_ms=2000)

    def receipt(self) -> Receipt:
        self.answers.append(Answer())
        return self.answers[-1]

    def pass_(self, seconds: float, *, acknowledged: bool = True) -> None:
        """Let time pass in which the broker acknowledges, or does not."""
        self.clock.now_s += seconds
        self.delivered.take(self.clock.now_s)
        self.answers[-1].come |= acknowledged
        self.delivered.poll()

    def lag_s(self) -> float:
        return self.telemetry.now().lag_s


def test_the_lag_counts_from_the_start_until_anything_is_known() -> None:
    run = Run()
    run.clock.now_s += 40
    assert run.lag_s() == 40.0
    run.delivered.heard(run.clock.now_ms() - 100)
    run.pass_(1.0)
    assert run.lag_s() == 1.1


def test_the_lag_grows_while_the_server_is_silent() -> None:
    run = Run()
    run.delivered.heard(run.clock.now_ms())
    run.pass_(1.0)
    run.telemetry.update(heard_at_ms=run.clock.now_ms())
    assert run.telemetry.now().trouble == ""
    run.clock.now_s += 37.0
    assert (run.lag_s(), run.telemetry.now().trouble) == (
        38.0,
        "nothing has come from the server's log for 37 s",
    )


def test_the_lag_grows_while_the_broker_does_not_acknowledge() -> None:
    run = Run()
    run.delivered.heard(run.clock.now_ms())
    run.pass_(1.0)
    for _ in range(25):
        run.delivered.heard(run.clock.now_ms())
        run.pass_(1.0, acknowledged=False)
        run.telemetry.update(heard_at_ms=run.clock.now_ms())
    assert (run.lag_s(), run.telemetry.now().trouble) == (
        26.0,
        "the broker has not acknowledged what was sent 24 s ago",
    )
    run.pass_(0.0)
    assert run.lag_s() == 25.0
    run.pass_(1.0)
    assert (run.lag_s(), run.telemetry.now().trouble) == (2.0, "")


def test_a_backlog_is_as_old_as_its_commits_and_those_of_the_future_move_nothing() -> None:
    run = Run()
    hour_ago_ms = run.clock.now_ms() + 2000 - 600_000
    run.delivered.committed(hour_ago_ms)
    run.pass_(1.0)
    assert run.lag_s() == 601.0
    run.delivered.committed(run.clock.now_ms() + 86_400_000)
    run.pass_(1.0)
    assert run.lag_s() == 602.0
    run.delivered.committed(hour_ago_ms + 30_000)
    run.pass_(1.0)
    assert run.lag_s() == 573.0


def test_a_log_that_is_read_again_takes_nothing_back() -> None:
    run = Run()
    run.delivered.heard(run.clock.now_ms())
    run.pass_(1.0)
    again = Delivered(cast("Outbox", run), run.clock, run.telemetry, clock_ahead_ms=0)
    again.committed(run.clock.now_ms() - 500_000)
    assert again.reached_ms == 1_000_000


def test_a_start_that_takes_long_says_so() -> None:
    telemetry = Telemetry(CaptureStatus("shop"), clock := Clock())
    assert telemetry.now().trouble == ""
    clock.now_s += 12
    assert telemetry.now().trouble == ("the start has waited for broker or server for 12 s")
    telemetry.update(phase="retrying", trouble="the server is away")
    assert telemetry.now().trouble == "the server is away"
