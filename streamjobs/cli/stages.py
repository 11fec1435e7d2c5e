"""Shows the stages of a command: redrawn on a terminal, one line per stage elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.status import Status
from rich.text import Text

_PRINT_EVERY_S = 5.0
_SAME_CHARS = 30


class Pace:
    """Decides when to print a line if it cannot be redrawn: at once if it is new, else every few seconds.

    Lines with the same beginning count as one, such as `waiting for Flink: 3 s` and `… 4 s`.
    """

    def __init__(self) -> None:
        self._said = ""
        self._said_at_s = 0.0

    def due(self, text: str) -> bool:
        """Return whether to print this line now; if so, it counts as printed."""
        now_s, begins = time.monotonic(), text[:_SAME_CHARS]
        if begins == self._said and now_s - self._said_at_s < _PRINT_EVERY_S:
            return False
        self._said, self._said_at_s = begins, now_s
        return True


class Stages:
    """Shows the current stage, how long the command has run, and the number of rows. Use with `with`.

    Without a terminal, each stage is a line, such as `   3.2 s  submitting ctr_samples`; during a long stage
    or wait there is another line every five seconds.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = Status("", console=console)
        self._began_s = time.monotonic()
        self._pace = Pace()
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
        """Show what starts now, or what is waited for; may be called several times a second."""
        self._stage, self._rows = text, 0
        self._show()

    def rows(self, count: int) -> None:
        """Count rows of this stage."""
        self._rows += count
        self._show()

    def _show(self) -> None:
        spent_s = time.monotonic() - self._began_s
        text = self._stage + (f": {self._rows:,} rows" if self._rows else "")
        if self._console.is_terminal:
            self._status.update(Text(f"{text}  ({spent_s:.0f} s)"))
        elif self._pace.due(self._stage):
            line = f"{spent_s:6.1f} s  {text}"
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)
