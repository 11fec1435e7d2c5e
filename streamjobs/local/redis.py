"""A real Redis on a loopback port that keeps its data when it is killed."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

from streamjobs.errors import ServiceError
from streamjobs.local.ports import LOOPBACK, PortLease
from streamjobs.local.processes import ProcessGroup, child_environment
from streamjobs.local.service import Service

_ANSWER_TIMEOUT_S = 2.0
_ALL_SLOTS = b"CLUSTER ADDSLOTSRANGE 0 16383\r\n"


@dataclass(frozen=True)
class RedisOptions:
    """The configuration of the server.

    A `cluster` is a Redis Cluster of this one node, which owns all slots. With a `password` clients must log
    in. `settings` are further options of redis-server, `{"maxmemory": "10mb"}`; they override ours.
    """

    cluster: bool = False
    password: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)


def _settings(options: RedisOptions) -> dict[str, str]:
    settings = {
        "bind": LOOPBACK,
        "daemonize": "no",
        "appendonly": "yes",
        # With `everysec` Redis answers before it writes while a sync is under way (aof.c,
        # flushAppendOnlyFile, 2 s at most): on a busy disk a killed server loses what it acknowledged.
        "appendfsync": "always",
        "save": "",
        "databases": "16",
        # one loopback client is not a denial of service
        "protected-mode": "no",
    }
    if options.cluster:
        settings |= {"cluster-enabled": "yes", "cluster-require-full-coverage": "no"}
    if options.password:
        settings |= {"requirepass": options.password}
    return settings | dict(options.settings)


def _program() -> str:
    found = shutil.which("redis-server", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        msg = "no redis-server found: install the Debian package redis-server"
        raise ServiceError(msg)
    return found


class RedisServer(Service):
    """The Redis of an environment; `url` is what clients connect to, e.g. "redis://127.0.0.1:24242".

    Its data stays under `<root>/redis` (an append-only file) and is found again by the next start there.
    """

    def __init__(
        self,
        group: ProcessGroup,
        lease: PortLease,
        *,
        port: int | None = None,
        options: RedisOptions | None = None,
        deadline_s: float = 30.0,
    ) -> None:
        self._options = options or RedisOptions()
        self.host = LOOPBACK
        self.port = lease.take(port)
        self.url = f"redis://{LOOPBACK}:{self.port}"
        self.data_dir = group.root / "redis"
        settings = {"port": str(self.port), "dir": str(self.data_dir), **_settings(self._options)}
        if self._options.cluster:
            settings.setdefault("cluster-port", str(lease.take()))
        run = [_program(), *(part for name, value in settings.items() for part in (f"--{name}", value))]
        super().__init__(
            group,
            "redis",
            command=lambda _launch: run,
            env=child_environment(group.root),
            missing=lambda _launch: self._lack(),
            deadline_s=deadline_s,
            address=self.url,
        )

    def launch(self) -> None:
        """Start the server without waiting."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        super().launch()

    def _lack(self) -> str | None:
        """Return why the server is not ready; None when it answers with its data loaded."""
        try:
            with socket.create_connection((LOOPBACK, self.port), _ANSWER_TIMEOUT_S) as connection:
                if self._options.password:
                    _ask(connection, f"AUTH {self._options.password}\r\n".encode())
                if self._options.cluster and b"cluster_slots_assigned:16384" not in _ask(
                    connection, b"CLUSTER INFO\r\n"
                ):
                    _ask(connection, _ALL_SLOTS)
                    return "the cluster's slots are not assigned yet"
                answer = _ask(connection, b"EXISTS streamjobs\r\n")
        except OSError as exc:
            return f"no answer on {LOOPBACK}:{self.port} ({exc})"
        return None if answer.startswith(b":") else f"it answers {answer!r}"


def _ask(connection: socket.socket, command: bytes) -> bytes:
    connection.sendall(command)
    return connection.recv(4096)
