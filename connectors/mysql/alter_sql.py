"""ALTER TABLE: the definition after it, what kinds of change it makes, and which rows it moves unseen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from connectors.mysql.altered_table import AlteredTable
from connectors.mysql.column_sql import primary_key, table_charset
from connectors.mysql.sql_tokens import Cursor, Token, split
from connectors.mysql.table_changes import TableDefinition
from streamjobs.rowchange import TableId

VERSIONED: Final = (
    "system-versioned tables are refused: old versions of rows are rows in their log, and not in SELECT. "
    "Leave the table out (exclude in [[tables]])"
)
_KEY_WORDS = ("KEY", "INDEX", "UNIQUE", "FULLTEXT", "SPATIAL", "FOREIGN", "CHECK", "CONSTRAINT")
_CHARSET_WORDS = ("DEFAULT", "CHARACTER", "CHARSET", "COLLATE")


@dataclass(frozen=True)
class AlterResult:
    """What an ALTER TABLE does.

    `renamed`: the new name, its database empty where the statement names none; None: it keeps its name.
    `definition` is None when none was known before. `kinds` as in `table_changes.Altered`.
    """

    renamed: TableId | None
    definition: TableDefinition | None
    kinds: tuple[str, ...]


def alter(definition: TableDefinition | None, parts: list[list[Token]], *, mariadb: bool) -> AlterResult:
    """Apply the parts of an ALTER TABLE; without a definition, only the kinds of change are found.

    Raises: RefusedError when a part is not understood or does not fit the definition.
    """
    charset, convert = _charset(parts)
    before = definition.charset if definition else ""
    table = AlteredTable(definition, charset or before, mariadb=mariadb)
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
    if charset:
        table.note("charset")
        if convert:
            table.note("modify column")
    after = table.after(convert=convert)
    return AlterResult(table.renamed, after, tuple(table.kinds))


def _charset(parts: list[list[Token]]) -> tuple[str, bool]:
    """The table's new character set, "" where no part names one, and whether its columns take it too."""
    charset, convert = "", False
    for part in parts:
        cursor = Cursor(part)
        converts = cursor.skip("CONVERT", "TO")
        if converts or cursor.peek().is_word(*_CHARSET_WORDS):
            charset = table_charset(cursor.rest) or charset
            convert = convert or converts
    return charset, convert


def _add(table: AlteredTable, cursor: Cursor) -> None:
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
        if unless_there and table.has(part[0].text):
            continue
        table.note("add column")
        table.add(table.read(part))


def _no_column(cursor: Cursor) -> bool:
    """Whether an index, a partition or the like comes next; PERIOD, SYSTEM, VECTOR may also name a column."""
    if cursor.peek().is_word("PERIOD"):
        return cursor.peek(1).is_word("FOR")
    if cursor.peek().is_word("SYSTEM"):
        return cursor.peek(1).is_word("VERSIONING")
    if cursor.peek().is_word("VECTOR"):
        return cursor.peek(1).is_word("INDEX", "KEY")
    return cursor.peek().is_word(*_KEY_WORDS, "PARTITION")


def _drop(table: AlteredTable, cursor: Cursor) -> None:
    if cursor.skip("PRIMARY", "KEY"):
        table.drop_key()
        return
    if not cursor.skip_any("COLUMN") and _no_column(cursor):
        if drops_primary_key(cursor):
            table.drop_key()
        return
    if_exists = cursor.skip("IF", "EXISTS")
    name = cursor.name()
    if if_exists and table.lacks(name):
        return
    table.note("drop column")
    table.drop(name)


def drops_primary_key(cursor: Cursor) -> bool:
    """Whether INDEX `PRIMARY` comes next: the primary key under its name as an index. Takes nothing."""
    if not cursor.peek().is_word("INDEX", "KEY", "CONSTRAINT"):
        return False
    name = cursor.peek(3 if cursor.peek(1).is_word("IF") else 1)
    return name.is_name and name.text.upper() == "PRIMARY"


def _change(table: AlteredTable, cursor: Cursor, *, renames: bool) -> None:
    cursor.skip_any("COLUMN")
    if_exists = cursor.skip("IF", "EXISTS")
    old = cursor.name() if renames else cursor.peek().text
    if if_exists and table.lacks(old):
        return
    found = table.read(cursor.rest)
    if renames and old.lower() != found.column.name.lower():
        table.note("rename column")
    table.note("modify column")
    table.change(old, found)


def _rename(table: AlteredTable, cursor: Cursor) -> None:
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


def rows_replaced(
    table: TableId, parts: list[list[Token]], database: str, *, ignores: bool
) -> Iterator[TableId]:
    """Tables of which an ALTER TABLE removes rows, or brings some, unseen; `ignores`: ALTER IGNORE."""
    for part in parts:
        cursor = Cursor(part)
        verb = cursor.next()
        moves = verb.is_word("DROP", "TRUNCATE", "EXCHANGE", "CONVERT") and cursor.peek().is_word("PARTITION")
        brings = verb.is_word("CONVERT") and cursor.peek().is_word("TABLE")
        swaps = verb.is_word("DISCARD", "IMPORT")
        unique = ignores and any(token.is_word("UNIQUE", "PRIMARY", "KEY") for token in part)
        if moves or brings or swaps or unique:
            yield table
        while not cursor.done and (moves or brings):
            if cursor.skip_any("TABLE"):
                yield table_of(cursor, database)
            cursor.next()


def gets_versions(found: list[Token]) -> bool:
    """Whether CREATE or ALTER TABLE makes a table system-versioned."""
    triples = zip(found, found[1:], found[2:], strict=False)
    return any(
        a.is_word("WITH", "ADD") and b.is_word("SYSTEM") and c.is_word("VERSIONING") for a, b, c in triples
    )


def table_of(cursor: Cursor, database: str) -> TableId:
    """Take the name of a table, of `database` where it names none. Raises RefusedError."""
    first = cursor.name()
    return TableId(first, cursor.name()) if cursor.skip_mark(".") else TableId(database, first)
