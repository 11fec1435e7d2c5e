"""A table's definition behind an ALTER TABLE: what its parts say, put together as the server does."""

from __future__ import annotations

from dataclasses import replace

from connectors.mysql.column_sql import TEXTS, ColumnSql, read_column, with_charset
from connectors.mysql.errors import RefusedError
from connectors.mysql.sql_tokens import Token
from connectors.mysql.table_changes import ColumnDefinition, TableDefinition, with_key
from streamjobs.rowchange import TableId


class AlteredTable:
    """Collects what the parts of one statement say; `after` gives the definition behind it.

    Without a definition before, only the kinds of change are found. Every old name means a column as it was
    before the statement, so names can be swapped; the place of a column (`AFTER x`) is told by new names.
    Columns change or stay first; those that are added or moved are put in then, in the statement's order.
    """

    def __init__(self, definition: TableDefinition | None, charset: str, *, mariadb: bool) -> None:
        self._before = definition
        self._charset = charset
        self._mariadb = mariadb
        self._dropped: set[str] = set()
        self._stays: dict[str, ColumnDefinition] = {}
        self._moved: dict[str, str] = {}
        self._put: list[ColumnSql] = []
        self._key: tuple[str, ...] | None = None
        self.kinds: list[str] = []
        """As in `table_changes.Altered`."""
        self.renamed: TableId | None = None
        """The new name, its database empty where the statement names none."""

    def note(self, kind: str) -> None:
        """Remember what kind of change was made."""
        if kind not in self.kinds:
            self.kinds.append(kind)

    def read(self, tokens: list[Token]) -> ColumnSql:
        """Read a column of the statement; it may be the primary key."""
        found = read_column(tokens, self._charset, mariadb=self._mariadb)
        if found.primary_key:
            self.set_key((found.column.name,))
        return found

    def add(self, found: ColumnSql) -> None:
        """Put in a column that is new."""
        self._put.append(found)

    def change(self, name: str, found: ColumnSql) -> None:
        """Put a column instead of the one that has this name."""
        old = self._known(name)
        if old is None:
            return
        self._moved[old.name] = found.column.name
        if found.place is None:
            self._stays[old.name] = found.column
        else:
            self._put.append(found)

    def drop(self, name: str) -> None:
        """Take a column out."""
        old = self._known(name)
        if old is not None:
            self._dropped.add(old.name)

    def rename_column(self, name: str, to: str) -> None:
        """Give a column another name."""
        old = self._known(name)
        if old is not None:
            self._stays[old.name] = replace(old, name=to)
            self._moved[old.name] = to

    def set_key(self, key: tuple[str, ...]) -> None:
        """Set the primary key, by the new names of its columns."""
        self._key = key

    def drop_key(self) -> None:
        """Drop the primary key, unless the statement sets another."""
        self._key = self._key or ()

    def has(self, name: str) -> bool:
        """Whether the definition before is known and has this column."""
        return self._before is not None and _place(self._before.columns, name) is not None

    def lacks(self, name: str) -> bool:
        """Whether the definition before is known and has no such column."""
        return self._before is not None and not self.has(name)

    def after(self, *, convert: bool) -> TableDefinition | None:
        """Give the definition behind the statement; `convert`: all texts take the new character set.

        Raises: RefusedError when a column is put behind one that is not there.
        """
        before = self._before
        key = self._new_key()
        if before is None:
            return None
        columns = []
        for column in before.columns:
            if column.name in self._stays:
                columns.append(self._stays[column.name])
            elif column.name not in self._moved and column.name not in self._dropped:
                columns.append(column)
        for found in self._put:
            columns.insert(_behind(columns, found.place), found.column)
        if convert and self._charset:
            columns = [with_charset(one, self._charset) if one.type in TEXTS else one for one in columns]
        return with_key(replace(before, columns=tuple(columns), charset=self._charset), key)

    def _new_key(self) -> tuple[str, ...]:
        """The primary key's columns by their new names; a column that is dropped leaves the key."""
        before = self._before.primary_key if self._before else ()
        left = tuple(self._moved.get(name, name) for name in before if name not in self._dropped)
        if self._key is not None or len(left) < len(before):
            self.note("primary key")
        return left if self._key is None else self._key

    def _known(self, name: str) -> ColumnDefinition | None:
        """The column that had this name before the statement; None when no definition is known."""
        if self._before is None:
            return None
        place = _place(self._before.columns, name)
        if place is None:
            raise _unknown(name)
        return self._before.columns[place]


def _behind(columns: list[ColumnDefinition], place: str | None) -> int:
    """Where a column is put: None last, "" first, else behind the column of that name."""
    if not place:
        return len(columns) if place is None else 0
    found = _place(columns, place)
    if found is None:
        raise _unknown(place)
    return found + 1


def _place(columns: list[ColumnDefinition] | tuple[ColumnDefinition, ...], name: str) -> int | None:
    folded = name.lower()
    return next((place for place, column in enumerate(columns) if column.name.lower() == folded), None)


def _unknown(name: str) -> RefusedError:
    return RefusedError(f"the known definition has no column {name!r}")
