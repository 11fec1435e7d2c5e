"""Python workers of the local Flink as forks of one process that has already imported their modules.

The imports of a worker (pyflink, Beam, pandas, grpc) take 1.4 CPU s, and a job has a worker in each slot.
Our `python` is the first that Flink finds on its PATH (`write_launcher`). When Flink starts a worker, it runs
this file as a script, with the standard library only; for everything else it is an ordinary Python:

    python_workers.py start LOG -m MODULE ARGUMENT...   asks the pool for a worker, runs as long as it does
    python_workers.py pool TASKMANAGER_PID              forks workers, ends with its TaskManager

A worker is a fork only if it would import exactly the same modules by itself: same variables, same installed
packages, nothing on its PYTHONPATH that hides a module which the pool has imported. Otherwise, and whenever
the pool does not answer, it starts as Flink would have started it, and the log says why.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import select
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

WORKER = "pyflink.fn_execution.beam.beam_boot"
"""What Flink's pyflink-udf-runner.sh runs as `python -m`."""
NAME = "python-worker"
"""How `ps -o comm` and `top` show a worker; its command line is that of the pool."""
_IMPORTS = (
    "pyflink.fn_execution.beam.beam_sdk_worker_main",
    "pyflink.fn_execution.table.operations",
    "pyflink.fn_execution.datastream.process.operations",
)
_OF_ONE_WORKER = frozenset(
    {
        "BOOT_LOG_DIR",
        "OLDPWD",
        "PATH",
        "PWD",
        "PYFLINK_GATEWAY_DISABLED",
        "PYTHONPATH",
        "SHLVL",
        "_",
        "_PYTHON_WORKING_DIR",
        "python",
    }
)
"""Variables that Flink or the shell sets differently for each worker, and that no import reads."""
_CUSTOM = frozenset({"sitecustomize", "usercustomize"})
"""Modules that an interpreter imports when it starts, if they are on its path."""
_CONNECT_LIMIT_S = 10.0
"""A pool binds its address before its first process ends, and before it imports anything."""
_ANSWER_LIMIT_S = 60.0
"""The first workers wait until the pool has imported everything."""
_REQUEST_LIMIT_S = 5.0
_PAUSE_S = 0.02
_ACCEPTED = b"+"
_LENGTH = struct.Struct("!I")
_CREDENTIALS = struct.Struct("3i")


class Unavailable(Exception):
    """The pool does not serve this worker; the text is the reason."""


def write_launcher(directory: Path, log: Path) -> None:
    """Write an executable `python` to the directory, which exists; the pool writes to the file `log`."""
    python = shlex.quote(sys.executable)
    start = f"{python} -I -S {shlex.quote(__file__)} start {shlex.quote(str(log))}"
    launcher = directory / "python"
    launcher.write_text(
        f'#!/bin/sh\n[ "$1 $2" = "-m {WORKER}" ] && exec {start} "$@"\nexec {python} "$@"\n', encoding="utf-8"
    )
    launcher.chmod(0o755)


def start(log: Path, command: list[str]) -> None:
    """Run one worker to its end; `command` is Python's arguments, `-m MODULE ARGUMENT...`."""
    try:
        taskmanager = _java_above(os.getppid())
        with _connection(taskmanager, log) as connection:
            _request_worker(connection, command[1:])
            connection.settimeout(None)
            connection.recv(1)  # the worker holds the other end until it ends
    except (Unavailable, OSError) as exc:
        with log.open("a", encoding="utf-8") as output:
            output.write(f"a Python worker starts by itself: {exc}\n")
        os.execv(sys.executable, [sys.executable, *command])  # noqa: S606 (as Flink starts it)


def _java_above(pid: int) -> int:
    while pid > 1:
        if Path(os.readlink(f"/proc/{pid}/exe")).name == "java":
            return pid
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        pid = int(status.rpartition(")")[2].split()[1])
    msg = "no Java process started it"
    raise Unavailable(msg)


def _address(taskmanager: int) -> str:
    """Return the address of a TaskManager's pool: an abstract socket name, which ends with the pool."""
    return f"\0streamjobs-python-workers-{os.geteuid()}-{taskmanager}"


def _is_ours(connection: socket.socket) -> bool:
    """Return whether the peer is a process of this user: any user can bind such a name, or connect to it."""
    sent = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return bool(_CREDENTIALS.unpack(sent)[1] == os.geteuid())


def _connection(taskmanager: int, log: Path) -> socket.socket:
    end = time.monotonic() + _CONNECT_LIMIT_S
    pool: subprocess.Popen[bytes] | None = None
    while time.monotonic() < end:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(_address(taskmanager))
        except OSError:
            connection.close()
        else:
            if _is_ours(connection):
                return connection
            connection.close()
            msg = "another user has the address of the pool"
            raise Unavailable(msg)
        if pool is None or pool.poll() is not None:
            pool = _start_pool(taskmanager, log)
        time.sleep(_PAUSE_S)
    msg = f"no pool of workers answered within {_CONNECT_LIMIT_S:g} s"
    raise Unavailable(msg)


def _start_pool(taskmanager: int, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 (our own script)
            [sys.executable, __file__, "pool", str(taskmanager)],
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def _request_worker(connection: socket.socket, argv: list[str]) -> None:
    """Request a worker with our variables, directory, standard output and standard error."""
    connection.settimeout(_ANSWER_LIMIT_S)
    request = json.dumps({"argv": argv, "directory": os.getcwd(), "variables": dict(os.environ)}).encode()
    socket.send_fds(connection, [_LENGTH.pack(len(request))], [1, 2])
    connection.sendall(request)
    if connection.recv(1) != _ACCEPTED:
        reason = connection.makefile("rb").read().decode("utf-8", "replace")
        raise Unavailable(reason or "the pool of workers ended")


class Pool:
    """Forks workers for one TaskManager."""

    def __init__(self, taskmanager: int) -> None:
        self._taskmanager = os.pidfd_open(taskmanager)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(_address(taskmanager))
        self._listener.listen(64)
        if os.fork():
            os._exit(0)  # who started it waits for a worker, and could not reap it
        self._path = list(sys.path)
        self._variables = _common(os.environ)
        self._installed = self._changed_at()
        for name in _IMPORTS:
            importlib.import_module(name)
        self._imported = {name.partition(".")[0] for name in sys.modules}
        gc.collect()
        gc.freeze()  # otherwise a worker's garbage collector would copy every shared page

    def worker(self) -> list[str] | None:
        """Serve until the TaskManager ends or packages change, and return None; in a fork, its command."""
        while self._changed_at() == self._installed:
            readable, _, _ = select.select([self._listener.fileno(), self._taskmanager], [], [])
            if self._taskmanager in readable:
                return None
            connection, _ = self._listener.accept()
            with connection, ExitStack() as received:
                if (forked := self._forked(connection, received)) is not None:
                    return self._become_worker(*forked, connection)
        return None

    def _forked(
        self, connection: socket.socket, received: ExitStack
    ) -> tuple[dict[str, Any], list[int]] | None:
        """Fork for one request. In the fork, return the request and its outputs; in the pool, None."""
        with suppress(OSError, ValueError, KeyError, struct.error):  # without an answer it starts by itself
            if not _is_ours(connection):
                return None
            connection.settimeout(_REQUEST_LIMIT_S)
            head, outputs, _, _ = socket.recv_fds(connection, _LENGTH.size, 2)
            for number in outputs:
                received.callback(os.close, number)
            request: dict[str, Any] = json.loads(connection.makefile("rb").read(_LENGTH.unpack(head)[0]))
            if (reason := self._refusal(request)) is not None:
                connection.sendall(b"-" + reason.encode())
            elif self._fork() == 0:
                return request, outputs
        return None

    @staticmethod
    def _fork() -> int:
        with warnings.catch_warnings():  # Python 3.12 warns about threads: those of OpenBLAS and jemalloc
            warnings.simplefilter("ignore", DeprecationWarning)
            return os.fork()

    def _refusal(self, request: Mapping[str, Any]) -> str | None:
        """Return why a worker with these variables would differ from one that starts by itself; else None."""
        variables = _common(request["variables"])
        if variables != self._variables:
            names = sorted({name for name, _ in variables.items() ^ self._variables.items()})
            return f"it has other variables than the pool: {', '.join(names)}"
        if self._changed_at() != self._installed:
            return "the installed packages have changed since the pool started"
        for entry in _own_path(request):
            if hidden := sorted(set(_modules_in(Path(entry))) & (self._imported | _CUSTOM)):
                return f"{entry} holds modules that the pool has imported from elsewhere: {', '.join(hidden)}"
        return None

    def _changed_at(self) -> list[int]:
        """Return for each directory of modules when a package was last added or removed."""
        return [Path(entry).stat().st_mtime_ns for entry in self._path if Path(entry).is_dir()]

    def _become_worker(
        self, request: Mapping[str, Any], outputs: list[int], connection: socket.socket
    ) -> list[str]:
        Path("/proc/self/comm").write_text(NAME, encoding="ascii")
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._listener.close()
        os.close(self._taskmanager)
        for number, output in enumerate(outputs, start=1):
            os.dup2(output, number)
        os.chdir(request["directory"])
        os.environ.clear()
        os.environ.update(request["variables"])
        sys.path[:] = [*_own_path(request), *self._path]
        sys.path_importer_cache.clear()
        if "numpy" in sys.modules:
            # Else all workers draw the same numbers; Python itself reseeds its generator after a fork.
            sys.modules["numpy"].random.seed()
        connection.sendall(_ACCEPTED)  # not before: until then the requester can start the worker by itself
        connection.detach()  # closed by the kernel when this process ends
        argv: list[str] = request["argv"]
        return argv


def _common(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in variables.items() if name not in _OF_ONE_WORKER}


def _own_path(request: Mapping[str, Any]) -> list[str]:
    """Return the entries of a worker's sys.path before the standard library."""
    entries = request["variables"].get("PYTHONPATH", "").split(os.pathsep)
    return [request["directory"], *filter(None, entries)]


def _modules_in(entry: Path) -> Iterator[str]:
    """Yield the names of modules and packages in an entry of sys.path; nothing when it does not exist."""
    if entry.is_dir():
        for child in entry.iterdir():
            if child.is_dir() and any(child.glob("__init__.*")):
                yield child.name
            elif child.suffix in (".py", ".pyc", ".so"):
                yield child.name.partition(".")[0]
    elif zipfile.is_zipfile(entry):
        with zipfile.ZipFile(entry) as archive:
            for name in archive.namelist():
                top, _, below = name.partition("/")
                if below.startswith("__init__.") or (not below and top.endswith((".py", ".pyc"))):
                    yield top.partition(".")[0]


def _run_pool(taskmanager: int) -> None:
    sys.path.pop(0)  # the directory of this script, which is not on a worker's path
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps
    try:
        pool = Pool(taskmanager)
    except OSError:
        return  # another pool was faster, or the TaskManager has ended
    argv = pool.worker()
    if argv is not None:
        sys.argv[1:] = argv[1:]
        runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    if sys.argv[1] == "pool":
        _run_pool(int(sys.argv[2]))
    else:
        start(Path(sys.argv[2]), sys.argv[3:])
