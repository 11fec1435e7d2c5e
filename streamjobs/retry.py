"""Retries of failures that may pass: with full jitter, limited in time, with an injected clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import tenacity

from streamjobs.errors import RetriableError

T = TypeVar("T")


class Clock(Protocol):
    """A clock that tests can replace."""

    def monotonic_s(self) -> float:
        """Return seconds that only grow."""

    def now_ms(self) -> int:
        """Return UTC epoch milliseconds."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's clock."""

    def monotonic_s(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()

    def now_ms(self) -> int:
        """Return UTC epoch milliseconds."""
        return time.time_ns() // 1_000_000

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass(frozen=True)
class RetryPolicy:
    """How long and how often to try again.

    The wait before retry n is random between 0 and min(max_delay_s, first_delay_s * 2**(n-1)): full jitter
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/), so that many workers do not
    retry at the same time. No try starts later than `budget_s` after the first one: an outage up to that long
    causes backpressure, a longer one fails the job's attempt.
    """

    first_delay_s: float = 0.1
    max_delay_s: float = 10.0
    budget_s: float = 600.0


def call_with_retries(
    action: Callable[[], T],
    policy: RetryPolicy,
    *,
    clock: Clock,
    on_retry: Callable[[RetriableError, float], None],
) -> T:
    """Call `action` until it returns, raises a non-retriable error, or the budget is spent.

    `on_retry(error, wait_s)` is called before each wait; what it raises ends the retries.
    Raises: RetriableError with attempts, time and the last cause when the budget is spent.
    """
    started = clock.monotonic_s()
    jitter = tenacity.wait_random_exponential(multiplier=policy.first_delay_s, max=policy.max_delay_s)

    def left_s() -> float:
        return policy.budget_s - (clock.monotonic_s() - started)

    def before_sleep(state: tenacity.RetryCallState) -> None:
        on_retry(_failure(state), state.upcoming_sleep)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(RetriableError),
        wait=lambda state: max(0.0, min(jitter(state), left_s())),
        stop=lambda _: left_s() <= 0,
        sleep=clock.sleep,
        before_sleep=before_sleep,
        retry_error_callback=lambda state: _give_up(state, clock.monotonic_s() - started),
    )
    return retrying(action)


def _failure(state: tenacity.RetryCallState) -> RetriableError:
    exc = state.outcome.exception() if state.outcome else None
    if not isinstance(exc, RetriableError):
        message = f"retried without a retriable error: {exc!r}"
        raise AssertionError(message) from exc
    return exc


def _give_up(state: tenacity.RetryCallState, spent_s: float) -> T:  # type: ignore[type-var]
    exc = _failure(state)
    message = f"gave up after {state.attempt_number} tries in {spent_s:.0f} s: {exc}"
    raise RetriableError(message) from exc
