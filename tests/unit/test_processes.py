"""Processes are told apart beyond their pid."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from streamjobs.process_identity import identify, own_identity, task_manager_guard


@pytest.fixture
def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)


def test_stopped_process_lives_and_can_be_killed(sleeper: subprocess.Popen[bytes]) -> None:
    identity = identify(sleeper.pid)
    assert identity is not None
    sleeper.send_signal(signal.SIGSTOP)
    assert identity.alive
    assert identity.kill()
    assert sleeper.wait() == -signal.SIGKILL
    assert not identity.alive
    assert not identity.kill()
    _close(sleeper)


def test_unreaped_process_is_dead(sleeper: subprocess.Popen[bytes]) -> None:
    identity = identify(sleeper.pid)
    assert identity is not None
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert identify(sleeper.pid) is None
    assert not identity.alive
    sleeper.wait()
    _close(sleeper)


def test_another_process_with_the_same_pid_is_never_killed(sleeper: subprocess.Popen[bytes]) -> None:
    identity = identify(sleeper.pid)
    assert identity is not None
    for other in (replace(identity, started_ticks=1), replace(identity, boot_id="another")):
        assert not other.alive
        assert not other.kill()
    assert sleeper.poll() is None
    sleeper.kill()
    sleeper.wait()
    _close(sleeper)


def test_own_process_lives_and_without_a_jvm_the_guard_is_silent() -> None:
    assert own_identity().alive
    task_manager_guard()()


def _close(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
