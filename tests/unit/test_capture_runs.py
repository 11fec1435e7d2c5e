"""A capture in a thread of a test ends as the command does, and hides nothing; signals set what stops it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from streamjobs.cli.capture import set_by_signals
from tests.integration.capture_runs import ThreadRun


def thread_run(tmp_path: Path, work: Callable[[threading.Event], None]) -> ThreadRun:
    """A run that does this work, with the event that stops it, in place of a capture."""

    class Working(ThreadRun):
        def _capture(self, _console: Console) -> int:
            work(self._stop)
            return 0

    return Working(tmp_path / "none.toml", tmp_path / "log", tmp_path, {}, resnapshot=False)


def until_stopped(stop: threading.Event) -> None:
    stop.wait()


def test_a_mistake_in_the_file_is_told_as_the_command_tells_it(tmp_path: Path) -> None:
    file, log = tmp_path / "shop.toml", tmp_path / "log"
    file.write_text('[source]\nname = "shop"\npassword = "${NOT_GIVEN}"\n', encoding="utf-8")
    run = ThreadRun(file, log, tmp_path, {}, resnapshot=False)
    assert run.wait(10.0) == 2
    assert log.read_text(encoding="utf-8").startswith(f"streamjobs: {file}: ")


def test_what_a_capture_should_not_raise_is_raised_in_the_test(tmp_path: Path) -> None:
    def fail(_stop: threading.Event) -> None:
        raise LookupError("a bug")  # noqa: EM101

    run = thread_run(tmp_path, fail)
    for look in (lambda: run.wait(10.0), run.ended, run.close):
        with pytest.raises(LookupError, match="a bug"):
            look()
    assert "LookupError: a bug" in (tmp_path / "log").read_text(encoding="utf-8")


def test_one_that_does_not_end_fails_with_the_line_where_it_is(tmp_path: Path) -> None:
    run = thread_run(tmp_path, until_stopped)
    assert not run.ended()
    with pytest.raises(AssertionError, match=r"(?s)did not end within .* s; it is at\n.*self\._capture"):
        run.wait(0.1)
    with pytest.raises(AssertionError, match="another capture runs here"):
        thread_run(tmp_path, until_stopped)
    run.close()
    assert run.ended()


def test_the_first_ctrl_c_stops_and_the_second_leaves_at_once() -> None:
    before, stop = signal.getsignal(signal.SIGINT), threading.Event()
    with set_by_signals(stop):
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_sigterm_stops() -> None:
    stop = threading.Event()
    with set_by_signals(stop):
        signal.raise_signal(signal.SIGTERM)
        assert stop.wait(0)
