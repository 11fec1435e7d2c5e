"""The configuration of a capture, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streamjobs.capture.config.routes import Route
from streamjobs.options.options import Secret


@dataclass(frozen=True)
class ServerAddress:
    """Address and login of a MySQL or MariaDB server."""

    host: str
    port: int
    user: str
    password: Secret = field(default_factory=lambda: Secret(""))
    tls: bool = True
    tls_ca_file: str | None = None
    check_host: bool = True

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"


@dataclass(frozen=True)
class SnapshotSettings:
    """Settings of snapshots; `max_rows_per_second` None: not throttled."""

    readers: int = 2
    chunk_rows: int = 10_000
    chunk_bytes: int = 16 << 20
    max_rows_per_second: int | None = None


@dataclass(frozen=True)
class MessageSettings:
    """When a message is full, and how long rows and quiet partitions wait; bytes and milliseconds.

    `stop_at_large_rows`: a row that is too large for its topic stops the capture instead of becoming a dead
    letter.
    """

    max_rows: int = 200
    max_bytes: int = 64 << 10
    max_span_ms: int = 1000
    linger_ms: int = 100
    heartbeat_ms: int = 1000
    stop_at_large_rows: bool = False


@dataclass(frozen=True)
class BrokerSettings:
    """The broker and its login. `partitions`: those of a topic that the capture creates."""

    bootstrap: str
    protocol: str = "PLAINTEXT"
    mechanism: str | None = None
    username: str | None = None
    password: Secret | None = None
    ca_file: str | None = None
    partitions: int = 2
    dead_letters: str = "streamjobs.dead_letters"


@dataclass(frozen=True)
class OffsetSettings:
    """Where the position is stored: in `file` if given, else in the compacted `topic`."""

    topic: str = "streamjobs.capture"
    file: Path | None = None
    every_ms: int = 1000


@dataclass(frozen=True)
class CaptureConfig:
    """One capture: one source server, some of its tables, one broker.

    `server_id` None: a hash of the source's name. `ddl` holds a policy (`evolve`, `ignore`, `fail`) for
    each kind of statement; `metrics_port` 0: any free port.
    """

    name: str
    server: ServerAddress
    broker: BrokerSettings
    routes: tuple[Route, ...]
    ddl: Mapping[str, str]
    server_id: int | None = None
    snapshot_first: bool = True
    watchdog_ms: int = 15_000
    retry_budget_ms: int = 600_000
    offsets: OffsetSettings = field(default_factory=OffsetSettings)
    messages: MessageSettings = field(default_factory=MessageSettings)
    snapshot: SnapshotSettings = field(default_factory=SnapshotSettings)
    metrics_port: int = 0
