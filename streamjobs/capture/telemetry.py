"""What a running capture tells: counters, where it stands, how far behind it is."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from streamjobs.capture.handoff import SnapshotProgress
from streamjobs.position import Position

UNSEEN = ("statement_format", "truncate_table", "unknown")
"""Words of `[ddl]` for statements after which a table has other rows than those that were sent."""
PHASES = ("starting", "snapshot", "streaming", "retrying", "stopped")


@dataclass(frozen=True)
class CaptureStatus:
    """A capture at one moment.

    `place` is `file:offset`, up to which everything is acknowledged; `log_time_ms` the commit time that the
    log has come to. `lag_s` 0: it has everything that the server had a moment ago. Counters start with the
    process. `trouble` is what it is retrying after, "" when all is well. `sweeping` are tables that are or
    were read whole, whose gone rows may still be downstream. `stopped` says of which tables nothing is sent,
    and why. `unseen` counts statements that changed rows of captured tables, or may have, and have no rows in
    the log, by their word of `[ddl]`: the configuration ignores them.
    """

    source: str
    phase: str = "starting"
    server: str = ""
    epoch: int = 0
    place: str = ""
    gtids: str = ""
    log_time_ms: int = 0
    lag_s: float = 0.0
    rows: int = 0
    rows_per_s: float = 0.0
    bytes_sent: int = 0
    transactions: int = 0
    snapshot_rows: int = 0
    gone_rows: int = 0
    future_commits: int = 0
    dead_letters: int = 0
    retries: int = 0
    stored_at_ms: int = 0
    trouble: str = ""
    snapshots: tuple[SnapshotProgress, ...] = ()
    sweeping: tuple[str, ...] = ()
    stopped: Mapping[str, str] = field(default_factory=dict)
    unseen: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Give the JSON object of `/status`."""
        snapshots = [
            {"table": str(one.table), "rows": one.rows, "expected": one.expected} for one in self.snapshots
        ]
        return json.dumps(asdict(self) | {"snapshots": snapshots}, ensure_ascii=False).encode()


_METRICS = (
    ("rows", "counter", "row changes sent to the broker, snapshot rows among them"),
    ("bytes_sent", "counter", "bytes of messages sent to the broker"),
    ("transactions", "counter", "transactions read from the log"),
    ("snapshot_rows", "counter", "rows sent by reading tables whole"),
    ("gone_rows", "counter", "rows deleted downstream because a table read whole had them no more"),
    ("future_commits", "counter", "batches of rows whose commit time was after the server's clock"),
    ("dead_letters", "counter", "rows that could not be decoded"),
    ("retries", "counter", "tries again after trouble outside"),
    ("epoch", "gauge", "how many servers this source has had before"),
    ("lag_s", "gauge", "seconds behind the server, 0 when it has nothing new"),
    ("log_time_ms", "gauge", "commit time that the log has come to, UTC epoch milliseconds"),
    ("stored_at_ms", "gauge", "when the position was stored last, UTC epoch milliseconds"),
)


def exposition(status: CaptureStatus) -> str:
    """Give the metrics in Prometheus' text format.

    Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (version 0.0.4)
    """
    fields = asdict(status)
    source = status.source.replace("\\", r"\\").replace('"', r"\"")
    lines = []
    for name, kind, help_ in _METRICS:
        metric = f"streamjobs_capture_{name}" + ("_total" if kind == "counter" else "")
        lines += [
            f"# HELP {metric} {help_}",
            f"# TYPE {metric} {kind}",
            f'{metric}{{source="{source}"}} {fields[name]}',
        ]
    lines += [
        "# HELP streamjobs_capture_stopped_tables tables of which nothing is sent until they are read whole",
        "# TYPE streamjobs_capture_stopped_tables gauge",
        f'streamjobs_capture_stopped_tables{{source="{source}"}} {len(status.stopped)}',
        "# HELP streamjobs_capture_unseen_statements_total statements that are ignored, and changed rows "
        "that the log does not have",
        "# TYPE streamjobs_capture_unseen_statements_total counter",
    ]
    lines += [
        f'streamjobs_capture_unseen_statements_total{{source="{source}",word="{word}"}} '
        f"{status.unseen.get(word, 0)}"
        for word in UNSEEN
    ]
    lines += ["# HELP streamjobs_capture_phase 1 for the phase that it is in",
              "# TYPE streamjobs_capture_phase gauge"]  # fmt: skip
    lines += [
        f'streamjobs_capture_phase{{source="{source}",phase="{phase}"}} {int(phase == status.phase)}'
        for phase in PHASES
    ]
    return "\n".join(lines) + "\n"


@dataclass
class Telemetry:
    """Holds the newest status; written by the capture, read by anybody."""

    status: CaptureStatus
    counted_to: Position | None = None
    """The place of the last statement in `unseen`."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def update(self, **changes: object) -> None:
        """Replace some fields of the status, by their names."""
        with self._lock:
            self.status = replace(self.status, **changes)  # type: ignore[arg-type]

    def add(self, **counts: int) -> None:
        """Count on."""
        with self._lock:
            grown = {name: getattr(self.status, name) + count for name, count in counts.items()}
            self.status = replace(self.status, **grown)

    def count_unseen(self, words: Sequence[str], place: Position) -> None:
        """Count the effects of a statement at `place` that the log has no rows of."""
        with self._lock:
            self.counted_to = place
            unseen = Counter(self.status.unseen)
            unseen.update(words)
            self.status = replace(self.status, unseen=dict(unseen))

    def snapshots(self, progress: Sequence[SnapshotProgress]) -> None:
        """Say how far the snapshots are."""
        self.update(snapshots=tuple(progress))
