"""What a running capture tells: counters, where it stands, how far behind it is."""

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
"""Words of `[ddl]` for statements after which a table has other rows than those that were sent."""
_SILENCE_S = 5.0
"""Longer than a working server or broker is silent: both give a sign of life every second."""
PHASES = ("starting", "snapshot", "streaming", "retrying", "stopped")


@dataclass(frozen=True)
class CaptureStatus:
    """A capture at one moment.

    `place` is `file:offset`, up to which everything is acknowledged; `log_time_ms` the commit time that the
    log has come to. Counters start with the process. `trouble` is what it is retrying after or waits for, ""
    when all is well. `sweeping` are tables that are or were read whole, whose gone rows may still be
    downstream. `stopped` says of which tables nothing is sent, and why. `unseen` counts statements that
    changed rows of captured tables, or may have, and have no rows in the log, by their word of `[ddl]`: the
    configuration ignores them.

    Of the log up to `delivered_to_ms` the broker has acknowledged everything; 0: not known yet, and then
    `lag_s` counts from the start of the process. `lag_s`, `unstored_s` and the `trouble` of a silence are
    true when `Telemetry.now` returns them: they grow while nothing happens. `heard_at_ms`: when the stream
    did something last. `owed_since_ms`, `unstored_since_ms`: since when an acknowledgement, or a change of
    the position, is waited for; 0: none is.
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
    ("lag_s", "gauge", "age of the newest moment up to which the broker has everything of the log, seconds"),
    ("unstored_s", "gauge", "seconds for which a new position has waited to be stored, 0 when none waits"),
    ("delivered_to_ms", "gauge", "that moment, UTC epoch milliseconds, 0 when it is not known yet"),
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


class Telemetry:
    """Holds the newest status; written by the capture, read by anybody."""

    def __init__(self, status: CaptureStatus, clock: Clock | None = None) -> None:
        self.status = status
        self.counted_to: Position | None = None
        """The place of the last statement in `unseen`."""
        self._clock = clock or SystemClock()
        self._started_ms = self._clock.now_ms()
        self._lock = threading.Lock()

    def now(self) -> CaptureStatus:
        """Return the status with what only the clock knows: how old it is, and which silence is too long."""
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


def _silence(status: CaptureStatus, started_ms: int, now_ms: int) -> str:
    """Word what a stream that is not in trouble has waited for too long, "" when for nothing."""
    started_s = (now_ms - started_ms) / 1000
    if status.phase == "starting" and started_s > _SILENCE_S:
        return f"broker and server have not yet answered all that a start needs, for {started_s:.0f} s"
    if status.phase not in ("snapshot", "streaming"):
        return ""
    owed_s = (now_ms - (status.owed_since_ms or now_ms)) / 1000
    silent_s = (now_ms - (status.heard_at_ms or now_ms)) / 1000
    if owed_s > _SILENCE_S:
        return f"the broker has not acknowledged what was sent {owed_s:.0f} s ago"
    if silent_s > _SILENCE_S:
        return f"nothing has come from the server's log for {silent_s:.0f} s"
    return ""
