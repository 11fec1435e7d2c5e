"""Applies the parts of an ALTER TABLE to a table's definition, as the server does."""

from __future__ import annotations

from dataclasses import dataclass, replace

from connectors.mysql.errors import RefusedError
from connectors.mysql.schema.columns import ColumnSql, converted, finished
from connectors.mysql.schema.definitions import ColumnDefinition, TableDefinition, with_key
from connectors.mysql.schema.keys import KeySql, PeriodSql, key_columns
from streamjobs.changes.row_change import TableId


@dataclass(frozen=True)
class TextRules:
    """The character sets in an ALTER TABLE.

    `charset`: the set of new columns, "" if not known. `converts_to`: the set that all columns get; None: the
    statement converts none.
    """

    charset: str
    converts_to: str | None = None


class AlteredTable:
    """Collects the parts of one statement; `after` returns the definition after it.

    Only the kinds of change are found if the definition before is not known. Every old name means a column as
    it was before the statement, so names can be swapped; the position of a column (`AFTER x`) uses new names.
    Columns are first changed or kept; then added and moved columns are inserted, in the statement's order.
    """

    def __init__(self, definition: TableDefinition | None, rules: TextRules, *, mariadb: bool) -> None:
        self._before = definition
        self._rules = rules
        self._mariadb = mariadb
        self._dropped: set[str] = set()
        self._stays: dict[str, ColumnDefinition] = {}
        self._moved: dict[str, str] = {}
        self._put: list[ColumnSql] = []
        self._key: KeySql | None = None
        self._drops_key = False
        self._periods: list[PeriodSql] = []
        self.kinds: list[str] = []
        """As in `definitions.Altered`."""
        self.renamed: TableId | None = None
        """The new name; its database is empty if the statement names none."""

    def note(self, kind: str) -> None:
        """Remember the kind of a change."""
        if kind not in self.kinds:
            self.kinds.append(kind)

    def _finished(self, found: ColumnSql, *, unless_there: bool = False) -> ColumnSql:
        """Return a column of the statement with its character set; set the primary key if it is one.

        `unless_there`: only if there is no key yet; MariaDB uses the column's IF EXISTS or IF NOT EXISTS so.
        """
        if found.primary_key:
            self.set_key(KeySql((found.column.name,), unless_there=unless_there))
        to = self._rules.converts_to
        if to and found.charset != "binary":
            found = replace(found, charset=to, collation="")
        return finished(found, self._rules.charset, mariadb=self._mariadb)

    def add(self, found: ColumnSql, *, unless_there: bool) -> None:
        """Add a new column; `unless_there`: not if a column with its name exists."""
        name = found.column.name
        if unless_there and (self.has(name) or _place([one.column for one in self._put], name) is not None):
            return
        self.note("add column")
        self._put.append(self._finished(found, unless_there=unless_there))

    def change(self, name: str, found: ColumnSql, *, if_there: bool) -> None:
        """Replace the column that has this name."""
        if if_there and self.lacks(name):
            return
        if name.lower() != found.column.name.lower():
            self.note("rename column")
        self.note("modify column")
        found = self._finished(found, unless_there=if_there)
        old = self._known(name)
        if old is None:
            return
        self._moved[old.name] = found.column.name
        if found.place is None:
            self._stays[old.name] = found.column
        else:
            self._put.append(found)

    def drop(self, name: str, *, if_there: bool) -> None:
        """Drop a column."""
        if if_there and self.lacks(name):
            return
        self.note("drop column")
        old = self._known(name)
        if old is not None:
            self._dropped.add(old.name)

    def rename_column(self, name: str, to: str, *, if_there: bool) -> None:
        """Rename a column."""
        if if_there and self.lacks(name):
            return
        self.note("rename column")
        old = self._known(name)
        if old is not None:
            self._stays[old.name] = replace(self._kept(old), name=to)
            self._moved[old.name] = to

    def set_key(self, key: KeySql) -> None:
        """Set the primary key; its columns have their new names.

        Raises: RefusedError when the key depends on earlier parts of the statement.
        """
        if key.unless_there and self._before is not None and self._before.primary_key:
            if self._drops_key or self._dropped:
                message = "a primary key IF NOT EXISTS in a statement that drops one is not understood"
                raise RefusedError(message)
            return
        self._key = key

    def drop_key(self) -> None:
        """Drop the primary key, unless the statement sets another."""
        self._drops_key = True

    def add_period(self, period: PeriodSql) -> None:
        """Define a period, which may be part of the key."""
        self._periods.append(period)

    def has(self, name: str) -> bool:
        """Return whether the definition before is known and has this column."""
        return self._before is not None and _place(self._before.columns, name) is not None

    def lacks(self, name: str) -> bool:
        """Return whether the definition before is known and has no such column."""
        return self._before is not None and not self.has(name)

    def after(self) -> TableDefinition | None:
        """Return the definition after the statement; None if it was not known before.

        Raises: RefusedError when a column is placed after a column that does not exist.
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
                columns.append(self._kept(column))
        for found in self._put:
            columns.insert(_after(columns, found.place), found.column)
        return with_key(replace(before, columns=tuple(columns), charset=self._rules.charset), key)

    def _kept(self, column: ColumnDefinition) -> ColumnDefinition:
        """Return a column that the statement does not redefine."""
        to = self._rules.converts_to
        return column if to is None else converted(column, to)

    def _new_key(self) -> tuple[str, ...]:
        """Return the primary key's columns by their new names; a column that is dropped leaves the key."""
        before = self._before.primary_key if self._before else ()
        left = tuple(self._moved.get(name, name) for name in before if name not in self._dropped)
        if self._key is not None or self._drops_key or len(left) < len(before):
            self.note("primary key")
        if self._key is not None:
            return key_columns(self._key, self._periods) if self._before else ()
        return () if self._drops_key else left

    def _known(self, name: str) -> ColumnDefinition | None:
        """Return the column that had this name before the statement; None if no definition is known."""
        if self._before is None:
            return None
        place = _place(self._before.columns, name)
        if place is None:
            raise _unknown(name)
        return self._before.columns[place]


def _after(columns: list[ColumnDefinition], place: str | None) -> int:
    """Return the index of a new column: None: last, "": first, else after the column of that name."""
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
