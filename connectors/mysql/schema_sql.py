"""Statements on tables: what they do, and the definition of a table after them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from connectors.mysql.alter_sql import (
    VERSIONED,
    alter,
    drops_primary_key,
    gets_versions,
    rows_replaced,
    table_of,
)  # fmt: skip
from connectors.mysql.column_sql import primary_key, read_column, table_charset
from connectors.mysql.errors import RefusedError
from connectors.mysql.sql_tokens import Cursor, Kind, Token, split, tokens
from connectors.mysql.table_changes import (
    Altered,
    Created,
    DatabaseDropped,
    Dropped,
    Modified,
    Renamed,
    RowsReplaced,
    TableChange,
    TableDefinition,
    Truncated,
    Unknown,
    with_key,
)  # fmt: skip
from connectors.mysql.transactions import Query
from streamjobs.rowchange import TableId

Lookup = Callable[[TableId], TableDefinition | None]
_OBJECTS: Final = (
    "TABLE", "DATABASE", "SCHEMA", "INDEX", "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT", "USER",
    "ROLE", "SERVER", "TABLESPACE", "LOGFILE", "UNDO", "SEQUENCE", "PACKAGE", "INSTANCE", "RESOURCE",
    "SPATIAL", "LIBRARY", "MASKING",
)  # fmt: skip
_HARMLESS: Final = frozenset(
    {
        "GRANT", "REVOKE", "SET", "ANALYZE", "OPTIMIZE", "REPAIR", "CHECK", "FLUSH", "INSTALL", "UNINSTALL",
        "KILL", "RESET", "CHANGE", "START", "STOP", "LOCK", "UNLOCK", "USE", "DO", "CACHE", "PURGE",
        "SHUTDOWN", "BINLOG", "DELIMITER", "COMMIT", "BEGIN",
    }
)  # fmt: skip
_WRITES: Final = frozenset(
    {"INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "WITH", "CALL", "SELECT", "HANDLER", "IMPORT"}
)
_KEYS: Final = (
    "KEY",
    "INDEX",
    "UNIQUE",
    "FULLTEXT",
    "SPATIAL",
    "FOREIGN",
    "CHECK",
    "CONSTRAINT",
    "PRIMARY",
    "VECTOR",
)


@dataclass(frozen=True)
class Context:
    """What reading a statement depends on: the session, the dialect, the tables and databases that are known.

    `database_charsets` gives the default of each database that is known. `passes_over` tells tables that may
    be there though they are not known.
    """

    query: Query
    mariadb: bool
    lookup: Lookup
    database_charsets: Mapping[str, str]
    passes_over: Callable[[TableId], bool]

    def charset_of(self, database: str) -> str:
        """The default of a new table; "" when it is not known."""
        return self.database_charsets.get(database, "")


def read_statement(context: Context) -> tuple[TableChange, ...]:
    """Say what a statement does to tables. Never raises: what is not understood is `Unknown`."""
    query = context.query
    try:
        found = tokens(query.sql, ansi_quotes=query.ansi_quotes, backslash_escapes=query.backslash_escapes)
    except RefusedError as exc:
        return (Unknown(None, exc.detail),)
    cursor = Cursor(found)
    verb = cursor.next()
    try:
        return _read(verb.text.upper() if verb.kind is Kind.WORD else "", cursor, context)
    except RefusedError as exc:
        return (Unknown(None, exc.detail),)
    except IndexError:
        return (Unknown(None, "the statement ends too early"),)


def _read(verb: str, cursor: Cursor, context: Context) -> tuple[TableChange, ...]:
    if verb == "SET" and cursor.skip_any("STATEMENT"):  # MariaDB: variables FOR another statement
        while not cursor.done and not cursor.skip_any("FOR"):
            cursor.next()
        return _read(cursor.next().text.upper(), cursor, context)
    if verb in _HARMLESS:
        return ()
    match verb:
        case "CREATE" | "DROP" | "ALTER":
            return _object(verb, cursor, context)
        case "RENAME":
            return _rename(cursor, context) if cursor.skip_any("TABLE", "TABLES") else ()
        case "TRUNCATE":
            cursor.skip_any("TABLE")
            return (Truncated(_table(cursor, context)),)
        case _ if verb in _WRITES:
            return _modified(verb, cursor, context)
        case _:
            return (Unknown(None, f"the statement {verb or cursor.peek().text!r} is not known"),)


def _object(verb: str, cursor: Cursor, context: Context) -> tuple[TableChange, ...]:
    temporary = ignores = False
    replaces = cursor.skip("OR", "REPLACE")
    while not cursor.done and not cursor.peek().is_word(*_OBJECTS):
        if cursor.peek().is_word("AS", "SELECT", "BEGIN") or cursor.peek().is_mark("("):
            break
        word = cursor.next()
        temporary, ignores = temporary or word.is_word("TEMPORARY"), ignores or word.is_word("IGNORE")
    if cursor.skip_any("DATABASE", "SCHEMA"):
        cursor.skip("IF", "EXISTS")
        return (DatabaseDropped(cursor.name()),) if verb == "DROP" else ()
    if verb == "DROP" and drops_primary_key(cursor):
        return _drop_primary_key(cursor, context)
    if not cursor.skip_any("TABLE", "TABLES"):
        return (
            () if cursor.peek().is_word(*_OBJECTS) else (Unknown(None, f"{verb} of {cursor.peek().text!r}"),)
        )
    if temporary:
        return ()
    cursor.skip("IF", "EXISTS")
    unless_there = cursor.skip("IF", "NOT", "EXISTS")
    if verb == "DROP":
        return tuple(
            Dropped(_table(Cursor(part), context)) for part in split(cursor.rest) if not part[0].is_mark(";")
        )
    table = _table(cursor, context)
    if gets_versions(cursor.rest):
        return (Unknown(table, VERSIONED),)
    if unless_there and (context.lookup(table) or context.passes_over(table)):
        return ()  # MySQL logs it also when it does nothing
    try:
        if verb == "ALTER":
            return _alter(table, cursor, context, ignores=ignores)
        gone = (Dropped(table),) if replaces and context.lookup(table) else ()
        return (*gone, *_create(table, cursor, context))
    except RefusedError as exc:
        return (Unknown(table, exc.detail),)
    except IndexError:
        return (Unknown(table, "the statement ends too early"),)


def _table(cursor: Cursor, context: Context) -> TableId:
    return table_of(cursor, context.query.database)


def _create(table: TableId, cursor: Cursor, context: Context) -> tuple[TableChange, ...]:
    like = cursor.skip_any("LIKE")
    if not like and cursor.peek().is_mark("(") and cursor.peek(1).is_word("LIKE"):
        cursor.next()
        like = cursor.skip_any("LIKE")
    if like:
        source = context.lookup(_table(cursor, context))
        return (Created(table, replace(source, table=table) if source else None),)
    if not cursor.peek().is_mark("("):
        return (Created(table, None),)
    body = cursor.group()
    if any(token.is_word("SELECT") for token in cursor.rest) or body[0].is_word("SELECT"):
        return (Created(table, None),)
    charset = table_charset(cursor.rest) or context.charset_of(table.database)
    return (Created(table, _definition(table, body, charset, mariadb=context.mariadb)),)


def _definition(table: TableId, body: list[Token], charset: str, *, mariadb: bool) -> TableDefinition:
    columns = []
    key: tuple[str, ...] = ()
    for part in split(body):
        if part[0].is_word(*_KEYS) or (part[0].is_word("PERIOD") and part[1].is_word("FOR")):
            key = primary_key(part) or key
            continue
        found = read_column(part, charset, mariadb=mariadb)
        columns.append(found)
        if found.primary_key:
            key = (found.column.name,)
    definition = TableDefinition(table, tuple(found.column for found in columns), (), charset)
    return with_key(definition, key)


def _alter(table: TableId, cursor: Cursor, context: Context, *, ignores: bool) -> tuple[TableChange, ...]:
    if cursor.skip_any("WAIT"):  # MariaDB: how long the statement may wait for locks
        cursor.next()
    cursor.skip_any("NOWAIT")
    parts = split(cursor.rest)
    found = alter(context.lookup(table), parts, mariadb=context.mariadb)
    changes: list[TableChange] = [Altered(table, found.definition, found.kinds)]
    changes += [
        RowsReplaced(one) for one in rows_replaced(table, parts, context.query.database, ignores=ignores)
    ]
    if (renamed := found.renamed) is not None:
        to = renamed if renamed.database else TableId(context.query.database, renamed.table)
        changes = changes if found.kinds else changes[1:]
        changes.append(Renamed(table, to))
    return tuple(changes)


def _drop_primary_key(cursor: Cursor, context: Context) -> tuple[TableChange, ...]:
    """The rest of DROP: INDEX `PRIMARY` ON t."""
    while not cursor.done and not cursor.skip_any("ON"):
        cursor.next()
    table = _table(cursor, context)
    known = context.lookup(table)
    return (Altered(table, with_key(known, ()) if known else None, ("primary key",)),)


def _rename(cursor: Cursor, context: Context) -> tuple[TableChange, ...]:
    cursor.skip("IF", "EXISTS")
    changes = []
    for part in split(cursor.rest):
        pair = Cursor(part)
        source = _table(pair, context)
        while not pair.done and not pair.skip_any("TO"):
            pair.next()
        changes.append(Renamed(source, _table(pair, context)))
    return tuple(changes)


def _modified(verb: str, cursor: Cursor, context: Context) -> tuple[TableChange, ...]:
    """Rows changed by a statement: in which table, where that is plain to see."""
    while cursor.skip_any("LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "QUICK", "IGNORE", "INTO"):
        pass
    if verb in ("INSERT", "REPLACE") or (verb == "DELETE" and cursor.skip_any("FROM")):
        return (Modified(_table(cursor, context)),)
    if verb == "UPDATE":
        table = _table(cursor, context)
        return (Modified(table if cursor.peek().is_word("SET") else None),)
    return (Modified(None),)
