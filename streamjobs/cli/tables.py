"""Tables for copying: an address or an id is never split over two lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from streamjobs.cli.show import printable

_ANY_WIDTH = 100_000


@dataclass
class Rows:
    """Rows with headings, a title and a caption; `numbers` are the headings of numeric columns."""

    headings: Sequence[str]
    title: str | None = None
    caption: str | None = None
    numbers: frozenset[str] = frozenset()
    rows: list[tuple[tuple[str, ...], str]] = field(default_factory=list)

    def add(self, *cells: str, style: str = "") -> None:
        """Add a row, one text per heading; control characters are shown as escapes."""
        self.rows.append((tuple(map(printable, cells)), style))

    def print_to(self, console: Console) -> None:
        """Print a table; if the terminal is too narrow for it, print a block of lines per row instead."""
        if self.title:
            console.print(Text(self.title, "italic"), soft_wrap=True)
        table = self._table()
        wide = Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), table).maximum
        if wide <= console.width:
            console.print(table)
        elif not console.is_terminal:
            Console(file=console.file, width=wide).print(table)
        else:
            self._print_blocks(console)
        if self.caption:
            console.print(Text(self.caption, "dim"), soft_wrap=True)

    def _table(self) -> Table:
        table = Table()
        for heading in self.headings:
            table.add_column(heading, justify="right" if heading in self.numbers else "left", no_wrap=True)
        for cells, style in self.rows:
            table.add_row(*map(Text, cells), style=style or None)
        return table

    def _print_blocks(self, console: Console) -> None:
        length = max(map(len, self.headings))
        for cells, style in self.rows:
            console.print()
            for heading, cell in zip(self.headings, cells, strict=True):
                line = Text.assemble((heading.ljust(length), "bold"), "  ", (cell, style))
                console.print(line, soft_wrap=True, highlight=False)
