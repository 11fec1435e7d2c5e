"""Leases a planner JVM for one plan from the project's planner process; starts that process if none runs."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamjobs.errors import ConfigError
from streamjobs.job.planner import jvm, server
from streamjobs.process_identity import identify

DIRECTORY_VARIABLE = "STREAMJOBS_PLANNER"
IDLE_VARIABLE = "STREAMJOBS_PLANNER_IDLE_S"
DEFAULT_IDLE_S = 600.0
_SILENT_S = 15.0
"""A planner process that sends nothing for this long hangs: it reports each second that a client waits."""
_ATTEMPTS = 4


@dataclass(frozen=True)
class JvmCommand:
    """How to start a planner JVM: its arguments and its whole environment."""

    argv: Sequence[str]
    env: Mapping[str, str]

    @property
    def version(self) -> str:
        """Return the version of a planner process; one that was started with another version is replaced."""
        code = b"".join(Path(module.__file__ or "").read_bytes() for module in (server, jvm))
        parts = json.dumps([list(self.argv), sorted(self.env.items()), sys.version]).encode()
        return hashlib.sha256(code + parts).hexdigest()[:16]


class Lease:
    """A JVM that no one else uses until `release` or `close`.

    `port` and `token` are those of its gateway. `release` leaves the JVM to others; `close` alone ends it.
    """

    def __init__(self, connection: socket.socket, port: int, token: str) -> None:
        self._connection = connection
        self.port = port
        self.token = token

    def release(self) -> None:
        """Return the JVM unchanged to the planner process; raises nothing if that process is gone."""
        try:
            self._connection.sendall(server.DONE)
        except OSError:
            return

    def close(self) -> None:
        """End the lease; may be called more than once."""
        self._connection.close()


def default_planner_dir(state_dir: Path) -> Path:
    """Return the directory of a project's planner process; the variable STREAMJOBS_PLANNER overrides it."""
    named = os.environ.get(DIRECTORY_VARIABLE)
    return Path(named).absolute() if named else state_dir / "planner"


def take(directory: Path, command: JvmCommand) -> Lease:
    """Return a lease on a JVM of this project, whose planner process keeps its files in `directory`.

    Waits while others plan. A planner process that has died, hangs or has another version is replaced.
    Raises ConfigError if none can be started: no JDK, a full disk, a directory of another user.
    """
    _private(directory)
    for _ in range(_ATTEMPTS):
        connection = _connected(directory, command.version)
        answer = _answer(connection, op="lease", version=command.version, argv=list(command.argv),
                         env=dict(command.env))  # fmt: skip
        if "port" in answer:
            connection.settimeout(None)
            return Lease(connection, int(answer["port"]), str(answer["token"]))
        if "hangs" in answer:
            _kill(connection, directory)
        connection.close()
        if "error" in answer:
            raise ConfigError(str(answer["error"]))
    message = f"the planner process in {directory} ends again and again; its log is {directory / jvm.LOG}"
    raise ConfigError(message)


def stop(directory: Path) -> bool:
    """End the planner process of a project and its JVMs; return False if none ran."""
    try:
        connection = _connect(directory)
    except OSError:
        return False
    with connection:
        if "hangs" in _answer(connection, op="stop"):
            _kill(connection, directory)
    return True


def _private(directory: Path) -> None:
    """Create the directory for this user alone. Raises ConfigError if that is not possible."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
        owner = directory.stat().st_uid
    except OSError as exc:
        message = f"cannot use {directory} for the planner: {exc.strerror}"
        raise ConfigError(message) from exc
    if owner != os.geteuid():
        message = f"{directory} belongs to another user (uid {owner}), who could read what is planned there"
        raise ConfigError(message)


def _connect(directory: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(_SILENT_S)
    opened = -1
    try:
        opened = os.open(directory, os.O_PATH | os.O_DIRECTORY)
        connection.connect(f"/proc/self/fd/{opened}/{server.SOCKET}")
    except BaseException:
        connection.close()
        raise
    finally:
        if opened >= 0:
            os.close(opened)
    return connection


def _connected(directory: Path, version: str) -> socket.socket:
    """Connect to the planner process; start it if none runs. Raises ConfigError if it does not start."""
    try:
        return _connect(directory)
    except OSError:
        pass
    try:
        with (directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                return _connect(directory)  # another process has started it meanwhile
            except OSError:
                _start(directory, version)
            return _connect(directory)
    except OSError as exc:
        message = f"cannot start the planner in {directory}: {exc.strerror or exc}"
        raise ConfigError(message) from exc


def _start(directory: Path, version: str) -> None:
    idle_s = os.environ.get(IDLE_VARIABLE, str(DEFAULT_IDLE_S))
    try:
        float(idle_s)
    except ValueError:
        message = f"{IDLE_VARIABLE} must be the seconds an idle planner stays, such as 600, not {idle_s!r}"
        raise ConfigError(message) from None
    with (
        (directory / jvm.LOG).open("wb") as log,
        subprocess.Popen(  # noqa: S603 (our own module)
            [sys.executable, "-m", "streamjobs.job.planner.server", str(directory), version, idle_s],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, cwd=directory,
            start_new_session=True,
        ) as process,
    ):  # fmt: skip
        line = process.stdout.readline().decode().strip() if process.stdout else ""
    if line == "ready":
        return
    tail = (directory / jvm.LOG).read_text("utf-8", "replace")[-2000:].strip()
    message = f"the planner process does not start: {line or tail or 'it printed nothing'}"
    raise ConfigError(message)


def _answer(connection: socket.socket, **request: Any) -> dict[str, Any]:
    """Send a request and return its answer: {} if the process has ended, "hangs" if it sends nothing."""
    received = b""
    try:
        connection.sendall(json.dumps(request).encode() + b"\n")
        while True:
            part = connection.recv(1 << 16)
            if not part:
                return {}
            received += part
            *lines, received = received.split(b"\n")
            for line in lines:
                answer: dict[str, Any] = json.loads(line)
                if "waiting" not in answer:
                    return answer
    except TimeoutError:
        return {"hangs": True}
    except OSError:
        return {}


def _kill(connection: socket.socket, directory: Path) -> None:
    """Kill the planner process at the other end, which does not answer; its JVMs end with it."""
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid = int(struct.unpack("3i", peer)[0])
    try:
        command = Path("/proc", str(pid), "cmdline").read_bytes()
    except OSError:
        return
    hung = identify(pid)
    if hung is None or str(directory).encode() not in command:
        return
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + _SILENT_S
    while hung.alive and time.monotonic() < end:
        time.sleep(0.02)
