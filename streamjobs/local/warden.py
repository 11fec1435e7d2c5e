"""The process that owns the services of one environment and outlives nobody it should not.

Run as a script, with the standard library only: `python warden.py ENVIRONMENT_ID GRACE_S`. It reads commands
as JSON lines from standard input and answers each with one JSON line:

    {"op": "start", "name", "argv", "env", "log", "fresh_log", "end_signal"}  -> {"pid": 4711}
    {"op": "poll", "name"}                                      -> {"exit": null | status, -9 = by SIGKILL}
    {"op": "kill", "name", "signal"}                            -> {"exit": status}, when it is gone
    {"op": "detach"}                                            -> {"ok": true}; the owner may go now
    {"op": "stop"}                                              -> {"ok": true}, when nothing is left

It stops everything when told so, on SIGTERM or SIGINT, and when its owner died (standard input closed, or it
got a new parent) unless it was detached. Stopping ends with SIGKILL for every process whose environment
carries the id, so the Python workers that a killed TaskManager left behind go too.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

ID_VARIABLE = "STREAMJOBS_ENVIRONMENT"
_TICK_S = 0.2
_SWEEP_DEADLINE_S = 10.0
# Source: linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def carriers(environment_id: str) -> list[int]:
    """Pids of all living processes that carry the environment id in their environment."""
    wanted = f"{ID_VARIABLE}={environment_id}".encode()
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            variables = Path("/proc", entry, "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # gone meanwhile, or another user's
        if wanted in variables:
            found.append(int(entry))
    return found


def sweep(environment_id: str, deadline_s: float = _SWEEP_DEADLINE_S) -> list[int]:
    """Kill every carrier of the id; the pids that still live after the deadline (normally none)."""
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
        self._exits: dict[int, int] = {}
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def serve(self) -> None:
        """Obey commands until it is time to stop, then stop everything."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        stdin = sys.stdin.fileno()
        pending = b""
        while not self._stopping:
            watched = [] if self._detached else [stdin]
            readable, _, _ = select.select(watched, [], [], _TICK_S)
            self._reap()
            if not self._detached and os.getppid() != self._owner:
                break
            if not readable:
                continue
            chunk = os.read(stdin, 1 << 16)
            if not chunk:
                break
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                self._answer(self._obey(json.loads(line)))
        self._stop_all()
        self._answer({"ok": True})

    def _obey(self, command: dict[str, object]) -> dict[str, object] | None:
        name = str(command.get("name", ""))
        match command["op"]:
            case "start":
                return self._start(name, command)
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
        self._exits.pop(child.pid, None)  # of an orphan that had the same pid
        self._children[name] = child
        self._end_signals[name] = int(str(command["end_signal"]))
        return {"pid": child.pid}

    def _die_with_warden(self) -> None:
        self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def _kill(self, name: str, number: int) -> dict[str, object]:
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
            return  # the owner is gone; stopping goes on


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    Warden(sys.argv[1], float(sys.argv[2])).serve()
