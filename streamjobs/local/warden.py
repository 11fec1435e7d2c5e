"""The process that owns the services of one environment, and that always ends them when it ends.

Run as a script, with the standard library only: `python warden.py ENVIRONMENT_ID GRACE_S`. It reads commands
as JSON lines from standard input and answers each with one JSON line:

    {"op": "start", "name", "argv", "env", "log", "fresh_log", "end_signal"}  -> {"pid": 4711}
    {"op": "keep", "name"}                                      -> {"ok": true}; it is restarted if it ends
    {"op": "poll", "name"}                                      -> {"exit": null | status, -9 = by SIGKILL}
    {"op": "kill", "name", "signal"}                            -> {"exit": status}, when it is gone
    {"op": "detach"}                                            -> {"ok": true}; the owner may go now
    {"op": "stop"}                                              -> {"ok": true}, when nothing is left

While it runs it also accepts commands of this user at a socket (`control_address`), one per connection,
answered when they are done. So a process that did not start the environment can restart ended services:

    {"op": "revive", "name"}                                    -> {"pid": 4711}, of the living process
    {"op": "restart", "name"}                                   -> {"pid": 4711}, after the old one is gone

It stops everything on the command `stop`, on SIGTERM or SIGINT, and when its owner died (standard input
closed, or it got a new parent) unless it was detached. It restarts a kept process that ends by itself or is
killed by others, but not one that `kill` ended. To stop, it finally sends SIGKILL to every process whose
environment contains the id, so the Python workers that a killed TaskManager left end too.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

ID_VARIABLE = "STREAMJOBS_ENVIRONMENT"
PIDS = "pids.json"
"""In the directory of the environment: the pid of the last start of each service, by its name."""
_TICK_S = 0.2
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
"""A kept process that ends is started again after a pause, which doubles each time it ends."""
_SWEEP_DEADLINE_S = 10.0
_COMMAND_TIMEOUT_S = 2.0
_COMMAND_BYTES = 4096
# Source: linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def carriers(environment_id: str) -> list[int]:
    """Return the pids of all live processes that have the environment id in their environment."""
    wanted = f"{ID_VARIABLE}={environment_id}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            variables = Path("/proc", entry, "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended, or belongs to another user
        if wanted in variables:
            found.append(int(entry))
    return found


def control_address(environment_id: str) -> str:
    """Return the address of an environment's warden: an abstract socket name, which ends with the warden."""
    return f"\0streamjobs-warden-{environment_id}"


def sweep(environment_id: str, deadline_s: float = _SWEEP_DEADLINE_S) -> list[int]:
    """Kill all processes with the id; return the pids that still live after the deadline (normally none)."""
    end = time.monotonic() + deadline_s
    while left := carriers(environment_id):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > end:
            return left
        time.sleep(0.02)
    return []


class _Kept:
    """When a kept process that has ended is due to restart; None while it runs."""

    def __init__(self) -> None:
        self.due_s: float | None = None
        self.pause_s = _FIRST_PAUSE_S


class Warden:
    """Starts, reaps and ends the child processes of one environment."""

    def __init__(self, environment_id: str, grace_s: float) -> None:
        self._id = environment_id
        self._grace_s = grace_s
        self._owner = os.getppid()
        self._detached = False
        self._stopping = False
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._end_signals: dict[str, int] = {}
        self._commands: dict[str, dict[str, object]] = {}
        self._kept: dict[str, _Kept] = {}
        self._exits: dict[int, int] = {}
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._control.bind(control_address(environment_id))
        self._control.listen()

    def serve(self) -> None:
        """Execute commands until it is time to stop, then stop everything."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        stdin = sys.stdin.fileno()
        pending = b""
        while not self._stopping:
            watched = [self._control] if self._detached else [self._control, stdin]
            readable, _, _ = select.select(watched, [], [], _TICK_S)
            self._reap()
            self._start_kept()
            if not self._detached and os.getppid() != self._owner:
                break
            if self._control in readable:
                self._serve_control()
            if stdin not in readable:
                continue
            chunk = os.read(stdin, 1 << 16)
            if not chunk:
                break
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                self._answer(self._obey(json.loads(line)))
        self._stop_all()
        self._answer({"ok": True})

    def _serve_control(self) -> None:
        """Execute one command from a process of this user."""
        try:
            connection, _ = self._control.accept()
            with connection:
                connection.settimeout(_COMMAND_TIMEOUT_S)
                peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
                if struct.unpack("3i", peer)[1] not in (0, os.geteuid()):
                    return  # any user can connect to the name
                command = json.loads(connection.recv(_COMMAND_BYTES))
                if not isinstance(command, dict):
                    return
                connection.sendall(json.dumps(self._again(command)).encode())
        except (OSError, ValueError):
            return  # it has ended, or is not ours

    def _again(self, command: dict[str, object]) -> dict[str, object]:
        name = str(command.get("name"))
        if command.get("op") not in ("revive", "restart"):
            return {"error": "the commands are revive and restart"}
        if name not in self._commands:
            return {"error": f"no {name} was started here; there are {', '.join(sorted(self._commands))}"}
        kept = name in self._kept
        if command.get("op") == "restart":
            self._kept.pop(name, None)
            self._kill(name, self._end_signals[name])
            self._kill(name, signal.SIGKILL)
        answer: dict[str, object] = {"pid": self._children[name].pid}
        if self._exit_of(name) is not None:
            answer = self._start(name, self._commands[name])
        if kept:
            self._kept[name] = _Kept()
        return answer

    def _obey(self, command: dict[str, object]) -> dict[str, object] | None:
        name = str(command.get("name", ""))
        match command["op"]:
            case "start":
                return self._start(name, command)
            case "keep":
                self._kept[name] = _Kept()
                return {"ok": True}
            case "poll":
                return {"exit": self._exit_of(name)}
            case "kill":
                return self._kill(name, int(str(command["signal"])))
            case "detach":
                self._detached = True
                return {"ok": True}
            case _:
                self._stopping = True
                return None  # answered when all is stopped

    def _start(self, name: str, command: dict[str, object]) -> dict[str, object]:
        argv, env = command["argv"], command["env"]
        if not isinstance(argv, list) or not isinstance(env, dict):
            msg = f"malformed start command for {name}"
            raise TypeError(msg)
        mode = "wb" if command.get("fresh_log") else "ab"
        try:
            with Path(str(command["log"])).open(mode) as log:
                child = subprocess.Popen(  # noqa: S603 (our own command line)
                    argv,
                    env={**env, ID_VARIABLE: self._id},
                    cwd=str(command["cwd"]),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    preexec_fn=self._die_with_warden,  # noqa: PLW1509 (this process has one thread)
                )
        except OSError as exc:
            return {"error": str(exc)}
        self._commands[name] = {**command, "fresh_log": False}
        self._exits.pop(child.pid, None)  # of an orphan that had the same pid
        self._children[name] = child
        self._tell_pids(Path(str(command["cwd"])))
        self._end_signals[name] = int(str(command["end_signal"]))
        return {"pid": child.pid}

    def _tell_pids(self, root: Path) -> None:
        draft = root / f"{PIDS}.new"
        draft.write_text(json.dumps({name: child.pid for name, child in self._children.items()}))
        draft.replace(root / PIDS)

    def _die_with_warden(self) -> None:
        self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def _start_kept(self) -> None:
        now = time.monotonic()
        for name, kept in self._kept.items():
            status = self._exit_of(name)
            if status is None:
                continue
            if kept.due_s is None:
                sys.stderr.write(
                    f"{name} ended with status {status}: starting it again in {kept.pause_s:g} s\n"
                )
                sys.stderr.flush()
                kept.due_s = now + kept.pause_s
                kept.pause_s = min(2 * kept.pause_s, _LONGEST_PAUSE_S)
            elif now >= kept.due_s:
                kept.due_s = None
                self._start(name, self._commands[name])

    def _kill(self, name: str, number: int) -> dict[str, object]:
        self._kept.pop(name, None)
        if self._exit_of(name) is None:
            os.kill(self._children[name].pid, number)
        end = time.monotonic() + self._grace_s
        while self._exit_of(name) is None and time.monotonic() < end:
            time.sleep(0.01)
        return {"exit": self._exit_of(name)}

    def _exit_of(self, name: str) -> int | None:
        self._reap()
        return self._exits.get(self._children[name].pid)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._exits[pid] = os.waitstatus_to_exitcode(status)

    def _stop_all(self) -> None:
        living = [name for name in self._children if self._exit_of(name) is None]
        for name in living:
            os.kill(self._children[name].pid, self._end_signals[name])
        end = time.monotonic() + self._grace_s
        while time.monotonic() < end and any(self._exit_of(name) is None for name in living):
            time.sleep(0.02)
        sweep(self._id)
        end = time.monotonic() + _SWEEP_DEADLINE_S
        while time.monotonic() < end and any(self._exit_of(name) is None for name in living):
            time.sleep(0.02)
        self._reap()

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._stopping = True

    def _answer(self, reply: dict[str, object] | None) -> None:
        if reply is None:
            return
        try:
            os.write(sys.stdout.fileno(), json.dumps(reply).encode() + b"\n")
        except BrokenPipeError:
            return  # the owner has ended; the stop continues


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    Warden(sys.argv[1], float(sys.argv[2])).serve()
