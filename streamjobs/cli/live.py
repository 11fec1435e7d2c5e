"""One line of progress: redrawn on a terminal, printed every few seconds elsewhere."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from types import TracebackType

from rich.console import Console
from rich.status import Status
from rich.text import Text

from streamjobs.cli.stages import Pace
from streamjobs.job.cluster.progress import Progress
from streamjobs.job.root_cause import brief

_PRINT_EVERY_S = 5.0
_LAST_TIME_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z: a later watermark is no date


class ProgressLine:
    """Shows a job's progress; use it in a `with` block, from one thread.

    A restart is one line with its cause; with `verbose` the full stack trace follows.
    """

    def __init__(self, console: Console, name: str, *, verbose: bool = False) -> None:
        self.console = console
        self._verbose = verbose
        self._name = name
        self._status = Status("", console=console)
        self._last: Progress | None = None
        self._last_at_s = time.monotonic()
        self._printed_at_s = 0.0
        self._pace = Pace()
        self._rate = 0.0
        self._restarts = 0
        self._cause = ""

    def __enter__(self) -> ProgressLine:
        if self.console.is_terminal:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def show(self, progress: Progress, trouble: str | None = None) -> None:
        """Show the counters, and what the job waits for."""
        now_s = time.monotonic()
        if self._last is not None and now_s > self._last_at_s and progress.rows_in >= self._last.rows_in:
            self._rate = (progress.rows_in - self._last.rows_in) / (now_s - self._last_at_s)
        self._last, self._last_at_s = progress, now_s
        text = progress_text(self._name, progress, self._rate, self._restarts, now())
        if trouble or (self._cause and progress.state != "RUNNING"):
            text += f"  {trouble or self._cause}"
        if self.console.is_terminal:
            self._status.update(Text(text))
        elif now_s - self._printed_at_s >= _PRINT_EVERY_S:
            self._printed_at_s = now_s
            self._print(text)

    def restarted(self, cause: str) -> None:
        """Show why the job was restarted."""
        self._restarts += 1
        self._cause = brief(cause)
        line = Text.assemble((f"restart {self._restarts}", "red"), f" of {self._name}: {self._cause}")
        self.console.print(line, highlight=False, soft_wrap=True)
        if self._verbose:
            self._print(cause)

    def say(self, text: str) -> None:
        """Show a text in place of the counters."""
        if self.console.is_terminal:
            self._status.update(Text(f"{self._name}  {text}"))
        elif self._pace.due(text):
            self._print(f"{self._name}  {text}")

    def end(self, text: str) -> None:
        """Print the last line."""
        self._status.stop()
        if self._last is not None:
            self._print(progress_text(self._name, self._last, None, self._restarts, now()))
        self._print(f"{self._name}  {text}")

    def _print(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def now() -> datetime:
    """Return the current time, in UTC."""
    return datetime.now(timezone.utc)


def progress_text(name: str, progress: Progress, rate: float | None, restarts: int, at: datetime) -> str:
    """Return the counters as text: `rate` in rows per second, None: omitted; `at`: when they were read."""
    parts = [
        f"{name}  rows in {progress.rows_in:,}" + ("" if rate is None else f" ({rate:,.0f}/s)"),
        f"rows out {progress.rows_out:,}",
        watermark_text(progress.watermark_ms, at),
        f"dead letters {progress.dead_letters:,}",
        f"checkpoints {progress.checkpoints}",
    ]
    if progress.pending:
        parts.insert(1, f"messages to read {progress.pending:,}")
    if progress.dropped_late:
        parts.append(f"DROPPED BY AN OPERATOR {progress.dropped_late:,}")
    if restarts:
        parts.append(f"restarts {restarts}")
    if progress.state != "RUNNING":
        parts.append(progress.state)
    return "  ".join(parts)


def watermark_text(watermark_ms: int | None, at: datetime) -> str:
    """Return a watermark and its lag as text."""
    if watermark_ms is None:
        return "no watermark yet"
    if watermark_ms > _LAST_TIME_MS:
        return "all windows closed"
    time_ = datetime.fromtimestamp(watermark_ms / 1000, timezone.utc)
    return f"watermark {time_:%Y-%m-%d %H:%M:%S} (lag {lag_text(at - time_)})"


def lag_text(lag: timedelta) -> str:
    """Return a time span in its largest unit.

    >>> lag_text(timedelta(seconds=4.25)), lag_text(timedelta(hours=30))
    ('4.2 s', '30.0 h')
    """
    seconds = lag.total_seconds()
    for unit, size in (("d", 86_400 * 2), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / (86_400 if unit == 'd' else size):.1f} {unit}"
    return f"{seconds:.1f} s"
