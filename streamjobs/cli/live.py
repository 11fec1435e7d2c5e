"""One line of progress: redrawn on a terminal, printed now and then elsewhere."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from types import TracebackType

from rich.console import Console
from rich.status import Status

from streamjobs.job.progress import Progress

_PRINT_EVERY_S = 5.0
_LAST_TIME_MS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z: beyond it, a watermark is no time any more


class ProgressLine:
    """Shows a job's progress; use it in a `with` block, from one thread."""

    def __init__(self, console: Console, name: str) -> None:
        self._console = console
        self._name = name
        self._status = Status("", console=console)
        self._last: Progress | None = None
        self._last_at_s = time.monotonic()
        self._printed_at_s = 0.0
        self._rate = 0.0
        self._restarts = 0

    def __enter__(self) -> ProgressLine:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def show(self, progress: Progress) -> None:
        """Show the counters."""
        now_s = time.monotonic()
        if self._last is not None and now_s > self._last_at_s and progress.rows_in >= self._last.rows_in:
            self._rate = (progress.rows_in - self._last.rows_in) / (now_s - self._last_at_s)
        self._last, self._last_at_s = progress, now_s
        text = progress_text(self._name, progress, self._rate, self._restarts, now())
        if self._console.is_terminal:
            self._status.update(text)
        elif now_s - self._printed_at_s >= _PRINT_EVERY_S:
            self._printed_at_s = now_s
            self._console.print(text, highlight=False, soft_wrap=True)

    def restarted(self, cause: str) -> None:
        """Show why the job was restarted."""
        self._restarts += 1
        self._console.print(f"[red]restart {self._restarts}[/red] of {self._name}:", highlight=False)
        self._console.print(cause, markup=False, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Show a word in place of the counters."""
        if self._console.is_terminal:
            self._status.update(f"{self._name}  {text}")
        else:
            self._console.print(f"{self._name}  {text}", highlight=False, soft_wrap=True)

    def end(self, text: str) -> None:
        """Print the last line."""
        self._status.stop()
        if self._last is not None:
            last = progress_text(self._name, self._last, None, self._restarts, now())
            self._console.print(last, highlight=False, soft_wrap=True)
        self._console.print(f"{self._name}  {text}", highlight=False, soft_wrap=True)


def now() -> datetime:
    """Give the time, in UTC."""
    return datetime.now(timezone.utc)


def progress_text(name: str, progress: Progress, rate: float | None, restarts: int, at: datetime) -> str:
    """Word the counters: `rate` in rows a second, None to leave it out; `at` is the time of reading."""
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
    """Word a watermark and how far it lies behind."""
    if watermark_ms is None:
        return "no watermark yet"
    if watermark_ms > _LAST_TIME_MS:
        return "all windows closed"
    time_ = datetime.fromtimestamp(watermark_ms / 1000, timezone.utc)
    return f"watermark {time_:%Y-%m-%d %H:%M:%S} (lag {lag_text(at - time_)})"


def lag_text(lag: timedelta) -> str:
    """Word a time span in its greatest unit.

    >>> lag_text(timedelta(seconds=4.25)), lag_text(timedelta(hours=30))
    ('4.2 s', '30.0 h')
    """
    seconds = lag.total_seconds()
    for unit, size in (("d", 86_400 * 2), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / (86_400 if unit == 'd' else size):.1f} {unit}"
    return f"{seconds:.1f} s"
