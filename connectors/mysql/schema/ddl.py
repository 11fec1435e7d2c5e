"""Reads statements on tables: what they do, and the table's definition after them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from connectors.mysql.errors import RefusedError
from connectors.mysql.schema.alter_table import (
    VERSIONED,
    Defaults,
    applied,
    drops_primary_key,
    gets_versions,
    read_alter,
)  # fmt: skip
from connectors.mysql.schema.create_table import read_create
from connectors.mysql.schema.definitions import (
    Altered,
    Created,
    DatabaseDeclared,
    DatabaseDropped,
    Declared,
    Dropped,
    Modified,
    Renamed,
    RowsReplaced,
    SequenceCreated,
    SequenceDropped,
    TableChange,
    TableDefinition,
    Truncated,
    Unknown,
    with_key,
)  # fmt: skip
from connectors.mysql.schema.partitions import ITSELF
from connectors.mysql.schema.statement import Query
from connectors.mysql.schema.table_options import read_options
from connectors.mysql.schema.tokens import Cursor, Kind, Token, split, table_of, tokens_until
from streamjobs.changes.row_change import TableId

Change = TableChange | Declared
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
_OPTIONS: Final = (
    "DEFAULT", "CHARACTER", "CHAR", "CHARSET", "COLLATE", "COMMENT", "ENCRYPTION", "READ", "UPGRADE"
)  # fmt: skip
"""Words that may come next in an ALTER DATABASE without a name, which alters the session's database."""


@dataclass(frozen=True)
class Context:
    """What reading a statement depends on: the session, the dialect, the known tables and databases.

    `database_charsets` has the default of each known database. `passes_over` returns whether a table may
    exist although it is not known. `named` returns a table under the server's name for it. `is_sequence`:
    whether a name is that of a MariaDB sequence.
    """

    query: Query
    mariadb: bool
    lookup: Lookup
    database_charsets: Mapping[str, str]
    passes_over: Callable[[TableId], bool]
    named: Callable[[TableId], TableId]
    is_sequence: Callable[[TableId], bool]

    def charset_of(self, database: str) -> str:
        """Return the default character set of a new table; "" if not known."""
        return self.database_charsets.get(database, "")

    @property
    def session_charset(self) -> str:
        """The default character set of the session's database; "" if not known."""
        return self.query.database_charset or self.charset_of(self.query.database)

    def table(self, cursor: Cursor) -> TableId:
        """Read a table's name. Raises RefusedError."""
        return self.named(table_of(cursor, self.query.database))

    def database(self, name: str) -> str:
        """Return a database under the server's name for it."""
        return self.named(TableId(name, "")).database


def read_statement(context: Context) -> tuple[Change, ...]:
    """Return what a statement does to tables. Never raises: a statement that is not understood is `Unknown`.

    `Unknown` names its table if the statement can be read so far, so that no other table is affected.
    """
    query = context.query
    found, problem = tokens_until(
        query.sql,
        ansi_quotes=query.ansi_quotes,
        backslash_escapes=query.backslash_escapes,
        mariadb=context.mariadb,
    )
    cursor = Cursor(found)
    verb = cursor.next()
    try:
        changes = _read(verb.text.upper() if verb.kind is Kind.WORD else "", cursor, context, problem)
    except RefusedError as exc:
        return (Unknown(None, problem or exc.detail),)
    except IndexError:
        return (Unknown(None, problem or "the statement ends too early"),)
    return tuple(_failed(change, query.error) for change in changes) if query.error else changes


def _failed(change: Change, error: int) -> Change:
    """Return what a failed statement did: MariaDB logs a CREATE OR REPLACE that only dropped."""
    match change:
        case Created(table) | SequenceCreated(table):
            return Dropped(table)
        case Altered(table) | Renamed(table):
            return Unknown(table, f"it ended with error {error}, and what it did before is not known")
        case _:
            return change


def _read(verb: str, cursor: Cursor, context: Context, problem: str) -> tuple[Change, ...]:
    if verb == "SET" and cursor.skip_any("STATEMENT"):  # MariaDB: variables FOR another statement
        while not cursor.done and not cursor.skip_any("FOR"):
            cursor.next()
        return _read(cursor.next().text.upper(), cursor, context, problem)
    if verb in _HARMLESS:
        return ()
    match verb:
        case "CREATE" | "DROP" | "ALTER":
            return _object(verb, cursor, context, problem)
        case "RENAME":
            return _rename(cursor, context) if cursor.skip_any("TABLE", "TABLES") else ()
        case "TRUNCATE":
            cursor.skip_any("TABLE")
            return (Truncated(context.table(cursor)),)
        case _ if verb in _WRITES:
            return _modified(verb, cursor, context)
        case _:
            return (Unknown(None, problem or f"the statement {verb or cursor.peek().text!r} is not known"),)


def _object(verb: str, cursor: Cursor, context: Context, problem: str) -> tuple[Change, ...]:
    temporary = ignores = False
    replaces = cursor.skip("OR", "REPLACE")
    while not cursor.done and not cursor.peek().is_word(*_OBJECTS):
        if cursor.peek().is_word("AS", "SELECT", "BEGIN") or cursor.peek().is_mark("("):
            break
        word = cursor.next()
        temporary, ignores = temporary or word.is_word("TEMPORARY"), ignores or word.is_word("IGNORE")
    if cursor.skip_any("DATABASE", "SCHEMA"):
        return _database(verb, cursor, context)
    if context.mariadb and cursor.skip_any("SEQUENCE", "SEQUENCES"):
        return _sequence(verb, cursor, context, replaces=replaces)
    if verb == "DROP" and drops_primary_key(cursor):
        return _drop_primary_key(cursor, context)
    if not cursor.skip_any("TABLE", "TABLES"):
        if cursor.peek().is_word(*_OBJECTS):
            return ()
        return (Unknown(None, problem or f"{verb} of {cursor.peek().text!r}"),)
    if temporary:
        return ()
    return _on_table(_Table(verb, replaces=replaces, ignores=ignores, problem=problem), cursor, context)


@dataclass(frozen=True)
class _Table:
    """CREATE, DROP or ALTER of a table, up to TABLE; `problem`: why the rest cannot be read."""

    verb: str
    replaces: bool
    ignores: bool
    problem: str


def _on_table(head: _Table, cursor: Cursor, context: Context) -> tuple[Change, ...]:
    verb = head.verb
    cursor.skip("IF", "EXISTS")
    unless_there = cursor.skip("IF", "NOT", "EXISTS")
    if verb == "DROP":
        return tuple(
            Dropped(context.table(Cursor(part))) for part in split(cursor.rest) if not part[0].is_mark(";")
        )
    table = context.table(cursor)
    if gets_versions(cursor.rest):
        return (Unknown(table, VERSIONED),)
    if unless_there and (context.lookup(table) or context.passes_over(table)):
        return ()  # MySQL also logs it if it does nothing
    try:
        if head.problem:
            return (Unknown(table, head.problem),)
        if verb == "ALTER":
            return _alter(table, cursor, context, ignores=head.ignores)
        gone = (Dropped(table),) if head.replaces and context.lookup(table) else ()
        return (*gone, *_create(table, cursor, context))
    except RefusedError as exc:
        return (Unknown(table, exc.detail),)
    except IndexError:
        return (Unknown(table, "the statement ends too early"),)


def _database(verb: str, cursor: Cursor, context: Context) -> tuple[Change, ...]:
    unless_there = cursor.skip("IF", "NOT", "EXISTS")
    cursor.skip("IF", "EXISTS")
    if verb == "DROP":
        return (DatabaseDropped(context.database(cursor.name())),)
    name = context.query.database if cursor.peek().is_word(*_OPTIONS) else cursor.name()
    name = context.database(name)
    server = context.query.server_charset
    known = context.charset_of(name)
    try:
        options = read_options(cursor)
        charset = options.resolved(server if verb == "CREATE" else known, server)
    except RefusedError:
        charset = ""  # an unknown set: the charset of its tables' texts is not known
    return (DatabaseDeclared(name, charset, unless_there),)


def _sequence(verb: str, cursor: Cursor, context: Context, *, replaces: bool) -> tuple[Change, ...]:
    unless_there = cursor.skip("IF", "NOT", "EXISTS")
    cursor.skip("IF", "EXISTS")
    if verb == "DROP":
        return tuple(SequenceDropped(context.table(Cursor(part))) for part in split(cursor.rest))
    table = context.table(cursor)
    if verb == "ALTER":
        return ()
    gone = (Dropped(table),) if replaces and context.lookup(table) else ()
    return (*gone, SequenceCreated(table, unless_there))


def _create(table: TableId, cursor: Cursor, context: Context) -> tuple[Change, ...]:
    like = cursor.skip_any("LIKE")
    if not like and cursor.peek().is_mark("(") and cursor.peek(1).is_word("LIKE"):
        cursor.next()
        like = cursor.skip_any("LIKE")
    if like:
        pattern = context.table(cursor)
        if context.is_sequence(pattern):
            return (SequenceCreated(table),)
        source = context.lookup(pattern)
        return (Created(table, replace(source, table=table) if source else None),)
    default = context.charset_of(table.database)
    found = read_create(table, cursor, default, mariadb=context.mariadb)
    if found is None:
        return (Created(table, None),)
    if found.is_sequence:
        return (SequenceCreated(table),)
    return (Created(table, found.definition),)


def _alter(table: TableId, cursor: Cursor, context: Context, *, ignores: bool) -> tuple[Change, ...]:
    if cursor.skip_any("WAIT"):  # MariaDB: how long the statement may wait for locks
        cursor.next()
    cursor.skip_any("NOWAIT")
    unique = ignores and any(token.is_word("UNIQUE", "PRIMARY", "KEY") for token in cursor.rest)
    found = read_alter(cursor, context.query.database)
    if found.options.sequence is not None:
        return (Unknown(table, "a table that becomes a sequence, or a sequence that becomes a table"),)
    defaults = Defaults(context.charset_of(table.database), context.session_charset)
    definition, kinds = applied(found, context.lookup(table), defaults, mariadb=context.mariadb)
    changes: list[Change] = [Altered(table, definition, kinds)]
    changes += [RowsReplaced(table if one == ITSELF else context.named(one)) for one in found.rows_of]
    if unique:
        changes.append(RowsReplaced(table))
    if found.renamed is not None:
        changes = changes if kinds else changes[1:]
        changes.append(Renamed(table, context.named(found.renamed)))
    return tuple(changes)


def _drop_primary_key(cursor: Cursor, context: Context) -> tuple[TableChange, ...]:
    """Read the rest of DROP: INDEX `PRIMARY` ON t."""
    while not cursor.done and not cursor.skip_any("ON"):
        cursor.next()
    table = context.table(cursor)
    known = context.lookup(table)
    return (Altered(table, with_key(known, ()) if known else None, ("primary key",)),)


def _rename(cursor: Cursor, context: Context) -> tuple[TableChange, ...]:
    cursor.skip("IF", "EXISTS")
    changes = []
    for part in split(cursor.rest):
        pair = Cursor(part)
        source = context.table(pair)
        while not pair.done and not pair.skip_any("TO"):
            pair.next()
        changes.append(Renamed(source, context.table(pair)))
    return tuple(changes)


def _modified(verb: str, cursor: Cursor, context: Context) -> tuple[TableChange, ...]:
    """Return the table whose rows a statement changes, if that is clear."""
    while cursor.skip_any("LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "QUICK", "IGNORE", "INTO"):
        pass
    if verb in ("INSERT", "REPLACE"):
        return (Modified(context.table(cursor)),)
    if verb == "DELETE" and cursor.skip_any("FROM"):
        return (Modified(None if _names_more(cursor.rest) else context.table(cursor)),)
    if verb == "UPDATE":
        table = context.table(cursor)
        return (Modified(table if cursor.peek().is_word("SET") else None),)
    return (Modified(None),)


def _names_more(rest: Sequence[Token]) -> bool:
    """Return whether a DELETE FROM names several tables: `FROM t, u USING …`, `FROM t.* USING …`."""
    depth = 0
    for token in rest:
        if token.is_word("WHERE", "ORDER", "LIMIT", "RETURNING"):
            break
        depth += token.is_mark("(") - token.is_mark(")")  # PARTITION (p, q)
        if token.is_word("USING") or token.is_mark("*") or (token.is_mark(",") and not depth):
            return True
    return False
