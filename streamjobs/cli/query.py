"""`streamjobs query`: reads a table of the embedded store, also while a job writes it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import date, datetime, time, timezone
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from connectors.rocksdb import RocksDbTable, UnfitValueError
from streamjobs.cli.show import Columns, Format, show_rows
from streamjobs.cli.where import Where
from streamjobs.errors import ConfigError
from streamjobs.local import places
from streamjobs.sinks.contract import SinkColumn

TABLE_ROWS = 50


def query(
    table: Annotated[str, typer.Argument(help="The table's name in the store.")],
    *,
    path: Annotated[Path | None, typer.Option(help="The store; default .streamjobs/rocksdb.")] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="Only rows with this key; repeat it for each key column, or the first few of them."
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            help="A SQL expression over the columns, in SQLite's dialect. DECIMAL compares exactly."
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=0, help="Maximum number of rows; 0 is all. Default 50 for a table, else all."),
    ] = None,
    columns: Annotated[str | None, typer.Option(help="Only these columns: a,b,c.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """Read a table of the embedded store: its current rows, in key order.

    JSON is one object per line, with DECIMAL as a string; times are UTC.
    """
    wanted = (TABLE_ROWS if form is Format.TABLE else 0) if limit is None else limit
    with ExitStack() as stack:
        source = stack.enter_context(RocksDbTable(path or places.state_dir() / "rocksdb", table))
        names = _names(columns, source.columns, table)
        shown = _Limited(_rows(source, names, _key(key or [], source), where, stack), wanted)
        try:
            count = show_rows(shown, names, form)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return
    noun = "row" if count == 1 else "rows"
    rest = "; there are more, --limit 0 shows all" if shown.more else ""
    Console(stderr=True, highlight=False).print(f"{count} {noun}{rest}", style="dim")


class _Limited:
    """The first `wanted` rows of batches, or all if it is 0; afterwards `more` is set if there are others."""

    def __init__(self, batches: Iterable[Columns], wanted: int) -> None:
        self._batches = batches
        self._wanted = wanted
        self.more = False

    def __iter__(self) -> Iterator[Columns]:
        if not self._wanted:
            yield from self._batches
            return
        left = self._wanted
        for batch in self._batches:
            count = len(batch[0])
            if left:
                yield [values[:left] for values in batch]
            if count > left:
                self.more = True
                return
            left -= count


def _rows(
    source: RocksDbTable, names: Sequence[str], key: Sequence[Any], where: str | None, stack: ExitStack
) -> Iterator[Columns]:
    """Return the columns `names` of the rows that have this key and for which the condition is true."""
    if where is None:
        return source.scan_columns(names, key)
    condition = stack.enter_context(Where(where, source.columns))
    declared = [column.name for column in source.columns]
    indexes = [declared.index(name) for name in names]
    found = condition.filter(source.scan_columns(declared, key))
    return ([batch[index] for index in indexes] for batch in found)


def _names(columns: str | None, declared: Sequence[SinkColumn], table: str) -> list[str]:
    known = [column.name for column in declared]
    if columns is None:
        return known
    names = [name.strip() for name in columns.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        message = f"table {table} has no column {', '.join(unknown)}; columns: {', '.join(known)}"
        raise ConfigError(message)
    return names


def _key(texts: Sequence[str], source: RocksDbTable) -> list[Any]:
    if len(texts) > len(source.key):
        message = f"--key is given {len(texts)} times; the key is {', '.join(source.key)}"
        raise ConfigError(message)
    types = {column.name: column.type for column in source.columns}
    return [_of_text(text, name, types[name]) for text, name in zip(texts, source.key, strict=False)]


def _of_text(text: str, name: str, type_: str) -> Any:
    try:
        match type_.partition("(")[0]:
            case "TINYINT" | "SMALLINT" | "INT" | "BIGINT":
                return int(text)
            case "FLOAT" | "DOUBLE":
                return float(text)
            case "DECIMAL":
                return Decimal(text)
            case "BOOLEAN":
                return {"true": True, "false": False}[text.lower()]
            case "BYTES":
                return bytes.fromhex(text.removeprefix("0x"))
            case "DATE":
                return date.fromisoformat(text)
            case "TIME":
                return time.fromisoformat(text)
            case "TIMESTAMP":
                return datetime.fromisoformat(text)
            case "TIMESTAMP_LTZ":
                moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
                return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
            case _:
                return text
    except (ValueError, KeyError, InvalidOperation, UnfitValueError) as exc:
        message = f"--key {text}: key column {name} is {type_}"
        raise ConfigError(message) from exc
