"""Root causes of what Flink 2.3 really printed; the texts in `flink_texts` are captured, paths shortened."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamjobs.job.root_cause import brief, exception_name, root_cause

TEXTS = Path(__file__).parent / "flink_texts"
UNLUCKY = """\
Traceback (most recent call last):
  File "/srv/jobs/fragile.py", line 13, in never_three
    return checked(int(payload))
           ^^^^^^^^^^^^^^^^^^^^^
  File "fragile.py", line 18, in checked
    raise ValueError(f"the number {number} ends in 3")
ValueError: the number 13 ends in 3"""


def cause_of(name: str) -> str:
    return root_cause((TEXTS / f"{name}.txt").read_text(encoding="utf-8"))


@pytest.mark.parametrize("when", ["on_a_timer", "at_a_checkpoint"])
def test_a_python_function_is_told_by_its_own_frames(when: str) -> None:
    assert cause_of(f"python_function_{when}") == UNLUCKY


def test_a_killed_python_worker_is_told_as_such() -> None:
    assert cause_of("python_worker_killed") == (
        "StatusRuntimeException: CANCELLED: client cancelled\n"
        "A Python worker is gone: killed, or out of memory; its TaskManager's log may show why."
    )


def test_a_killed_taskmanager_is_told_as_such() -> None:
    assert cause_of("taskmanager_killed") == (
        "ResourceManagerException: TaskManager with id taskmanager-0-1 is no longer reachable."
    )


def test_a_text_of_another_form_is_given_as_it_is() -> None:
    assert root_cause("  the cluster has gone\n") == "the cluster has gone"


@pytest.mark.parametrize(
    ("cause", "name", "line"),
    [
        (UNLUCKY, "ValueError", "ValueError: the number 13 ends in 3 (fragile.py:18, in checked)"),
        (
            "Traceback (most recent call last):\n"
            '  File "connectors/mysql/store/sink.py", line 7, in open\n'
            "    raise NoTableError(message)\n"
            "connectors.mysql.store.connection.NoTableError: there is no table shop.wide:\n"
            "  CREATE TABLE shop.wide (…)",
            "NoTableError",
            "there is no table shop.wide: CREATE TABLE shop.wide (…)",
        ),
        (
            "StatusRuntimeException: CANCELLED: client cancelled\nA Python worker is gone: killed.",
            "StatusRuntimeException",
            "StatusRuntimeException: CANCELLED: client cancelled A Python worker is gone: killed.",
        ),
        ("the cluster has gone", "", "the cluster has gone"),
        ("", "", ""),
        ("E" * 500, "", "E" * 399 + "…"),
    ],
)
def test_a_cause_has_one_line_for_those_who_are_in_a_hurry(cause: str, name: str, line: str) -> None:
    assert (exception_name(cause), brief(cause)) == (name, line)
