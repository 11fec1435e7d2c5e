"""What `run` says of jobs once Flink has planned them: what is taken, and each refusal with its place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.flink_cases import FLINK_REFUSED
from tests.house.planned_cases import TAKEN
from tests.house.refused_cases import REFUSED
from tests.patience import limit_s

ALL_REFUSED = REFUSED | FLINK_REFUSED
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    jobs = TAKEN | {name: sql for name, (sql, _, _) in ALL_REFUSED.items()}
    done = subprocess.run(
        [sys.executable, "-m", "tests.house.planned", str(tmp_path_factory.mktemp("planned"))],
        cwd=ROOT, env=dict(os.environ), input=json.dumps(jobs),
        capture_output=True, text=True, timeout=limit_s(300), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", TAKEN)
def test_a_right_job_is_taken(said: dict[str, str], name: str) -> None:
    assert said[name] == ""


@pytest.mark.parametrize("name", ALL_REFUSED)
def test_a_wrong_job_is_refused_at_its_place(said: dict[str, str], name: str) -> None:
    sql, place, message = ALL_REFUSED[name]
    sql = sql.removeprefix("\ufeff")
    before, _, after = place.partition("|")
    offset = (sql.index(before + after) + len(before)) if after else sql.index(before) + len("INSERT INTO ")
    start = sql.rfind("\n", 0, offset) + 1
    line, column = sql.count("\n", 0, offset) + 1, offset - start + 1
    shown = f"  {sql[start:].splitlines()[0]}\n  {' ' * (column - 1)}^"
    assert said[name] == f"{name}.sql:{line}:{column}: {message}\n{shown}"
