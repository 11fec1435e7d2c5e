"""One warm JVM: the planner's server starts it, checks whether it still answers, and ends it."""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

LOG = "planner.log"
TEMPORARY = "tmp"
OWN_TEMPORARY = "{temporary}"
"""Placeholder in a JVM's arguments for its own temporary directory, which is removed when it ends."""
KEPT = "flink-table-planner_"
"""Flink's planner runs from a jar that it unpacks under this name in its temporary directory."""
JVM_START_S = 60.0
JVM_ANSWER_S = 5.0


class JvmError(Exception):
    """Raised when a JVM does not start; the message has the end of its log."""


class JvmKilledError(JvmError):
    """Raised when the JVM was killed while it started; the next one may start."""


class Jvm:
    """One JVM with a gateway on a loopback port, which answers only to clients that have the token."""

    def __init__(self, directory: Path, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self.leases = 0
        self.rested_s = 0.0
        self.temporary = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=directory / TEMPORARY))
        argv = [word.replace(OWN_TEMPORARY, str(self.temporary)) for word in argv]
        log = directory / LOG
        with log.open("ab") as output:
            try:
                self._process = subprocess.Popen(  # noqa: S603 (the client is our own user)
                    argv, env=env, cwd=directory, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=output, start_new_session=True,
                )  # fmt: skip
            except OSError as exc:
                shutil.rmtree(self.temporary, ignore_errors=True)
                msg = f"cannot start {argv[0]}: {exc}"
                raise JvmError(msg) from exc
        try:
            port, self.token = self._lines(2)
            self.port = int(port)
        except ValueError as exc:
            status = self._ended()
            self.end()
            if status is not None and status < 0:
                msg = f"the planner's JVM was killed by signal {-status} while it started: is memory short?"
                raise JvmKilledError(msg) from exc
            tail = log.read_text("utf-8", "replace")[-2000:].strip()
            msg = f"the planner's JVM does not start: {tail or 'it printed nothing'}"
            raise JvmError(msg) from exc

    @property
    def alive(self) -> bool:
        """Return whether the process exists."""
        return self._process.poll() is None

    @property
    def output(self) -> int:
        """Return the file descriptor of its standard output."""
        if self._process.stdout is None:
            raise AssertionError  # it was asked for
        return self._process.stdout.fileno()

    def answers(self) -> bool:
        """Return whether its gateway accepts the token within JVM_ANSWER_S; a stopped JVM does not."""
        if not self.alive:
            return False
        try:
            with socket.create_connection(("127.0.0.1", self.port), JVM_ANSWER_S) as connection:
                connection.sendall(f"A\n{self.token}\n".encode())
                return connection.recv(8).startswith(b"!y")
        except OSError:
            return False

    def rest(self) -> None:
        """Start waiting for the next lease; remove what planning left in the temporary directory."""
        self.rested_s = time.monotonic()
        for path in self.temporary.glob("*"):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif not path.name.startswith(KEPT):
                path.unlink(missing_ok=True)

    def end(self) -> None:
        """Kill it, wait until it is gone, and remove its temporary directory."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        shutil.rmtree(self.temporary, ignore_errors=True)

    def _ended(self) -> int | None:
        """Return its exit status, negative for a signal; None if it still runs after JVM_ANSWER_S."""
        try:
            return self._process.wait(JVM_ANSWER_S)
        except subprocess.TimeoutExpired:
            return None

    def _lines(self, count: int) -> list[str]:
        """Return its first lines; fewer if it ends, or prints nothing for JVM_START_S."""
        read, end = b"", time.monotonic() + JVM_START_S
        while read.count(b"\n") < count and (left := end - time.monotonic()) > 0:
            if select.select([self.output], [], [], left)[0]:
                part = os.read(self.output, 4096)
                if not part:
                    break
                read += part
        return read.decode("utf-8", "replace").splitlines()[:count]


def clear_leftovers(directory: Path) -> None:
    """Remove the temporary directories of planner processes that are gone."""
    for path in (directory / TEMPORARY).glob("*-*"):
        if not Path("/proc", path.name.partition("-")[0]).exists():
            shutil.rmtree(path, ignore_errors=True)
