"""The child process that plans a job, started before the job is known.

Importing PyFlink takes half a second, and the imports of the command line take as long: at the same time they
take half as long.
"""

from __future__ import annotations

import os
import subprocess
import sys

Child = subprocess.Popen[str]
_waiting: list[Child] = []


def start() -> None:
    """Start a child that waits for its request; it ends by itself with this process."""
    _waiting.append(_new())


def take() -> Child:
    """Return a child that waits for its request: the one that `start` made, else a new one."""
    return _waiting.pop() if _waiting else _new()


def _new() -> Child:
    return subprocess.Popen(
        [sys.executable, "-m", "streamjobs.job.planner.child"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"}, start_new_session=True,
    )  # fmt: skip
