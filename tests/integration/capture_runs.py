"""How a test runs a capture: in a thread of its own process, or as the command that people run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import traceback
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from streamjobs.capture.config.file import read_config
from streamjobs.cli.capture_run import run_capture
from streamjobs.cli.main import outcome
from streamjobs.errors import StreamjobsError
from streamjobs.local import places
from tests.patience import limit_s

WIDTH = 300
"""Columns of what a capture prints: no line of a log is broken in two."""
_THREAD = "capture of a test"


class Run(ABC):
    """A capture that was started. What it prints is added to its log file."""

    @abstractmethod
    def ended(self) -> bool:
        """Return whether it has ended; raise what the capture should not have raised."""

    @abstractmethod
    def ask_to_stop(self) -> None:
        """Let it drain and end; does not wait."""

    @abstractmethod
    def wait(self, deadline_s: float) -> int:
        """Wait until it has ended; return its exit status. Fail the test when it does not end in time."""

    @abstractmethod
    def close(self) -> None:
        """End it, whatever state it is in, and wait until it is gone."""


class ThreadRun(Run):
    """The capture in a thread: the same file, log and exit status as the command, without its start.

    One at a time in a process, for the log of a capture is that of the process. It cannot be killed.
    """

    def __init__(
        self, file: Path, log: Path, state_dir: Path, variables: Mapping[str, str], *, resnapshot: bool
    ) -> None:
        assert _THREAD not in {thread.name for thread in threading.enumerate()}, "another capture runs here"
        self._file = file
        self._log = log
        self._state_dir = state_dir
        self._variables = variables
        self._resnapshot = resnapshot
        self._stop = threading.Event()
        self._status: int | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=_THREAD, daemon=True)
        self._thread.start()

    def ended(self) -> bool:
        if self._failure is not None:
            raise self._failure
        return not self._thread.is_alive()

    def ask_to_stop(self) -> None:
        self._stop.set()

    def wait(self, deadline_s: float) -> int:
        self._thread.join(limit_s(deadline_s))
        if not self.ended():
            frame = sys._current_frames().get(self._thread.ident or 0)
            stack = "".join(traceback.format_stack(frame))
            message = f"the capture did not end within {limit_s(deadline_s):g} s; it is at\n{stack}"
            raise AssertionError(message)
        assert self._status is not None
        return self._status

    def close(self) -> None:
        self.ask_to_stop()
        self.wait(60.0)

    def _run(self) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            try:
                self._status = self._capture(Console(file=log, width=WIDTH))
            except StreamjobsError as exc:
                line, self._status = outcome(exc)
                log.write(line)
            except BaseException as exc:
                traceback.print_exc(file=log)
                self._failure = exc

    def _capture(self, console: Console) -> int:
        config = read_config(self._file, self._variables)
        run_capture(config, console, self._state_dir, self._stop, resnapshot=self._resnapshot)
        return 0


class ProcessRun(Run):
    """The command in a process of its own, that can be killed and measured."""

    def __init__(
        self, file: Path, log: Path, state_dir: Path, variables: Mapping[str, str], *, resnapshot: bool
    ) -> None:
        options = ["--resnapshot"] if resnapshot else []
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command_line("run", str(file), *options),
                env=command_environment(state_dir, variables),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ended(self) -> bool:
        return self._process.poll() is not None

    def ask_to_stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def wait(self, deadline_s: float) -> int:
        return self._process.wait(limit_s(deadline_s))

    def close(self) -> None:
        self._process.kill()
        self.wait(60.0)


def command_line(*args: str) -> list[str]:
    """Return the arguments of a process that runs `streamjobs capture ARGS`."""
    return [sys.executable, "-m", "streamjobs.cli.main", "capture", *args]


def command_environment(state_dir: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of such a process: ours, its state directory, and `variables`."""
    own = {places.STATE_VARIABLE: str(state_dir), "COLUMNS": str(WIDTH)}
    return {**os.environ, **own, **variables}
