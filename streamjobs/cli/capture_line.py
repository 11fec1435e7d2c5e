"""The output of `streamjobs capture`: one live line, and progress bars of snapshots."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from connectors.mysql.server.log_position import bytes_behind
from connectors.mysql.server.session import Login, Session
from streamjobs.capture.config.routes import Way
from streamjobs.capture.replay import ReplaySummary
from streamjobs.capture.state import CaptureState
from streamjobs.capture.status.status import CaptureStatus
from streamjobs.changes.row_change import TableId
from streamjobs.cli.live import lag_text
from streamjobs.errors import StreamjobsError

_PRINT_EVERY_S = 5.0
_SERVER_ANSWERS_S = 3.0


class CaptureLine:
    """Shows a capture's status: redrawn on a terminal, printed every few seconds elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,.0f} rows"),
            TimeRemainingColumn(),
            console=console,
        )
        self._live = Live("", console=console, refresh_per_second=4, transient=True)
        self._printed_at_s = 0.0

    def __enter__(self) -> CaptureLine:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, status: CaptureStatus) -> None:
        """Show the status."""
        if self._console.is_terminal:
            self._live.update(Group(self._bars_of(status), Text(status_text(status), overflow="fold")))
        elif time.monotonic() - self._printed_at_s >= _PRINT_EVERY_S:
            self._printed_at_s = time.monotonic()
            self._console.print(status_text(status), markup=False, highlight=False, soft_wrap=True)

    def end(self, status: CaptureStatus, *, failed: bool) -> None:
        """Print the last status, and what was not sent."""
        self._live.stop()
        lines = [status_text(status), *left_out(status)]
        if not failed:
            lines.append(f"{status.source}  drained; the next run continues from {status.place}")
        for line in lines:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _bars_of(self, status: CaptureStatus) -> RenderableType:
        shown = {str(one.table): one for one in status.snapshots}
        for task in list(self._bars.tasks):
            if task.description not in shown:
                self._bars.remove_task(task.id)
        tasks = {task.description: task.id for task in self._bars.tasks}
        for name, one in shown.items():
            total = max(one.expected, one.rows) or None
            if name not in tasks:
                tasks[name] = self._bars.add_task(name, total=total)
            self._bars.update(tasks[name], completed=one.rows, total=total)
        return self._bars if shown else ""


def status_text(status: CaptureStatus) -> str:
    """Return a status in one line."""
    parts = [
        f"{status.source}  {status.phase}",
        f"rows {status.rows:,} ({status.rows_per_s:,.0f}/s)",
        f"at {status.place or '?'}",
        f"lag {lag_text(timedelta(seconds=status.lag_s))}",
    ]
    if status.snapshots:
        done, expected = (sum(getattr(one, n) for one in status.snapshots) for n in ("rows", "expected"))
        parts.append(f"snapshot of {len(status.snapshots)} tables {done:,} of about {max(done, expected):,}")
    elif status.sweeping:
        parts.append(f"reconciling {len(status.sweeping)} tables with their topics")
    if status.dead_letters:
        parts.append(f"dead letters {status.dead_letters:,}")
    if status.stopped:
        parts.append(f"stopped tables {len(status.stopped)}")
    if status.unseen:
        parts.append(f"ignored statements {sum(status.unseen.values()):,}")
    if status.retries:
        parts.append(f"retries {status.retries}")
    if status.trouble:
        parts.append(status.trouble)
    return "  ".join(parts)


def left_out(status: CaptureStatus) -> Iterator[str]:
    """Yield what a capture has not sent, to be shown at its end."""
    for table, reason in sorted(status.stopped.items()):
        yield f"stopped     {table}: {reason}"
    if status.unseen:
        yield _not_complete(status.unseen, "Snapshot those tables: `streamjobs capture snapshot TABLE`")


def _not_complete(unseen: Mapping[str, int], cure: str) -> str:
    words = ", ".join(f"{count:,} {word.replace('_', ' ')}" for word, count in sorted(unseen.items()))
    return (
        f"Not complete: the log has no rows of these statements ({words}), so their changes were not sent. "
        f"{cure}"
    )


def destination_lines(ways: Mapping[TableId, Way]) -> Iterator[str]:
    """Yield which tables are captured, and where their rows go."""
    yield f"{len(ways)} tables that this account sees are captured{':' if ways else ''}"
    for table, way in sorted(ways.items(), key=lambda item: str(item[0])):
        yield f"  {table} to topic {way.topic}, partition by {way.by}"


def replay_lines(summary: ReplaySummary) -> Iterator[str]:
    """Yield what a replay has sent, and what it could not send."""
    for name, count in sorted(summary.rows.items()):
        yield f"{count:>12,}  {name}"
    for word, count in sorted(summary.statements.items()):
        yield f"{count:>12,}  statements: {word.replace('_', ' ')}"
    if summary.system_tables:
        yield f"Not sent, because they are system tables: {', '.join(summary.system_tables)}"
    yield (
        f"{summary.total:,} row changes of {summary.transactions:,} transactions acknowledged in "
        f"{summary.seconds:.1f} s, {summary.dead_letters:,} dead letters"
    )
    if summary.alike:
        yield (
            f"Not certain: statements name {', '.join(summary.alike)}, and the log has rows of tables with "
            "these names in another case. Only the server knows whether they are the same: pass "
            "--lower-case-table-names (SELECT @@lower_case_table_names)"
        )
    if summary.unseen:
        yield _not_complete(
            summary.unseen, "Load those tables in another way, such as by a snapshot of the server"
        )


def status_lines(known: Mapping[str, object]) -> Iterator[str]:
    """Yield the status that a running capture reports."""
    yield f"{known['source']}  {known['phase']}  server {known['server']}  epoch {known['epoch']}"
    yield f"position    {known['place']}  {known['gtids']}"
    yield f"lag         {known['lag_s']} s"
    yield f"rows        {known['rows']:,} ({known['rows_per_s']:,.0f}/s)"
    yield f"trouble     {known['trouble'] or 'none'}; {known['retries']} retries"
    yield f"letters     {known['dead_letters']} rows in the dead-letter topic"
    snapshots = known["snapshots"]
    for one in snapshots if isinstance(snapshots, list) else ():
        yield f"snapshot    {one['table']}: {one['rows']:,} of about {one['expected']:,} rows"
    unseen = known.get("unseen")
    for word, count in sorted(unseen.items()) if isinstance(unseen, dict) else ():
        yield f"ignored     {count:,} statements ({word}): rows that they changed were not sent"
    stopped = known.get("stopped")
    for table, reason in sorted(stopped.items()) if isinstance(stopped, dict) else ():
        yield f"stopped     {table}: {reason}"
    sweeping = known.get("sweeping")
    for table in sweeping if isinstance(sweeping, list) else ():
        yield f"reconcile   {table}: deletes of orphan rows are still pending"


def stored_lines(state: CaptureState | None) -> Iterator[str]:
    """Yield the position from which a capture that does not run here will continue."""
    if state is None:
        yield "No capture of this source runs here, and none has stored a position."
        return
    yield f"No capture of this source runs here.  server {state.server}  epoch {state.epoch}"
    yield f"position    {state.place}  {state.gtids}"
    for table, parts in state.snapshots.items():
        yield f"snapshot    {table}: {sum(part.rows for part in parts):,} rows were sent, the rest is pending"
    for table, reason in sorted(state.stopped.items()):
        yield f"stopped     {table}: {reason}"
    for table in state.sweeps:
        yield f"reconcile   {table}: deletes of orphan rows are still pending"


def log_line(login: Login, place: str) -> str:
    """Return how many bytes of its log the server has after a position; waits a few seconds at most."""
    file, _, offset = place.rpartition(":")
    try:
        with Session(login, timeout_s=_SERVER_ANSWERS_S) as session:
            behind = bytes_behind(session, file, int(offset or 0))
    except StreamjobsError as exc:
        return f"log         unknown number of bytes after the position: {exc}"
    if behind is None:
        return f"log         the server no longer has {file}"
    return f"log         {behind:,} bytes after the position"
