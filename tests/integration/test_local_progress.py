"""How long a process that is not ready is waited for: as long as it works, up to a hard limit."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamjobs.errors import ServiceError
from streamjobs.local.processes import ProcessGroup, child_environment
from streamjobs.local.progress import HARD_LIMIT

PRINTS = """
import time
for _ in range(26):
    print("one more file", flush=True)
    time.sleep(0.1)
open("ready", "w").close()
time.sleep(600)
"""
WORKS_BELOW = 'sh -c "while :; do :; done"; true'
"""A shell whose child, not itself, uses the CPU."""


@pytest.fixture
def group(tmp_path: Path) -> Iterator[ProcessGroup]:
    group = ProcessGroup(tmp_path, grace_s=3.0)
    yield group
    group.stop()


def start(group: ProcessGroup, *argv: str) -> Callable[[], str | None]:
    """Start a service that is ready when it has made the file `ready`."""
    group.start("service", argv, child_environment(group.root))
    return lambda: None if (group.root / "ready").exists() else "no answer"


def refusal(group: ProcessGroup, missing: Callable[[], str | None], deadline_s: float) -> tuple[str, float]:
    """What the wait says at its end, and how many seconds it took."""
    started_s = time.monotonic()
    with pytest.raises(ServiceError) as caught:
        group.wait_until("service", missing, deadline_s)
    return str(caught.value).partition(". The last lines of ")[0], time.monotonic() - started_s


def test_one_whose_log_grows_is_waited_for_past_its_deadline(group: ProcessGroup) -> None:
    missing = start(group, sys.executable, "-c", PRINTS)
    started_s = time.monotonic()
    group.wait_until("service", missing, deadline_s=2.0)
    assert time.monotonic() - started_s > 2.5


def test_one_that_stands_still_is_given_up_at_its_deadline(group: ProcessGroup) -> None:
    said, waited_s = refusal(group, start(group, "sleep", "600"), deadline_s=1.5)
    assert re.fullmatch(r"service was not ready in [\d.]+ s, and makes no progress: no answer", said)
    assert 1.5 <= waited_s < 1.5 * HARD_LIMIT


@pytest.mark.parametrize("script", ["while :; do :; done", WORKS_BELOW], ids=["itself", "its child"])
def test_one_that_works_for_ever_is_given_up_at_the_hard_limit(group: ProcessGroup, script: str) -> None:
    said, waited_s = refusal(group, start(group, "sh", "-c", script), deadline_s=0.6)
    assert said == ("service was not ready in 2.4 s, 4 times its deadline, and still works: no answer")
    assert waited_s >= 0.6 * HARD_LIMIT


def test_one_that_ends_after_its_deadline_is_told_by_its_status(group: ProcessGroup) -> None:
    start(group, sys.executable, "-c", PRINTS.replace("time.sleep(600)", "raise SystemExit(7)"))
    said, waited_s = refusal(group, lambda: "no answer", deadline_s=2.0)
    assert said == "service ended with status 7 before it was ready"
    assert waited_s > 2.5


def test_a_short_lived_one_is_waited_for_in_the_same_way(group: ProcessGroup) -> None:
    group.start("service", ["sleep", "600"], child_environment(group.root))
    with pytest.raises(ServiceError, match=r"^service did not end in .* s, and makes no progress\. The last"):
        group.wait_for_success("service", deadline_s=0.3)
    group.kill("service")
    script = PRINTS.replace("time.sleep(600)", "")
    group.start("service", [sys.executable, "-c", script], child_environment(group.root))
    group.wait_for_success("service", deadline_s=2.0)
