"""ALTER TABLE: the definition after it, and what kinds of change it makes."""

from __future__ import annotations

from dataclasses import replace

from connectors.mysql.column_sql import (
    TEXTS,
    ColumnSql,
    primary_key,
    read_column,
    table_charset,
    with_charset,
)  # fmt: skip
from connectors.mysql.errors import RefusedError
from connectors.mysql.sql_tokens import Cursor, Token, split
from connectors.mysql.table_changes import ColumnDefinition, TableDefinition
from streamjobs.rowchange import TableId

_KEY_WORDS = ("KEY", "INDEX", "UNIQUE", "FULLTEXT", "SPATIAL", "FOREIGN", "CHECK", "CONSTRAINT")


class _Table:
    """A definition in change; without a definition, only the kinds of change are found."""

    def __init__(self, definition: TableDefinition | None, *, mariadb: bool) -> None:
        self.definition = definition
        self.kinds: list[str] = []
        self.renamed: TableId | None = None
        self.mariadb = mariadb

    def note(self, kind: str) -> None:
        if kind not in self.kinds:
            self.kinds.append(kind)

    def read(self, tokens: list[Token]) -> ColumnSql:
        return read_column(tokens, self.definition.charset if self.definition else "", mariadb=self.mariadb)

    def put(self, found: ColumnSql, instead_of: str | None = None) -> None:
        """Add a column, or put it in the place of another one."""
        if self.definition is None:
            return
        columns = list(self.definition.columns)
        at = len(columns)
        if instead_of is not None:
            at = self._find(instead_of)
            columns.pop(at)
        if found.place == "":
            at = 0
        elif found.place is not None:
            at = self._find(found.place, columns) + 1
        columns.insert(at, found.column)
        key = self.definition.primary_key
        if instead_of is not None:
            key = tuple(found.column.name if name.lower() == instead_of.lower() else name for name in key)
        if found.primary_key:
            key = (found.column.name,)
        self._set(columns, key)

    def drop(self, name: str, *, if_exists: bool) -> None:
        if self.definition is None:
            return
        columns = [column for column in self.definition.columns if column.name.lower() != name.lower()]
        if len(columns) == len(self.definition.columns) and not if_exists:
            self._find(name)
        self._set(columns, tuple(key for key in self.definition.primary_key if key.lower() != name.lower()))

    def rename_column(self, name: str, to: str) -> None:
        if self.definition is None:
            return
        at = self._find(name)
        columns = list(self.definition.columns)
        columns[at] = replace(columns[at], name=to)
        key = tuple(to if part.lower() == name.lower() else part for part in self.definition.primary_key)
        self._set(columns, key)

    def set_key(self, key: tuple[str, ...]) -> None:
        self.note("primary key")
        if self.definition is not None:
            self._set(list(self.definition.columns), key)

    def set_charset(self, charset: str, *, columns_too: bool) -> None:
        if self.definition is None:
            return
        columns = self.definition.columns
        if columns_too:
            columns = tuple(
                with_charset(column, charset) if column.type in TEXTS else column for column in columns
            )
        self.definition = replace(self.definition, charset=charset, columns=columns)

    def has(self, name: str) -> bool:
        return self.definition is not None and any(
            column.name.lower() == name.lower() for column in self.definition.columns
        )

    def _find(self, name: str, columns: list[ColumnDefinition] | None = None) -> int:
        known = columns if columns is not None else list(self.definition.columns if self.definition else ())
        for place, column in enumerate(known):
            if column.name.lower() == name.lower():
                return place
        message = f"the known definition has no column {name!r}"
        raise RefusedError(message)

    def _set(self, columns: list[ColumnDefinition], key: tuple[str, ...]) -> None:
        if self.definition is not None:
            folded = {name.lower() for name in key}
            fixed = tuple(
                replace(column, nullable=False) if column.name.lower() in folded else column
                for column in columns
            )
            self.definition = replace(self.definition, columns=fixed, primary_key=key)


def alter(
    definition: TableDefinition | None, parts: list[list[Token]], *, mariadb: bool
) -> tuple[TableId | None, TableDefinition | None, tuple[str, ...]]:
    """Apply the parts of an ALTER TABLE: give the new name if any, the new definition, the kinds of change.

    The new name has an empty database where the statement names none. Raises RefusedError.
    """
    table = _Table(definition, mariadb=mariadb)
    for part in parts:
        cursor = Cursor(part)
        if cursor.skip_any("ADD"):
            _add(table, cursor)
        elif cursor.skip_any("DROP"):
            _drop(table, cursor)
        elif cursor.skip_any("MODIFY", "CHANGE"):
            _change(table, cursor, renames=part[0].is_word("CHANGE"))
        elif cursor.skip_any("RENAME"):
            _rename(table, cursor)
        elif cursor.skip("CONVERT", "TO"):
            _charset(table, cursor, columns_too=True)
        elif cursor.peek().is_word("DEFAULT", "CHARACTER", "CHARSET", "COLLATE"):
            _charset(table, cursor, columns_too=False)
    return table.renamed, table.definition, tuple(table.kinds)


def _add(table: _Table, cursor: Cursor) -> None:
    if not cursor.skip_any("COLUMN"):
        key = primary_key(cursor.rest)
        if key:
            table.set_key(key)
            return
        if _no_column(cursor):
            return
    unless_there = cursor.skip("IF", "NOT", "EXISTS")
    parts = split(cursor.group()) if cursor.peek().is_mark("(") else [cursor.rest]
    for part in parts:
        if part[0].is_word("PRIMARY", *_KEY_WORDS):
            if key := primary_key(part):
                table.set_key(key)
            continue
        found = table.read(part)
        if unless_there and table.has(found.column.name):
            continue
        table.note("add column")
        if found.primary_key:
            table.note("primary key")
        table.put(found)


def _no_column(cursor: Cursor) -> bool:
    """Whether an index, a partition or the like comes next; PERIOD and SYSTEM may also name a column."""
    if cursor.peek().is_word("PERIOD"):
        return cursor.peek(1).is_word("FOR")
    if cursor.peek().is_word("SYSTEM"):
        return cursor.peek(1).is_word("VERSIONING")
    return cursor.peek().is_word(*_KEY_WORDS, "PARTITION")


def _drop(table: _Table, cursor: Cursor) -> None:
    if cursor.skip("PRIMARY", "KEY"):
        table.set_key(())
        return
    if not cursor.skip_any("COLUMN") and _no_column(cursor):
        return
    if_exists = cursor.skip("IF", "EXISTS")
    name = cursor.name()
    if if_exists and table.definition is not None and not table.has(name):
        return
    table.note("drop column")
    table.drop(name, if_exists=if_exists)


def _change(table: _Table, cursor: Cursor, *, renames: bool) -> None:
    cursor.skip_any("COLUMN")
    if_exists = cursor.skip("IF", "EXISTS")
    old = cursor.name() if renames else cursor.peek().text
    if if_exists and table.definition is not None and not table.has(old):
        return
    found = table.read(cursor.rest)
    if renames and old.lower() != found.column.name.lower():
        table.note("rename column")
    table.note("modify column")
    table.put(found, instead_of=old)


def _rename(table: _Table, cursor: Cursor) -> None:
    if cursor.skip_any("COLUMN"):
        cursor.skip("IF", "EXISTS")
        old = cursor.name()
        cursor.skip_any("TO")
        table.note("rename column")
        table.rename_column(old, cursor.name())
        return
    if cursor.peek().is_word("INDEX", "KEY") and cursor.peek(2).is_word("TO"):
        return
    cursor.skip_any("TO", "AS") or cursor.skip_mark("=")
    first = cursor.name()
    table.renamed = TableId(first, cursor.name()) if cursor.skip_mark(".") else TableId("", first)


def _charset(table: _Table, cursor: Cursor, *, columns_too: bool) -> None:
    charset = table_charset(cursor.rest)
    if charset:
        table.note("charset")
        if columns_too:
            table.note("modify column")
        table.set_charset(charset, columns_too=columns_too)
