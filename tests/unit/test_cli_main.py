"""The command line words our errors, hides secrets and tells mistakes from failures."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import pytest

from streamjobs.cli import main as cli
from streamjobs.cli.signals import Terminated
from streamjobs.errors import ConfigError, JobError, ServiceError, SqlError


def _raising(error: BaseException) -> Callable[[], None]:
    def call() -> None:
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ConfigError("no such option"), 2, "streamjobs: no such option\n"),
        (SqlError("expected a name", "SELECT ;", 7, "a.sql"), 2, "streamjobs: a.sql:1:8: expected a name\n"),
        (ServiceError("kafka://u:pw@h is down"), 1, "streamjobs: kafka://u:****@h is down\n"),
        (JobError("job failed", "ZeroDivisionError: x"), 1, "streamjobs: job failed\nZeroDivisionError: x\n"),
        (KeyboardInterrupt(), 130, "streamjobs: interrupted\n"),
        (Terminated(signal.SIGTERM), 143, "streamjobs: ended by SIGTERM\n"),
        (Terminated(signal.SIGHUP), 129, "streamjobs: ended by SIGHUP\n"),
    ],
)
def test_an_error_is_a_message_and_a_status(
    error: BaseException,
    status: int,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cli, "app", _raising(error))
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == status
    assert capsys.readouterr().err.startswith(text)


def test_a_broken_invariant_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "app", _raising(AssertionError("impossible")))
    with pytest.raises(AssertionError, match="impossible"):
        cli.main()


def test_unknown_command_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["streamjobs", "nope"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert "No such command 'nope'" in capsys.readouterr().err


def test_help_lists_the_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["streamjobs", "--help"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 0
    assert cli.COMMANDS["dev"].summary in capsys.readouterr().out
