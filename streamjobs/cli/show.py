"""How rows are shown: as a table for eyes, as JSON lines or CSV for programs. Exact and typed.

JSON: one object a line; integers and floats are numbers, DECIMAL is a string (no reader may round it),
dates and times are ISO text (TIMESTAMP_LTZ ends in Z), BYTES is base64, NULL is null, NaN and infinities
are strings.
CSV: the same texts; NULL is an empty field, the empty text is "".
"""

from __future__ import annotations

import base64
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

_NUMERIC = (int, float, Decimal)
_ANY_WIDTH = 100_000


class Format(str, Enum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def show_rows(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], form: Format) -> int:
    """Print the rows to standard output; gives their number."""
    match form:
        case Format.TABLE:
            return _show_table(rows, columns)
        case Format.JSON:
            return _show_lines(_json_line(row, columns) for row in rows)
        case Format.CSV:
            sys.stdout.write(",".join(map(_csv_field, columns)) + "\n")
            return _show_lines(_csv_line(row, columns) for row in rows)


def plain(value: Any) -> Any:
    """Give what JSON takes for one value; see the module."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime):
        return _without_zeros(value.replace(tzinfo=None).isoformat()) + ("Z" if value.tzinfo else "")
    if isinstance(value, time):
        return _without_zeros(value.isoformat())
    if isinstance(value, date):
        return value.isoformat()
    return value


def printable(text: str) -> str:
    """Write control characters as escapes, so that no value can steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _without_zeros(text: str) -> str:
    return text[:-3] if text.endswith("000") and "." in text else text


def _show_lines(lines: Iterable[str]) -> int:
    count = 0
    for line in lines:
        sys.stdout.write(line + "\n")
        count += 1
    return count


def _json_line(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    fields = {name: plain(row[name]) for name in columns}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _csv_line(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    return ",".join("" if row[name] is None else _csv_field(_text(row[name])) for name in columns)


def _csv_field(text: str) -> str:
    if text and not set(text) & set(',"\r\n'):
        return text
    return '"' + text.replace('"', '""') + '"'


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(plain(value))


def _show_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> int:
    """Print a table, or one block a row where the terminal is too narrow for the table."""
    kept = list(rows)
    console = Console()
    table = Table()
    for name in columns:
        numeric = any(isinstance(row[name], _NUMERIC) for row in kept)
        table.add_column(Text(printable(name)), justify="right" if numeric else "left", overflow="fold")
    for row in kept:
        table.add_row(*(_cell(row[name]) for name in columns))
    if Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), table).maximum <= console.width:
        console.print(table)
        return len(kept)
    width = max(map(len, map(printable, columns)), default=0)
    for number, row in enumerate(kept, 1):
        console.print(Text(f"row {number}", "italic"))
        for name in columns:
            line = Text.assemble((printable(name).ljust(width), "bold"), "  ", _cell(row[name]))
            console.print(line, soft_wrap=True)  # the terminal breaks what is long, and copies it whole
    return len(kept)


def _cell(value: Any) -> Text:
    return Text("NULL", style="dim") if value is None else Text(printable(_text(value)))
