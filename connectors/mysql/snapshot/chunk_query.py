"""The SELECT of a table's snapshot chunks: the key ranges, and how the rows are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectors.mysql.rows.row_decoder import FAILURES, Undecodable, reason_of
from connectors.mysql.schema.definitions import TableDefinition
from connectors.mysql.server.session import Session, TextRow, quoted, table_name
from connectors.mysql.snapshot.columns import Converter, key_expression, key_literal, selected
from streamjobs.changes.row_change import Row

Key = tuple[str, ...]
"""Values of the first columns of a primary key, as literals of the server: `("17", "x'6162'")`."""

_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})


@dataclass(frozen=True)
class SelectedRows:
    """Some rows of a table in canonical form, and the values that made other rows undecodable."""

    rows: Sequence[Row]
    bad: Sequence[Undecodable] = ()


class ChunkQuery:
    """Builds the SELECT of one table's chunks, and reads its rows."""

    def __init__(self, definition: TableDefinition) -> None:
        columns = {column.name: column for column in definition.columns}
        self._table = definition.table
        self._keys = [columns[name] for name in definition.primary_key]
        self._compared = [key_expression(column)[0] for column in self._keys]
        chosen = [
            selected(column, in_key=column.name in definition.primary_key) for column in definition.columns
        ]
        self._width = len(chosen)
        self._selected = [column.expression for column in chosen]
        self._selected += [key_expression(column)[1] for column in self._keys]
        self._converters: list[tuple[int, Converter]] = [
            (index, column.convert) for index, column in enumerate(chosen) if column.convert is not None
        ]

    def sql(self, after: Key | None, until: Key | None, limit: int | None) -> str:
        """Return the query of the rows with keys above `after`, up to and including `until`."""
        conditions = []
        if after is not None:
            conditions.append(self._above(after))
        if until is not None:
            conditions.append(f"NOT ({self._above(until)})")
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        order = f" ORDER BY {', '.join(quoted(column.name) for column in self._keys)}" if self._keys else ""
        end = "" if limit is None else f" LIMIT {limit}"
        return f"SELECT {', '.join(self._selected)} FROM {table_name(self._table)}{where}{order}{end}"

    def read(self, found: Sequence[TextRow]) -> SelectedRows:
        """Return the row images in canonical form; a row with an undecodable value goes to `bad`."""
        if not self._converters:
            return SelectedRows([row[: self._width] for row in found])
        rows: list[Row] = []
        bad: list[Undecodable] = []
        for row in found:
            try:
                rows.append(self.row(row))
            except FAILURES:
                bad.append(self._first_bad(row))
        return SelectedRows(rows, bad)

    def _first_bad(self, found: TextRow) -> Undecodable:
        for index, convert in self._converters:
            value = found[index]
            try:
                if value is not None:
                    convert(value)
            except FAILURES as exc:
                return Undecodable(index, value or b"", reason_of(exc))
        message = f"a row of {self._table} could not be decoded, and now it can"
        raise AssertionError(message)

    def row(self, found: TextRow) -> Row:
        """Return the row image in canonical form. Raises one of FAILURES for bytes that are not a value."""
        if not self._converters:
            return found[: self._width]
        values = list(found[: self._width])
        for index, convert in self._converters:
            value = values[index]
            if value is not None:
                values[index] = convert(value)
        return tuple(values)

    def key(self, found: TextRow) -> Key:
        """Return the row's key as literals."""
        values = found[self._width :]
        return tuple(
            key_literal(column, value or b"") for column, value in zip(self._keys, values, strict=True)
        )

    def _above(self, key: Key) -> str:
        """Return a condition, usable by the index, for keys above this one and above its extensions."""
        parts = []
        for count in range(1, len(key) + 1):
            same = [
                f"{name} = {value}" for name, value in zip(self._compared, key[: count - 1], strict=False)
            ]
            parts.append(" AND ".join([*same, f"{self._compared[count - 1]} > {key[count - 1]}"]))
        if len(key) == 1:
            return parts[0]
        return f"{self._compared[0]} >= {key[0]} AND ({' OR '.join(f'({part})' for part in parts)})"


def split_key(
    session: Session, definition: TableDefinition, parts: int
) -> list[tuple[Key | None, Key | None]]:
    """Return up to `parts` ranges (above, up to) of the first key column that together contain every row.

    One range unless that column is an integer: only integers can be split without reading the table.
    """
    key = definition.primary_key
    first = next((column for column in definition.columns if key and column.name == key[0]), None)
    if parts < 2 or first is None or first.type not in _INTEGERS:
        return [(None, None)]
    name = quoted(first.name)
    rows = session.rows(f"SELECT MIN({name}), MAX({name}) FROM {table_name(definition.table)}")
    low, high = rows[0]
    if low is None or high is None or int(high) - int(low) < parts:
        return [(None, None)]
    least, step = int(low), (int(high) - int(low)) // parts
    cuts = [(str(least + step * number),) for number in range(1, parts)]
    return list(zip([None, *cuts], [*cuts, None], strict=True))
