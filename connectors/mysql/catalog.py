"""The tables as they are at one place of the log: given once, then followed through its statements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from connectors.mysql.alter_sql import table_of
from connectors.mysql.changes import LogPlace
from connectors.mysql.column_sql import table_charset
from connectors.mysql.errors import RefusedError
from connectors.mysql.newcomers import Newcomers
from connectors.mysql.schema_sql import Context, read_statement
from connectors.mysql.sql_tokens import Cursor, split, tokens
from connectors.mysql.table_changes import (
    Altered,
    Created,
    DatabaseDropped,
    Dropped,
    Renamed,
    TableChange,
    TableDefinition,
    Unknown,
)  # fmt: skip
from connectors.mysql.transactions import Query
from streamjobs.errors import ConfigError
from streamjobs.rowchange import TableId

_OPTIONS = ("DEFAULT", "CHARACTER", "CHARSET", "COLLATE", "COMMENT", "ENCRYPTION", "READ", "UPGRADE")
"""What may come next in an ALTER DATABASE that names none: it is of the session's own."""


class Catalog:
    """Table definitions that follow DDL. Not thread-safe.

    `mariadb` says how JSON is declared. `database_charsets` gives the default character set of databases; of
    one that is not known, a table without a declared set has text that is read as bytes, unless the log
    tells its set. `sequences` are MariaDB's, whose numbers stand in the log like rows of a table. `newcomers`
    says which tables do not count yet.
    """

    def __init__(
        self, tables: Iterable[TableDefinition] = (), *, mariadb: bool = False,
        database_charsets: Mapping[str, str] | None = None, sequences: Iterable[TableId] = (),
    ) -> None:  # fmt: skip
        self.mariadb = mariadb
        self._sequences = set(sequences)
        self._tables = {definition.table: definition for definition in tables}
        self._charsets = dict(database_charsets or {})
        self.newcomers = Newcomers(self._tables)

    @classmethod
    def of_sql(cls, text: str, database: str, *, mariadb: bool = False) -> Catalog:
        """Read CREATE TABLE statements, as SHOW CREATE TABLE and dumps print them.

        `database` is that of unqualified names; USE and CREATE DATABASE count. Raises: ConfigError when a
        statement that defines a table is not understood.
        """
        catalog = cls(mariadb=mariadb)
        for statement in statements(text):
            cursor = Cursor(tokens(statement))
            if cursor.skip_any("USE"):
                database = cursor.name()
                continue
            if cursor.done:
                continue
            for change in catalog.apply(Query(database, statement)):
                if isinstance(change, Unknown):
                    message = f"the schema's statement {statement[:200]!r}: {change.reason}"
                    raise ConfigError(message)
        return catalog

    @property
    def tables(self) -> tuple[TableDefinition, ...]:
        """All definitions, to be stored beside a position and given to the next catalog."""
        return tuple(self._tables.values())

    @property
    def database_charsets(self) -> Mapping[str, str]:
        """The default character sets of the databases, to be stored too."""
        return dict(self._charsets)

    @property
    def sequences(self) -> frozenset[TableId]:
        """What looks like a table in the log and is none, to be stored too."""
        return frozenset(self._sequences)

    def is_sequence(self, table: TableId) -> bool:
        """Whether rows of this name in the log are the numbers of a sequence."""
        return table in self._sequences

    def table(self, table: TableId) -> TableDefinition | None:
        """The definition of a table now; None when it is not known."""
        return self._tables.get(table)

    def put(self, definition: TableDefinition) -> None:
        """Set the definition of a table, as read from the server."""
        self._tables[definition.table] = definition

    def arrive(self, place: LogPlace) -> list[TableDefinition]:
        """Say that the log is at `place`, between transactions; give the tables that count from now on."""
        definitions = self.newcomers.arrive(place)
        for definition in definitions:
            self.put(definition)
        return definitions

    def apply(self, query: Query) -> tuple[TableChange, ...]:
        """Follow a statement; give what it does to tables, nothing for other statements. Never raises."""
        self._follow_database(query)
        self._follow_sequence(query)
        context = Context(query, self.mariadb, self.table, self._charsets, self.newcomers.passes_over)
        changes = []
        for change in read_statement(context):
            if self.newcomers.counts(change):
                self._follow(change)
                changes.append(change)
        return tuple(changes)

    def _follow(self, change: TableChange) -> None:
        match change:
            case Created(table, None) | Altered(table, None) | Dropped(table):
                self._tables.pop(table, None)
            case Created(_, definition) | Altered(_, definition):
                if definition is not None:
                    self._tables[definition.table] = definition
            case Renamed(table, to):
                definition = self._tables.pop(table, None)
                if definition is not None:
                    self._tables[to] = replace(definition, table=to)
                if table in self._sequences:
                    self._sequences.remove(table)
                    self._sequences.add(to)
            case DatabaseDropped(database):
                self._sequences = {one for one in self._sequences if one.database != database}
                self._tables = {
                    table: definition
                    for table, definition in self._tables.items()
                    if table.database != database
                }
            case Unknown(table) if table is not None:
                self._tables.pop(table, None)
            case _:
                pass

    def _follow_sequence(self, query: Query) -> None:
        """Remember what CREATE SEQUENCE makes and DROP SEQUENCE takes away."""
        if not self.mariadb or query.verb[0] not in ("CREATE", "DROP"):
            return
        try:
            cursor = Cursor(tokens(query.sql, ansi_quotes=query.ansi_quotes))
            creates = cursor.next().is_word("CREATE")
            cursor.skip("OR", "REPLACE")
            if not cursor.skip_any("SEQUENCE", "SEQUENCES"):
                return
            cursor.skip("IF", "NOT", "EXISTS") or cursor.skip("IF", "EXISTS")
            for part in split(cursor.rest):
                table = table_of(Cursor(part), query.database)
                (self._sequences.add if creates else self._sequences.discard)(table)
        except RefusedError:
            return

    def _follow_database(self, query: Query) -> None:
        """Remember the character set that CREATE and ALTER DATABASE declare, or leave to the server."""
        if query.verb[0] not in ("CREATE", "ALTER"):
            return
        try:
            cursor = Cursor(tokens(query.sql, ansi_quotes=query.ansi_quotes))
            creates = cursor.next().is_word("CREATE")
            cursor.skip("OR", "REPLACE")
            if not cursor.skip_any("DATABASE", "SCHEMA"):
                return
            unless_there = cursor.skip("IF", "NOT", "EXISTS")
            name = query.database if cursor.peek().is_word(*_OPTIONS) else cursor.name()
            charset = table_charset(cursor.rest) or (query.server_charset if creates else "")
        except RefusedError:
            return
        if charset and not (unless_there and name in self._charsets):
            self._charsets[name] = charset


def statements(text: str) -> list[str]:
    """Split a file of SQL at the semicolons that stand in no quotes and comments."""
    found, start, at, quote = [], 0, 0, ""
    while at < len(text):
        character = text[at]
        if quote:
            if character == "\\" and quote != "`":
                at += 1
            elif character == quote:
                quote = ""
        elif character in "'\"`":
            quote = character
        elif text.startswith("/*", at):
            end = text.find("*/", at + 2)
            at = len(text) if end < 0 else end + 1
        elif character == "#" or text.startswith("-- ", at):
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        elif character == ";":
            found.append(text[start:at].strip())
            start = at + 1
        at += 1
    found.append(text[start:].strip())
    return [statement for statement in found if statement]
