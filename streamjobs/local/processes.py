"""The owner's side of the warden: starts, watches and ends the processes of one environment."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from streamjobs.errors import ServiceError
from streamjobs.local import warden
from streamjobs.local.progress import Progress

_TAIL_LINES = 20
_TAIL_BYTES = 65_536
_STACK_FRAME = re.compile(r"\s+(at \S+\(|\.\.\. \d+ more)")
_POLL_S = 0.05


def log_tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """Return the last lines of a log without Java's stack frames, indented, or a note if there are none."""
    try:
        text = log.read_bytes()[-_TAIL_BYTES:].decode("utf-8", "replace")
    except FileNotFoundError:
        return "  (no log was written)"
    tail = [line for line in text.splitlines() if not _STACK_FRAME.match(line)][-lines:]
    return "\n".join(f"  {line}" for line in tail) or "  (the log is empty)"


class ProcessGroup:
    """All processes of one environment; they end with their owner unless `detach()` was called.

    Promise: no process of the group is left after `stop()`, or after the owner has died for any reason.
    Calls block until done and may come from several threads.
    """

    def __init__(self, root: Path, grace_s: float = 8.0) -> None:
        self.root = root
        self.environment_id = uuid.uuid4().hex
        self._grace_s = grace_s
        self._lock = threading.Lock()
        self._pids: dict[str, int] = {}
        log_dir = root / "logs"
        log_dir.mkdir(parents=True, exist_ok=True)
        with (log_dir / "warden.log").open("wb") as log:
            self._warden = subprocess.Popen(  # noqa: S603 (our own script)
                [sys.executable, "-I", warden.__file__, self.environment_id, str(grace_s)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )

    @property
    def warden_pid(self) -> int:
        """Return the pid of the warden; SIGTERM makes it stop the whole group."""
        return self._warden.pid

    def log(self, name: str) -> Path:
        """Return the file with the output of a process."""
        return self.root / "logs" / f"{name}.log"

    def start(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], end_signal: int = signal.SIGTERM
    ) -> int:
        """Start a process under an unused name; return its pid. `stop` sends it `end_signal` first."""
        reply = self._ask(
            op="start",
            name=name,
            argv=list(argv),
            env=dict(env),
            cwd=str(self.root),
            log=str(self.log(name)),
            fresh_log=name not in self._pids,
            end_signal=int(end_signal),
        )
        if "error" in reply:
            msg = f"{name} cannot be started: {reply['error']}"
            raise ServiceError(msg)
        self._pids[name] = pid = int(str(reply["pid"]))
        return pid

    def exit_status(self, name: str) -> int | None:
        """Return the exit status of a process, negative for a signal; None while it runs."""
        status = self._ask(op="poll", name=name)["exit"]
        return None if status is None else int(str(status))

    def keep(self, name: str) -> None:
        """Restart this process from now on whenever it ends, unless `kill` has ended it."""
        self._ask(op="keep", name=name)

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Send a signal that ends this one process, and wait until it is gone."""
        if self._ask(op="kill", name=name, signal=int(number))["exit"] is None:
            msg = f"{name} still runs {self._grace_s:g} s after signal {number}"
            raise ServiceError(msg)

    def wait_until(self, name: str, missing: Callable[[], str | None], deadline_s: float) -> None:
        """Wait until `missing` returns None; otherwise it returns what is missing.

        The wait ends at the deadline if the process makes no progress. It is longer, at most `HARD_LIMIT`
        times the deadline, while the process works (its log grows, or it uses CPU time).
        Raises ServiceError with the log's last lines when the process ends or the wait ends.
        """
        progress = Progress(self.log(name), self._pids[name], deadline_s)
        while (lack := missing()) is not None:
            if (status := self.exit_status(name)) is not None:
                raise self.failure(name, f"ended with status {status} before it was ready")
            if (verdict := progress.verdict()) is not None:
                raise self.failure(name, f"was not ready {verdict}: {lack}")
            time.sleep(_POLL_S)

    def wait_for_success(self, name: str, deadline_s: float) -> None:
        """Wait until a short-lived process has ended with status 0, at most as long as `wait_until` does.

        Raises ServiceError with the log's last lines otherwise.
        """
        progress = Progress(self.log(name), self._pids[name], deadline_s)
        while (status := self.exit_status(name)) is None:
            if (verdict := progress.verdict()) is not None:
                raise self.failure(name, f"did not end {verdict}")
            time.sleep(_POLL_S)
        if status != 0:
            raise self.failure(name, f"ended with status {status}")

    def failure(self, name: str, what: str) -> ServiceError:
        """Return an error that names the log of a process and quotes its last lines."""
        log = self.log(name)
        return ServiceError(f"{name} {what}. The last lines of {log}:\n{log_tail(log)}")

    def detach(self) -> None:
        """Keep the group running after its owner ends, until SIGTERM reaches the warden."""
        self._ask(op="detach")
        self._close_pipes()
        self._warden.returncode = 0  # it continues to run, and we no longer wait for it

    def stop(self) -> None:
        """End every process of the group, with its own signal first; may be called again."""
        if self._warden.poll() is None:
            self._close_pipes()
            try:
                self._warden.wait(self._grace_s + 25)
            except subprocess.TimeoutExpired:
                self._warden.kill()
                self._warden.wait()
        self._close_pipes()
        if left := warden.sweep(self.environment_id):
            msg = f"processes {left} of the environment in {self.root} cannot be killed"
            raise ServiceError(msg)

    def _ask(self, **command: object) -> dict[str, object]:
        stdin, stdout = self._warden.stdin, self._warden.stdout
        if stdin is None or stdout is None:
            raise AssertionError  # both pipes were requested
        with self._lock:
            try:
                stdin.write(json.dumps(command).encode() + b"\n")
                stdin.flush()
                line = stdout.readline()
            except (OSError, ValueError) as exc:
                raise self._warden_gone() from exc
        if not line:
            raise self._warden_gone()
        reply: dict[str, object] = json.loads(line)
        return reply

    def _warden_gone(self) -> ServiceError:
        return self.failure("warden", "has ended, and so have its services")

    def _close_pipes(self) -> None:
        for pipe in (self._warden.stdin, self._warden.stdout):
            if pipe is not None and not pipe.closed:
                try:
                    pipe.close()
                except BrokenPipeError:
                    continue


def child_environment(root: Path, *bin_dirs: Path, **variables: str) -> dict[str, str]:
    """Return variables for a service: ours, temporary files under `root`, `bin_dirs` and this Python on PATH.

    PYTHONPATH is not among them: a Python worker sees what its job ships and what is installed.
    """
    own = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}}
    path = (*map(str, bin_dirs), str(Path(sys.executable).parent), own.get("PATH", os.defpath))
    own.update(TMPDIR=str(root / "tmp"), PATH=os.pathsep.join(path))
    own.update(variables)
    return own
