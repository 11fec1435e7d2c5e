"""Prints rows: as a table for people, as JSON lines or CSV for programs. Exact and typed.

JSON: one object per line; integers and floats are numbers, DECIMAL is a string (so that no reader rounds it),
dates and times are ISO text (TIMESTAMP_LTZ ends in Z), BYTES is base64, NULL is null, NaN and infinities
are strings.
CSV: the same texts; NULL is an empty field, the empty text is "".
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from streamjobs.cli.spelling import csv_texts, json_texts, texts

_NUMERIC = (int, float, Decimal)
_ANY_WIDTH = 100_000

Columns = Sequence[Sequence[Any]]
"""Rows by column: the values of each column, all of one length."""


class Format(str, Enum):
    """The output formats of rows."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def show_rows(batches: Iterable[Columns], names: Sequence[str], form: Format) -> int:
    """Print rows with the columns `names` to standard output; return their number."""
    match form:
        case Format.TABLE:
            return _show_table([row for batch in batches for row in zip(*batch, strict=True)], names)
        case Format.JSON:
            return _show_lines(batches, lambda batch: _json_lines(batch, names))
        case Format.CSV:
            sys.stdout.write(",".join(csv_texts(names)) + "\n")
            return _show_lines(batches, _csv_lines)


def printable(text: str) -> str:
    """Return the text with control characters as escapes, so that no value can control the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _show_lines(batches: Iterable[Columns], lines: Callable[[Columns], Iterable[str]]) -> int:
    count = 0
    for batch in batches:
        sys.stdout.write("\n".join(lines(batch)) + "\n")
        count += len(batch[0])
    return count


def _json_lines(batch: Columns, names: Sequence[str]) -> Iterable[str]:
    columns = dict(zip(names, batch, strict=True))
    fields = [f"{json.dumps(name, ensure_ascii=False)}:".replace("%", "%%") + "%s" for name in columns]
    line = "{" + ",".join(fields) + "}"
    return map(line.__mod__, zip(*map(json_texts, columns.values()), strict=True))


def _csv_lines(batch: Columns) -> Iterable[str]:
    return map(",".join, zip(*map(csv_texts, batch), strict=True))


def _show_table(rows: Sequence[Sequence[Any]], names: Sequence[str]) -> int:
    """Print a table, or one block per row if the terminal is too narrow for the table."""
    console = Console()
    table = Table()
    for index, name in enumerate(names):
        numeric = any(isinstance(row[index], _NUMERIC) for row in rows)
        table.add_column(Text(printable(name)), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    if Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), table).maximum <= console.width:
        console.print(table)
        return len(rows)
    width = max(map(len, map(printable, names)), default=0)
    for number, row in enumerate(rows, 1):
        console.print(Text(f"row {number}", "italic"))
        for name, value in zip(names, row, strict=True):
            line = Text.assemble((printable(name).ljust(width), "bold"), "  ", _cell(value))
            console.print(line, soft_wrap=True)  # the terminal wraps long lines, and copies them as one
    return len(rows)


def _cell(value: Any) -> Text:
    return Text("NULL", style="dim") if value is None else Text(printable(texts([value], "")[0]))
