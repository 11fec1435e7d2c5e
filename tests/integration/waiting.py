"""Wait for a condition with a deadline: what tests of real services do instead of sleeping."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tests.patience import limit_s


def wait_for(condition: Callable[[], bool], what: str | Callable[[], str], deadline_s: float = 120.0) -> None:
    """Return as soon as the condition holds; fail the test after the deadline with what it waited for.

    The deadline is that of an idle machine: `limit_s` of it is waited.
    """
    deadline_s = limit_s(deadline_s)
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while not condition():
        if time.monotonic() > end:
            message = f"not within {deadline_s:g} s: {what if isinstance(what, str) else what()}"
            raise AssertionError(message)
        pause.wait(0.05)


def pause(seconds: float) -> None:
    """Let time pass where time itself is the fault that is tested (a stall, a random moment)."""
    threading.Event().wait(seconds)
