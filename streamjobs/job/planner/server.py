"""The process that keeps planner JVMs warm for one user and one project.

`python -m streamjobs.job.planner.server DIRECTORY VERSION IDLE_S` listens on the socket `DIRECTORY/socket`. A
client sends one JSON line and gets JSON lines back:

    {"op": "lease", "version", "argv", "env"} -> {"waiting": seconds}…, then {"port": 4711, "token": "…"}
                                              or {"error": "…"}: the JVM does not start
                                              or {"other": "…"}: this server has another version, and ends
    {"op": "stop"}                            -> {"stopped": true}, and all JVMs have ended

A lease lasts as long as its connection. If the client sends `done` before it closes, the JVM may serve
others; any other end of the connection ends the JVM, whose state is then unknown. One JVM serves one lease at
a time. A client that has waited SECOND_JVM_S gets another JVM; all unused JVMs except one end after
EXTRA_IDLE_S.

The server ends after IDLE_S without a lease, when its socket is gone, and on SIGTERM. Its JVMs end with it,
however it dies: they read its pipe.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from streamjobs.job.planner.jvm import LOG, TEMPORARY, Jvm, JvmError, JvmKilledError, clear_leftovers

SOCKET = "socket"
PID = "pid"
DONE = b"done\n"
TICK_S = 1.0
SECOND_JVM_S = 10.0
EXTRA_IDLE_S = 60.0
MOST_JVMS = 3
LEASES_PER_JVM = 100
"""A JVM is replaced after this many leases, which limits what a planner can leak."""


class Client:
    """One connection: its request, and the JVM that it has."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.request: dict[str, object] | None = None
        self.received = b""
        self.jvm: Jvm | None = None
        self.since_s = time.monotonic()
        self.told_s = 0.0

    def tell(self, **answer: object) -> bool:
        """Send one line; return False if the client is gone."""
        try:
            self.connection.sendall(json.dumps(answer).encode() + b"\n")
        except OSError:
            return False
        return True


class Server:
    """Leases JVMs to clients, each JVM to one client at a time; see the module's docstring."""

    def __init__(self, directory: Path, version: str, idle_s: float) -> None:
        self._directory = directory
        self._version = version
        self._idle_s = idle_s
        self._clients: list[Client] = []
        self._resting: list[Jvm] = []
        self._ending = False
        self._signalled = False
        self._busy_s = time.monotonic()
        (directory / TEMPORARY).mkdir(mode=0o700, exist_ok=True)
        clear_leftovers(directory)
        (directory / LOG).write_bytes(b"")
        (directory / PID).write_text(str(os.getpid()), encoding="ascii")
        (directory / SOCKET).unlink(missing_ok=True)
        self._opened = os.open(directory, os.O_PATH | os.O_DIRECTORY)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Through the open directory: the path of a socket must not be longer than 107 bytes.
        self._listener.bind(f"/proc/self/fd/{self._opened}/{SOCKET}")
        self._listener.listen(16)
        self._inode = (directory / SOCKET).stat().st_ino

    def serve(self) -> None:
        """Serve until the server has to end."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        while not self._signalled and not self._over():
            sockets = [each.connection for each in self._clients]
            listening = [] if self._ending else [self._listener]
            outputs = [jvm.output for jvm in self._jvms()]
            watched: list[socket.socket | int] = [*listening, *sockets, *outputs]
            readable, _, _ = select.select(watched, [], [], TICK_S)
            for output in [each for each in outputs if each in readable]:
                os.read(output, 1 << 16)  # a JVM would block if its pipe were full
            if self._listener in readable:
                self._accept()
            self._end_extra()
            for client in [each for each in self._clients if each.connection in readable]:
                self._read(client)
            for client in [each for each in self._clients if each.request and each.jvm is None]:
                self._serve(client)
        self._close()

    def _jvms(self) -> list[Jvm]:
        leased = [each.jvm for each in self._clients if each.jvm is not None]
        return [jvm for jvm in (*leased, *self._resting) if jvm.alive]

    def _over(self) -> bool:
        if not self._is_ours():
            self._ending = True
        if self._clients:
            self._busy_s = time.monotonic()
            return False
        return self._ending or time.monotonic() - self._busy_s >= self._idle_s

    def _is_ours(self) -> bool:
        try:
            return (self._directory / SOCKET).stat().st_ino == self._inode
        except OSError:
            return False

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        if struct.unpack("3i", peer)[1] != os.geteuid():
            connection.close()
            return
        self._clients.append(Client(connection))

    def _read(self, client: Client) -> None:
        try:
            part = client.connection.recv(1 << 20)
        except OSError:
            part = b""
        client.received += part
        if not part:
            self._drop(client)
        elif client.request is None and b"\n" in client.received:
            line, _, client.received = client.received.partition(b"\n")
            client.request = json.loads(line)

    def _serve(self, client: Client) -> None:
        request = client.request or {}
        if request["op"] == "stop":
            for each in [each for each in self._clients if each is not client]:
                self._drop(each)
            self._end_resting()
            self._leave()
            client.tell(stopped=True)
            self._drop(client)
        elif request["version"] != self._version:
            self._leave()
            client.tell(other=self._version)
            self._drop(client)
        else:
            self._lease(client, request)

    def _lease(self, client: Client, request: Mapping[str, object]) -> None:
        try:
            client.jvm = self._free_jvm(client, request)
        except JvmError as exc:
            client.tell(error=str(exc))
            self._drop(client)
            return
        now = time.monotonic()
        if client.jvm is not None:
            client.jvm.leases += 1
            alive = client.tell(port=client.jvm.port, token=client.jvm.token)
        elif now - client.told_s >= TICK_S:
            client.told_s = now
            alive = client.tell(waiting=now - client.since_s)
        else:
            return
        if not alive:
            self._drop(client)

    def _free_jvm(self, client: Client, request: Mapping[str, object]) -> Jvm | None:
        """Return a JVM that no one uses; None while it is better to wait for one."""
        while self._resting:
            jvm = self._resting.pop()
            if jvm.answers():
                return jvm
            jvm.end()
        leased = sum(each.jvm is not None for each in self._clients)
        waited_s = time.monotonic() - client.since_s
        if leased and (leased >= MOST_JVMS or waited_s < SECOND_JVM_S):
            return None
        argv, env = request["argv"], request["env"]
        if not isinstance(argv, list) or not isinstance(env, dict):
            msg = f"malformed request: {sorted(request)}"
            raise JvmError(msg)
        try:
            return Jvm(self._directory, argv, env)
        except JvmKilledError:
            return Jvm(self._directory, argv, env)

    def _drop(self, client: Client) -> None:
        self._clients.remove(client)
        client.connection.close()
        if client.jvm is None:
            return
        spent = client.jvm.leases >= LEASES_PER_JVM or self._ending
        if client.received == DONE and not spent:
            client.jvm.rest()
            self._resting.append(client.jvm)
        else:
            client.jvm.end()

    def _end_extra(self) -> None:
        """End JVMs that have been idle for EXTRA_IDLE_S, except the one that is used next."""
        now_s = time.monotonic()
        while len(self._resting) > 1 and now_s - self._resting[0].rested_s >= EXTRA_IDLE_S:
            self._resting.pop(0).end()

    def _end_resting(self) -> None:
        while self._resting:
            self._resting.pop().end()

    def _leave(self) -> None:
        """Stop listening: a client that connects from now on starts another process."""
        self._ending = True
        if self._is_ours():
            (self._directory / SOCKET).unlink(missing_ok=True)
            (self._directory / PID).unlink(missing_ok=True)
        self._listener.close()

    def _close(self) -> None:
        self._leave()
        for client in list(self._clients):
            self._drop(client)
        self._end_resting()
        os.close(self._opened)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._signalled = True  # the loop finishes its current step and then closes


def main() -> int:
    """Listen, print `ready` or an error as one line, and serve.

    The started process ends at once; its forked child serves, and no process is its parent.
    """
    if os.fork():
        return 0
    directory, version, idle_s = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    try:
        server = Server(directory, version, idle_s)
    except OSError as exc:
        os.write(1, f"cannot listen in {directory}: {exc.strerror}\n".encode())
        return 1
    os.write(1, b"ready\n")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.close(nothing)
    server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
