"""Faults that are known and not mended yet, each with the issue that closes it: what must become true.

A test that begins to pass fails here, as all these are strict: take its mark off then.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.open_cases import FROM_ENVIRONMENT, ONLY_A_WORKER_FINDS, PORTS, REPORTS, RIGHT
from tests.patience import limit_s

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `run --explain` says of each job, "" of those that it takes."""
    jobs = {name: sql for name, (sql, _, _) in ONLY_A_WORKER_FINDS.items()}
    jobs |= RIGHT | FROM_ENVIRONMENT | REPORTS
    done = subprocess.run(
        [sys.executable, "-m", "tests.house.planned", str(tmp_path_factory.mktemp("open"))],
        cwd=ROOT, env=os.environ | PORTS, input=json.dumps(jobs),
        capture_output=True, text=True, timeout=limit_s(300), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    assert found.keys() == jobs.keys()
    return found


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_declaration_is_taken(said: dict[str, str], name: str) -> None:
    assert said[name] == ""


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="F51: what a descriptor knows is checked by issue 3 of 7"
)
@pytest.mark.parametrize("name", ONLY_A_WORKER_FINDS)
def test_a_declaration_that_no_worker_can_use_is_refused_at_its_line(said: dict[str, str], name: str) -> None:
    sql, piece, word = ONLY_A_WORKER_FINDS[name]
    line = sql.count("\n", 0, sql.index(piece)) + 1
    assert said[name].startswith(f"{name}.sql:{line}:")
    assert word in said[name].splitlines()[0]


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="F73: every option takes ${NAME} with issue 7 of 7"
)
@pytest.mark.parametrize("name", FROM_ENVIRONMENT)
def test_any_option_comes_from_the_environment(said: dict[str, str], name: str) -> None:
    assert said[name] == ""


@pytest.mark.xfail(
    strict=True, raises=AssertionError, reason="F77: the commonest reports run exactly with issue 4 of 7"
)
@pytest.mark.parametrize("name", REPORTS)
def test_a_common_report_is_taken(said: dict[str, str], name: str) -> None:
    assert said[name] == ""
