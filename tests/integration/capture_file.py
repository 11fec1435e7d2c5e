"""A capture's configuration file, and what a test does with it: run it, ask it, stop it, kill it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamjobs.capture.status.http import ask_snapshot, read_status
from streamjobs.options.options import Secret
from tests.integration.capture_runs import ProcessRun, Run, ThreadRun, command_environment, command_line
from tests.integration.waiting import wait_for
from tests.patience import limit_s

LOGIN_VARIABLE = "CAPTURE_TEST_PASSWORD"


@dataclass
class CaptureFile:
    """A capture's configuration, and what runs it, if something does."""

    path: Path
    name: str
    home: Path
    password: Secret
    run: Run | None = None

    def start(self, *, resnapshot: bool = False) -> CaptureFile:
        """Run it in a thread of this process: for all tests that need no process to kill or to measure."""
        return self._start(ThreadRun, resnapshot=resnapshot)

    def start_process(self, *, resnapshot: bool = False) -> CaptureFile:
        """Run it as the command does, in a process of its own that can be killed."""
        return self._start(ProcessRun, resnapshot=resnapshot)

    def command(self, *args: str) -> tuple[int, str]:
        """Exit status and output of `streamjobs capture ARGS`."""
        done = subprocess.run(
            command_line(*args),
            env=command_environment(self.home, self._variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=limit_s(120),
        )
        return done.returncode, done.stdout

    def send_whole(self, table: str) -> None:
        """Ask the running capture for all rows of a table, as `streamjobs capture snapshot` does."""
        assert ask_snapshot(self._address_file, table) == f"a snapshot of {table} will be sent"

    @property
    def log_file(self) -> Path:
        return self.home / f"{self.name}.log"

    def log(self) -> str:
        """What it has printed, the end of it."""
        return self.log_file.read_text(encoding="utf-8")[-6000:] if self.log_file.exists() else ""

    def status(self) -> dict[str, Any] | None:
        """What it tells at its port, None while it does not run."""
        return read_status(self._address_file)

    def streaming(self, deadline_s: float = 180.0) -> CaptureFile:
        """Wait until it streams and no snapshot is left."""
        wait_for(
            lambda: self.ended() or (self.status() or {}).get("phase") == "streaming",
            lambda: f"the capture streams: {self.status()}\n{self.log()}",
            deadline_s,
        )
        assert not self.ended(), self.log()
        return self

    def ended(self) -> bool:
        """Whether nothing runs it; raises what a capture in a thread should not have raised."""
        return self.run is None or self.run.ended()

    @property
    def pid(self) -> int:
        """The pid of its own process."""
        assert isinstance(self.run, ProcessRun)
        return self.run.pid

    def kill(self) -> None:
        """End its process without warning."""
        assert isinstance(self.run, ProcessRun), "a thread cannot be killed: start_process()"
        self.close()

    def close(self) -> None:
        """End it at the end of a test, whatever state it is in."""
        if self.run is not None:
            run, self.run = self.run, None
            run.close()

    def stop(self) -> int:
        """Let it drain; its exit status."""
        if self.run is None:
            return 0
        self.run.ask_to_stop()
        return self.wait()

    def wait(self, deadline_s: float = 60.0) -> int:
        """Wait until it ends by itself; its exit status."""
        assert self.run is not None
        run, self.run = self.run, None
        return run.wait(deadline_s)

    def _start(self, kind: type[ThreadRun | ProcessRun], *, resnapshot: bool) -> CaptureFile:
        assert self.run is None or self.run.ended(), "it runs already"
        self.run = kind(self.path, self.log_file, self.home, self._variables, resnapshot=resnapshot)
        return self

    @property
    def _variables(self) -> dict[str, str]:
        return {LOGIN_VARIABLE: self.password.reveal()}

    @property
    def _address_file(self) -> Path:
        return self.home / "capture" / f"{self.name}.address"
