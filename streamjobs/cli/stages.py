"""What a command of several stages is doing: redrawn on a terminal, a line for each stage elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.status import Status

_PRINT_EVERY_S = 5.0


class Stages:
    """Shows the stage that goes on, how long the command has run, and rows as they pass. Use it with `with`.

    Elsewhere than on a terminal each stage is a line, such as `   3.2 s  submitting ctr_samples`, and the
    rows of a long stage are one every five seconds.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = Status("", console=console)
        self._began_s = time.monotonic()
        self._printed_s = 0.0
        self._stage = ""
        self._rows = 0

    def __enter__(self) -> Stages:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def stage(self, text: str) -> None:
        """Show what begins now."""
        self._stage, self._rows = text, 0
        self._show(at_once=True)

    def rows(self, count: int) -> None:
        """Count rows of this stage."""
        self._rows += count
        self._show(at_once=False)

    def _show(self, *, at_once: bool) -> None:
        now_s = time.monotonic()
        text = self._stage + (f": {self._rows:,} rows" if self._rows else "")
        if self._console.is_terminal:
            self._status.update(f"{text}  ({now_s - self._began_s:.0f} s)")
        elif at_once or now_s - self._printed_s >= _PRINT_EVERY_S:
            self._printed_s = now_s
            line = f"{now_s - self._began_s:6.1f} s  {text}"
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)
