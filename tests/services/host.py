"""The shared services of a test run; the process that controls the run starts each at its first request.

Tests send requests over a Unix socket, so that the workers of pytest-xdist share the services. A request is a
line with the name of a kind; its answer is a line of JSON with an "address" or an "error".
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import socketserver
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from streamjobs.errors import ServiceError
from streamjobs.local.environment import Environment
from tests.patience import limit_s
from tests.services.kinds import DEADLINE_S, KINDS, Address, Address_co, Kind

SOCKET_VARIABLE = "STREAMJOBS_TEST_SERVICES"
"""The variable with the address of this run's host; workers inherit it."""
_ANSWER_S = DEADLINE_S + 60.0


def address_of(kind: Kind[Address_co]) -> Address_co:
    """Return the address of the run's only service of a kind; start it at the first request.

    Blocks until it is ready. Raises: ServiceError for each caller when it could not be started.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(limit_s(_ANSWER_S))
        try:
            connection.connect(os.environ[SOCKET_VARIABLE])
            connection.sendall(f"{kind.name}\n".encode())
            with connection.makefile("r", encoding="utf-8") as lines:
                reply: dict[str, Any] = json.loads(lines.readline() or "{}")
        except OSError as exc:
            msg = f"the shared {kind.name} cannot be requested: {exc}"
            raise ServiceError(msg) from exc
    if "address" not in reply:
        msg = f"the shared {kind.name} is not available: {reply.get('error', 'the run has ended')}"
        raise ServiceError(msg)
    return kind.type(**reply["address"])


class _Shared:
    """One service: with its lock the first caller starts it, and all others wait."""

    def __init__(self, kind: Kind[Address], root: Path) -> None:
        self._kind = kind
        self._lock = threading.Lock()
        self._environment: Environment | None = None
        self._root = root
        self._reply: Mapping[str, object] | None = None

    def reply(self) -> Mapping[str, object]:
        with self._lock:
            if self._reply is None:
                self._reply = self._started()
            return self._reply

    def stop(self) -> None:
        with self._lock:
            self._reply = {"error": "the run has ended"}
            if self._environment is not None:
                self._environment.stop()

    def _started(self) -> Mapping[str, object]:
        try:
            self._environment = self._kind.environment(self._root).start()
            return {"address": asdict(self._kind.address(self._environment))}
        except ServiceError as exc:
            return {"error": str(exc)}


class ServiceHost:
    """Listens from `start()` to `stop()`, which ends every service that was started.

    When the process dies instead, the wardens of `streamjobs.local` end the services.
    """

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="streamjobs-services-"))
        services = self._services = {name: _Shared(kind, self.root / name) for name, kind in KINDS.items()}

        class Answer(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                name = self.rfile.readline().decode().strip()
                with suppress(BrokenPipeError):  # a killed worker does not wait for its answer
                    self.wfile.write(json.dumps(services[name].reply()).encode() + b"\n")

        self._server = socketserver.ThreadingUnixStreamServer(str(self.root / "socket"), Answer)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="services", daemon=True)

    def start(self) -> None:
        """Listen, and set the variable by which this process and its children find the host."""
        self._thread.start()
        os.environ[SOCKET_VARIABLE] = str(self.root / "socket")

    def stop(self, *, keep_logs: bool = False) -> None:
        """End all services, each in a thread; delete their files unless logs are kept."""
        os.environ.pop(SOCKET_VARIABLE, None)
        self._server.shutdown()
        self._server.server_close()
        with ThreadPoolExecutor() as threads:
            list(threads.map(_Shared.stop, self._services.values()))
        if not keep_logs:
            shutil.rmtree(self.root, ignore_errors=True)

    def used(self) -> bool:
        """Return whether a service was requested."""
        return any((self.root / name).exists() for name in self._services)
