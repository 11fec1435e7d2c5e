"""A real MariaDB on a loopback port, with the row binlog that capture reads."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streamjobs.errors import ServiceError
from streamjobs.local.ports import LOOPBACK, PortLease
from streamjobs.local.processes import ProcessGroup, child_environment
from streamjobs.local.service import Service

USER = "root"
"""A user with all rights and no password: the server listens on loopback only."""
_GREETING_TIMEOUT_S = 2.0
_PROTOCOL = 10
_ERROR = 255


@dataclass(frozen=True)
class MariaDbOptions:
    """The configuration of the server.

    `root` is the directory of a MariaDB other than the machine's, see `places.mariadb_next`. A capture must
    refuse a server with `binlog` off. `settings` are further options of mariadbd by their names,
    `{"log-bin-compress": "ON"}`; they override ours.
    """

    root: Path | None = None
    binlog: bool = True
    server_id: int = 1
    buffer_pool_mb: int = 64
    settings: Mapping[str, str] = field(default_factory=dict)


def _settings(options: MariaDbOptions) -> dict[str, str]:
    settings = {
        "server-id": str(options.server_id),
        "character-set-server": "utf8mb4",
        "local-infile": "OFF",
        "max-allowed-packet": "64M",
        # Commits reach the page cache: a killed server keeps them, a killed machine may lose them.
        "innodb-flush-log-at-trx-commit": "2",
        "innodb-buffer-pool-size": f"{options.buffer_pool_mb}M",
        "innodb-log-file-size": "16M",
        "innodb-use-native-aio": "OFF",
    }
    if options.binlog:
        settings |= {
            "log-bin": "bin",
            "binlog-format": "ROW",
            "binlog-row-image": "FULL",
            "binlog-row-metadata": "FULL",
            "sync-binlog": "0",
            "gtid-domain-id": "0",
            "gtid-strict-mode": "ON",
        }
    return settings | dict(options.settings)


def _program(name: str, root: Path | None) -> str:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
    found = shutil.which(name, path=f"{root}/usr/bin:{root}/usr/sbin" if root else path)
    if found is None:
        msg = f"no {name} found: install the Debian packages mariadb-server-core and mariadb-client-core"
        raise ServiceError(msg)
    return found


def missing_database(port: int) -> str | None:
    """Return why the server is not ready; None when it sends its handshake.

    Source: https://mariadb.com/docs/server/reference/clientserver-protocol/1-connecting/connection
    """
    try:
        with socket.create_connection((LOOPBACK, port), _GREETING_TIMEOUT_S) as connection:
            head = connection.recv(5, socket.MSG_WAITALL)
    except OSError as exc:
        return f"no greeting on {LOOPBACK}:{port} ({exc})"
    if len(head) < 5 or head[4] == _ERROR:
        return f"{LOOPBACK}:{port} refuses connections"
    return None if head[4] == _PROTOCOL else f"{LOOPBACK}:{port} speaks another protocol ({head[4]})"


class MariaDbServer(Service):
    """The database of an environment; `url` is for `capture`, e.g. "mysql://root@127.0.0.1:24242".

    Its data stays under `<root>/mariadb/data`, the binlog beside it, and is found again by the next start
    in the same root. It also runs when the user is root.
    """

    def __init__(
        self,
        group: ProcessGroup,
        lease: PortLease,
        *,
        port: int | None = None,
        options: MariaDbOptions | None = None,
        deadline_s: float = 60.0,
    ) -> None:
        options = options or MariaDbOptions()
        self.host = LOOPBACK
        self.port = lease.take(port)
        self.url = f"mysql://{USER}@{LOOPBACK}:{self.port}"
        self._home = group.root / "mariadb"
        self.data_dir = self._home / "data"
        install = _program("mariadb-install-db", options.root)
        server = _program("mariadbd", options.root)
        as_root = ["--user=root"] if os.geteuid() == 0 else []
        base = [f"--basedir={options.root}/usr"] if options.root else []
        place = ["--no-defaults", *base, *as_root, f"--datadir={self.data_dir}"]
        self._install = [
            *(install, *place, "--auth-root-authentication-method=normal"),
            *("--skip-test-db", "--skip-name-resolve"),
        ]
        run = [
            *(server, *place, f"--port={self.port}", f"--bind-address={LOOPBACK}", "--skip-name-resolve"),
            *(f"--socket={self._home / 'socket'}", f"--pid-file={self._home / 'pid'}"),
            f"--tmpdir={group.root / 'tmp'}",
            *(f"--{name}={value}" for name, value in _settings(options).items()),
        ]
        super().__init__(
            group,
            "mariadb",
            command=lambda _launch: run,
            env=child_environment(group.root),
            missing=lambda _launch: missing_database(self.port),
            deadline_s=deadline_s,
            address=self.url,
        )

    def launch(self) -> None:
        """Start the server without waiting; create its system tables first when the directory is new."""
        done = self._home / "installed"
        if not done.exists():
            shutil.rmtree(self.data_dir, ignore_errors=True)
            self.data_dir.mkdir(parents=True)
            self._group.start("mariadb-install", self._install, self._env)
            self._group.wait_for_success("mariadb-install", self._deadline_s)
            done.touch()
        super().launch()
