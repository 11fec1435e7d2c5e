"""Lookups in MySQL: one SELECT for all keys of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

from connectors.mysql.store.columns import read_columns
from connectors.mysql.store.connection import SinkConnection, target_of
from connectors.mysql.store.literals import literals_of
from connectors.mysql.store.target import quoted
from streamjobs.changes.wire_values import shortest_float
from streamjobs.errors import ConfigError, StreamjobsError, SystemicError
from streamjobs.options.store_options import MYSQL_OPTIONS
from streamjobs.sinks.contract import SinkTable
from streamjobs.sinks.stored_types import ColumnType, UnfitValueError, column_type

Key = tuple[Any, ...]
Row = tuple[Any, ...]

_APPROXIMATE = ("FLOAT", "DOUBLE")
_MIDNIGHT = datetime(1970, 1, 1)  # noqa: DTZ001 - a TIME has no zone


class MySqlLookup:
    """Reads rows of a table or view of MySQL or MariaDB; implements `streamjobs.lookups.contract.Lookup`.

    Texts are equal if their characters are, whatever the column's collation. Timestamps are UTC. Two rows
    with one key raise SystemicError. A scan reads one state of the table, all of it into memory.
    """

    def __init__(self, table: SinkTable) -> None:
        self._where = f"table {table.name}"
        options = MYSQL_OPTIONS.parse(table.options, self._where)
        self._table = table
        self._target = target_of(options, table.name)
        self._connection = SinkConnection(options, self._target, self._where)
        self._types = [(column.name, column_type(column.type)) for column in table.columns]
        indexes = {column.name: index for index, column in enumerate(table.columns)}
        self._key = [indexes[name] for name in table.key]
        floats = [name for name in table.key if self._types[indexes[name]][1].name == "FLOAT"]
        if floats:
            message = (
                f"{self._where}: a lookup by {floats[0]}, a FLOAT, compares digits that are never shown: "
                "look up by another column, or make it a DOUBLE or DECIMAL"
            )
            raise ConfigError(message)
        self._select = ""
        self._singles: set[str] = set()

    def open(self) -> None:
        """Connect, and select no row: the table and its columns must exist."""
        try:
            self._connection.connect()
            self._select = f"SELECT {self._selected()} FROM {quoted(self._target.table)}"
            self._rows(f"{self._select} LIMIT 0")
        except StreamjobsError:
            self._connection.close()
            raise

    def fetch(self, keys: Sequence[Key]) -> Mapping[Key, Row]:
        """Read the rows of these keys; see the contract."""
        literals = [each for key in keys if (each := self._literal(key)) is not None]
        if not literals:
            return {}
        wanted, found = set(keys), dict[Key, Row]()
        for key, row in self._rows(f"{self._select} WHERE {self._condition(literals)}"):
            if key in found:
                message = (
                    f"{self._where}: {self._target} has two rows with the key {key}: look up by a unique key"
                )
                raise SystemicError(message)
            if key in wanted:
                found[key] = row
        return found

    def scan(self) -> Iterable[tuple[Key, Row]]:
        """Read the whole table."""
        return self._rows(self._select)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _selected(self) -> str:
        """Return the selected expressions: the server prints six digits of a FLOAT, but all of a DOUBLE.

        A FLOAT declared as DOUBLE becomes the shortest number that equals this FLOAT, as capture sends it.
        """
        if any(kind.name in _APPROXIMATE for _, kind in self._types):
            found = read_columns(self._connection, self._target)
            singles = {name for name, column in found.items() if column.type == "float"}
            self._singles = {
                name for name, kind in self._types if name.lower() in singles and kind.name in _APPROXIMATE
            }
        return ", ".join(
            f"{quoted(name)} * 1e0" if name in self._singles else quoted(name) for name, _ in self._types
        )

    def _literal(self, key: Key) -> str | None:
        """Return a key's literal; None if the type cannot hold the key, which then has no row."""
        try:
            cells = [
                literals_of(self._types[index][1]).one(self._types[index][1].store(value))
                for index, value in zip(self._key, key, strict=True)
            ]
        except UnfitValueError:
            return None
        return f"({','.join(cells)})"

    def _condition(self, literals: Sequence[str]) -> str:
        names = ",".join(quoted(name) for name in self._table.key)
        return f"({names}) IN ({','.join(literals)})"

    def _rows(self, statement: str) -> list[tuple[Key, Row]]:
        if not self._connection.is_open:
            self._connection.connect()
        found = self._connection.run(statement, "looking up rows")
        self._connection.commit("looking up rows")  # the next lookup sees newer writes
        rows = [self._row(cells) for cells in found]
        return [(tuple(row[index] for index in self._key), row) for row in rows]

    def _row(self, cells: Sequence[Any]) -> Row:
        return tuple(
            None if cell is None else self._value(name, kind, cell)
            for (name, kind), cell in zip(self._types, cells, strict=True)
        )

    def _value(self, name: str, kind: ColumnType, cell: Any) -> Any:
        try:
            value = shortest_float(cell) if name in self._singles else _plain(kind, cell)
            kind.store(value)
        except (UnfitValueError, ValueError) as exc:
            message = f"{self._where}: column {name} of {self._target} holds {cell!r}: {exc}"
            raise SystemicError(message) from exc
        return value


def _plain(kind: ColumnType, cell: Any) -> Any:
    """Return the client's value in the class of the declared type, if that loses nothing."""
    if kind.plain is bool:
        number = int.from_bytes(cell, "big") if isinstance(cell, bytes) else cell
        return bool(number) if number in (0, 1) else cell
    if kind.plain is time and isinstance(cell, timedelta):
        return (_MIDNIGHT + cell).time() if timedelta() <= cell < timedelta(days=1) else cell
    if kind.name.startswith("TIMESTAMP_LTZ") and isinstance(cell, datetime):
        return cell.replace(tzinfo=timezone.utc)
    if kind.plain is int and isinstance(cell, Decimal) and cell == int(cell):
        return int(cell)
    if kind.plain is Decimal and type(cell) is int:
        return Decimal(cell)
    return cell
