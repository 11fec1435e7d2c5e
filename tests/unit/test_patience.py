"""One factor lengthens all deadlines of tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.waiting import wait_for
from tests.patience import VARIABLE, limit_s

ROOT = Path(__file__).parents[2]


def test_deadlines_are_as_written_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert limit_s(90) == 90


def test_the_factor_multiplies_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "2.5")
    assert limit_s(20) == 50
    with pytest.raises(AssertionError, match=r"^not within 0\.25 s: rain$"):
        wait_for(lambda: False, "rain", 0.1)


@pytest.mark.parametrize("text", ["", "0.5", "-1", "nan", "inf", "much"])
def test_what_is_no_factor_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(VARIABLE, text)
    message = f"TEST_PATIENCE='{text}' is not a number from 1 on; 4 lets tests wait four times as long"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        limit_s(1)


SLOW = """
import threading, pytest

@pytest.mark.timeout(0.4)
def test_of_a_second():
    threading.Event().wait(1)
"""


@pytest.mark.parametrize(("factor", "status"), [("100", 0), ("0", 4)])
def test_a_run_of_pytest_follows_it(tmp_path: Path, factor: str, status: int) -> None:
    """The limit of a marked test, and the word of pytest for a wrong factor."""
    (tmp_path / "test_slow.py").write_text(SLOW, encoding="utf-8")
    options = ["-p", "no:cacheprovider", "-p", "tests.conftest", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, VARIABLE: factor},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert ("ERROR: TEST_PATIENCE='0' is not a number" in done.stderr) == (factor == "0")
