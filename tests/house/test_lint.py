"""The sources are in the house format, and lint, types and import rules have nothing to say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.checkout import ROOT

LINTERS = {
    "types": ("mypy",),
    "format": ("ruff", "format", "--check", "."),
    "rules": ("ruff", "check", "."),
    "imports": ("lint-imports", "--no-logo"),
}
"""By what they judge; the one that takes longest comes first."""


@pytest.mark.parametrize("judged", LINTERS)
def test_nothing_is_found(judged: str) -> None:
    program, *arguments = LINTERS[judged]
    command = [str(Path(sys.executable).with_name(program)), *arguments]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        pytest.fail(
            f"{done.stdout}{' '.join((program, *arguments))} ended with {done.returncode}", pytrace=False
        )
