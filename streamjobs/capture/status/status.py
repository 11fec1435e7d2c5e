"""The status of a running capture: counters, position and lag; as JSON and as Prometheus metrics."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from streamjobs.capture.status.progress import SnapshotProgress
from streamjobs.changes.position import Position
from streamjobs.retry import Clock, SystemClock

UNSEEN = ("statement_format", "truncate_table", "unknown")
"""The names in `[ddl]` of statements that can change rows without row events."""
_SILENCE_S = 5.0
"""A working server or broker is never silent this long: each sends something every second."""
PHASES = ("starting", "snapshot", "streaming", "retrying", "stopped")


@dataclass(frozen=True)
class CaptureStatus:
    """A capture at one moment.

    `place` is `file:offset`; everything before it is acknowledged. `log_time_ms` is the last commit time read
    from the log. Counters start with the process. `trouble` is the error that it retries after, or what it
    waits for; "" if there is none. `sweeping` are tables with a snapshot, running or finished, whose orphan
    rows may still be downstream. `stopped` has the tables that are not sent, and why. `unseen` counts ignored
    statements, by their name in `[ddl]`: they changed rows of captured tables, or may have, and the log has
    no rows of them.

    The broker has acknowledged all changes up to `delivered_to_ms`; 0: not known yet, then `lag_s` counts
    from the start of the process. `lag_s`, `unstored_s` and the `trouble` of a silence are correct when
    `Telemetry.now` returns them, because they grow while nothing happens. `heard_at_ms`: when the stream last
    did something. `owed_since_ms`, `unstored_since_ms`: since when an acknowledgement, or the storing of a
    new position, is pending; 0: none is.
    """

    source: str
    phase: str = "starting"
    server: str = ""
    epoch: int = 0
    place: str = ""
    gtids: str = ""
    log_time_ms: int = 0
    lag_s: float = 0.0
    delivered_to_ms: int = 0
    heard_at_ms: int = 0
    owed_since_ms: int = 0
    unstored_since_ms: int = 0
    unstored_s: float = 0.0
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
        """Return the JSON object of `/status`."""
        snapshots = [
            {"table": str(one.table), "rows": one.rows, "expected": one.expected} for one in self.snapshots
        ]
        return json.dumps(asdict(self) | {"snapshots": snapshots}, ensure_ascii=False).encode()


_METRICS = (
    ("rows", "counter", "row changes sent to the broker, with snapshot rows"),
    ("bytes_sent", "counter", "bytes of messages sent to the broker"),
    ("transactions", "counter", "transactions read from the log"),
    ("snapshot_rows", "counter", "rows sent by snapshots"),
    ("gone_rows", "counter", "deletes sent for orphan rows, those missing from a snapshot"),
    ("future_commits", "counter", "batches of rows whose commit time was after the server's clock"),
    ("dead_letters", "counter", "rows sent to the dead-letter topic"),
    ("retries", "counter", "retries after errors of server or broker"),
    ("epoch", "gauge", "how many servers this source has had before"),
    ("lag_s", "gauge", "seconds since the moment up to which the broker has acknowledged all changes"),
    ("unstored_s", "gauge", "seconds that a new position has waited to be stored, 0 if none waits"),
    ("delivered_to_ms", "gauge", "that moment, UTC epoch milliseconds, 0 if not known yet"),
    ("log_time_ms", "gauge", "last commit time read from the log, UTC epoch milliseconds"),
    ("stored_at_ms", "gauge", "when the position was last stored, UTC epoch milliseconds"),
)


def exposition(status: CaptureStatus) -> str:
    """Return the metrics in Prometheus' text format.

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
        "# HELP streamjobs_capture_stopped_tables tables that are not sent until their next snapshot",
        "# TYPE streamjobs_capture_stopped_tables gauge",
        f'streamjobs_capture_stopped_tables{{source="{source}"}} {len(status.stopped)}',
        "# HELP streamjobs_capture_unseen_statements_total ignored statements that changed rows "
        "without row events",
        "# TYPE streamjobs_capture_unseen_statements_total counter",
    ]
    lines += [
        f'streamjobs_capture_unseen_statements_total{{source="{source}",word="{word}"}} '
        f"{status.unseen.get(word, 0)}"
        for word in UNSEEN
    ]
    lines += ["# HELP streamjobs_capture_phase 1 for the current phase",
              "# TYPE streamjobs_capture_phase gauge"]  # fmt: skip
    lines += [
        f'streamjobs_capture_phase{{source="{source}",phase="{phase}"}} {int(phase == status.phase)}'
        for phase in PHASES
    ]
    return "\n".join(lines) + "\n"


class Telemetry:
    """Holds the current status; written by the capture, read from any thread."""

    def __init__(self, status: CaptureStatus, clock: Clock | None = None) -> None:
        self.status = status
        self.counted_to: Position | None = None
        """The position of the last statement in `unseen`."""
        self._clock = clock or SystemClock()
        self._started_ms = self._clock.now_ms()
        self._lock = threading.Lock()

    def now(self) -> CaptureStatus:
        """Return the status with the fields that depend on the clock: lags, and the trouble of a silence."""
        status, now_ms = self.status, self._clock.now_ms()
        lag_ms = now_ms - (status.delivered_to_ms or self._started_ms)
        unstored_ms = now_ms - (status.unstored_since_ms or now_ms)
        return replace(
            status,
            lag_s=max(lag_ms, 0) / 1000,
            unstored_s=max(unstored_ms, 0) / 1000,
            trouble=status.trouble or _silence(status, self._started_ms, now_ms),
        )

    def update(self, **changes: object) -> None:
        """Replace some fields of the status, by their names."""
        with self._lock:
            self.status = replace(self.status, **changes)  # type: ignore[arg-type]

    def add(self, **counts: int) -> None:
        """Increase some counters."""
        with self._lock:
            grown = {name: getattr(self.status, name) + count for name, count in counts.items()}
            self.status = replace(self.status, **grown)

    def count_unseen(self, words: Sequence[str], place: Position) -> None:
        """Count the effects of a statement at `place` that changed rows without row events."""
        with self._lock:
            self.counted_to = place
            unseen = Counter(self.status.unseen)
            unseen.update(words)
            self.status = replace(self.status, unseen=dict(unseen))

    def snapshots(self, progress: Sequence[SnapshotProgress]) -> None:
        """Set the progress of the snapshots."""
        self.update(snapshots=tuple(progress))


def _silence(status: CaptureStatus, started_ms: int, now_ms: int) -> str:
    """Return what a stream without an error has waited for too long, "" if nothing."""
    started_s = (now_ms - started_ms) / 1000
    if status.phase == "starting" and started_s > _SILENCE_S:
        return f"the start has waited for broker or server for {started_s:.0f} s"
    if status.phase not in ("snapshot", "streaming"):
        return ""
    owed_s = (now_ms - (status.owed_since_ms or now_ms)) / 1000
    silent_s = (now_ms - (status.heard_at_ms or now_ms)) / 1000
    if owed_s > _SILENCE_S:
        return f"the broker has not acknowledged what was sent {owed_s:.0f} s ago"
    if silent_s > _SILENCE_S:
        return f"nothing has come from the server's log for {silent_s:.0f} s"
    return ""
