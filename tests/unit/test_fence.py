"""Who takes over from whom, and that nobody comes back."""

from __future__ import annotations

import pytest

from streamjobs.errors import SystemicError
from streamjobs.sinks.contract import Attempt
from streamjobs.sinks.fence import Fence, Writer, fenced_off, take


def who(attempt: int = 0, subtask: int = 0, parallelism: int = 1, run: str = "a") -> Attempt:
    return Attempt(run, subtask, parallelism, attempt)


def taken(*writers: Attempt) -> Fence:
    fence: Fence | None = None
    for number, writer in enumerate(writers):
        fence = take(fence, writer, f"t{number}", "x")
    assert fence is not None
    return fence


def test_newer_attempt_replaces_its_subtask_only() -> None:
    fence = taken(who(0, 0, 2), who(0, 1, 2), who(1, 1, 2))
    assert fence == Fence(3, "a", 2, {0: Writer(0, "t0"), 1: Writer(1, "t2")})
    assert fence.tokens() == {"t0", "t2"}


def test_same_attempt_may_open_again() -> None:
    assert taken(who(1), who(1)).writers == {0: Writer(1, "t1")}


def test_older_attempt_is_refused() -> None:
    with pytest.raises(SystemicError, match=r"table x: a newer attempt \(1\) has taken over from run a"):
        taken(who(1), who(0))


def test_another_parallelism_replaces_all_and_its_zombies_stay_out() -> None:
    fence = taken(who(0, 0, 2), who(0, 1, 2), who(1, 0, 1))
    assert fence.writers == {0: Writer(1, "t2")}
    with pytest.raises(SystemicError, match="newer attempt"):
        fence.take(who(0, 1, 2), "z", "x")


def test_later_run_replaces_the_earlier_for_ever() -> None:
    fence = taken(who(5), who(0, run="b"))
    assert (fence.run_id, fence.writers, fence.retired) == ("b", {0: Writer(0, "t1")}, ("a",))
    with pytest.raises(SystemicError, match="run b has taken over from run a"):
        fence.take(who(6), "z", "x")


def test_few_replaced_runs_are_remembered() -> None:
    assert taken(*(who(run=f"r{n}") for n in range(100))).retired == tuple(f"r{n}" for n in range(67, 99))


def test_text_form_reads_back() -> None:
    fence = taken(who(0, 0, 2), who(0, 1, 2), who(3, 1, 2, "b"))
    assert Fence.from_json(fence.to_json()) == fence
    assert Fence.from_json(fence.to_json().encode()) == fence


def test_lost_fence_says_that_rows_may_be_lost() -> None:
    assert "may have lost rows" in str(fenced_off("x", "t", None))
    assert "newer attempt" in str(fenced_off("x", "t", taken(who())))
