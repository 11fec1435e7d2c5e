"""What a submission says of the answers of its child process."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from streamjobs.errors import ConfigError, JobError
from streamjobs.job.cluster.submit import Submission
from streamjobs.job.plan.planning import plan_job
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.job.planner import early
from streamjobs.job.planner.request import Request, Target

TRACE = (
    'Traceback (most recent call last):\n  File "x.py", line 1, in f\nValueError: zip() argument 2 is longer'
)


class Answering:
    """A child process that has one answer."""

    def __init__(self, answer: dict[str, str]) -> None:
        self.stdin = io.StringIO()
        self._out = json.dumps(answer)

    def communicate(self, _text: str, _timeout_s: float) -> tuple[str, str]:
        return self._out, ""

    def poll(self) -> int:
        return 0

    def __enter__(self) -> Answering:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        pass


def answered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **answer: str) -> str:
    child: Any = Answering(answer)
    monkeypatch.setattr(early, "take", lambda: child)
    text = "CREATE TABLE o (a BIGINT) WITH (type='print'); INSERT INTO o SELECT 1;"
    plan = plan_job(text, "order_facts.sql", "order_facts", RunSettings("127.0.0.1:1", tmp_path))
    return Submission(Request(plan, Target("http://127.0.0.1:1", "", "", ""))).finish()


def test_a_crash_of_ours_is_not_called_flinks_refusal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(JobError) as caught:
        answered(monkeypatch, tmp_path, error=TRACE, kind="streamjobs")
    assert str(caught.value) == (
        "streamjobs failed to plan the job order_facts: this is a fault of streamjobs, not of the job; "
        f"please report it with the job's file\n{TRACE}"
    )


def test_what_java_raises_is_flinks_refusal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(JobError) as caught:
        answered(monkeypatch, tmp_path, error="a.b.TableException: no\n\tat a.b(C.java:1)", kind="Flink")
    assert str(caught.value) == "Flink refused the job order_facts\nTableException: no"


def test_a_mistake_in_the_file_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        answered(monkeypatch, tmp_path, error="job.sql:1:2: no", kind="SqlError")
    assert str(caught.value) == "job.sql:1:2: no"
