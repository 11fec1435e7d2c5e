"""The schema history: table definitions at one log position, then updated by the log's statements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from connectors.mysql.position import LogPosition
from connectors.mysql.schema.ddl import Change, Context, read_statement
from connectors.mysql.schema.definitions import (
    Altered,
    ColumnDefinition,
    Created,
    DatabaseDeclared,
    DatabaseDropped,
    Dropped,
    Renamed,
    RowsReplaced,
    SequenceCreated,
    SequenceDropped,
    TableChange,
    TableDefinition,
    Truncated,
    Unknown,
)  # fmt: skip
from connectors.mysql.schema.enum_labels import doubtful_labels
from connectors.mysql.schema.pending_tables import PendingTables
from connectors.mysql.schema.statement import Query
from connectors.mysql.schema.tokens import Cursor, tokens
from connectors.mysql.server.table_names import ServerNames
from streamjobs.changes.row_change import TableId
from streamjobs.errors import ConfigError


class Catalog:
    """Table definitions that follow DDL. Not thread-safe.

    `mariadb` decides how JSON is declared. `database_charsets` has the default character set of databases.
    If it is not known, the text of a table without a declared set is read as bytes, unless the log contains
    its set. `sequences` are MariaDB's; the log shows their numbers like rows of a table. `names` is how the
    server compares names. `pending_tables` decides which tables do not count yet. The log has rows of the
    tables in `unnamed` without column names. It has rows of those in `needed` with names, but they cannot
    be read without the definition.
    """

    def __init__(
        self, tables: Iterable[TableDefinition] = (), *, mariadb: bool = False,
        database_charsets: Mapping[str, str] | None = None, sequences: Iterable[TableId] = (),
        names: ServerNames = ServerNames.AS_SPELLED,
    ) -> None:  # fmt: skip
        self.mariadb = mariadb
        self.names = names
        self._sequences = set(sequences)
        self._tables = {definition.table: definition for definition in tables}
        self._charsets = dict(database_charsets or {})
        self.pending_tables = PendingTables(self._tables)
        self.needed: set[TableId] = set()
        self.unnamed: set[TableId] = set()

    @classmethod
    def of_sql(
        cls,
        text: str,
        database: str,
        *,
        mariadb: bool = False,
        names: ServerNames = ServerNames.AS_SPELLED,
    ) -> Catalog:
        """Return the catalog of CREATE TABLE statements, as SHOW CREATE TABLE and dumps print them.

        `database` is that of unqualified names; USE and CREATE DATABASE count. Raises: ConfigError when a
        statement that defines a table is not understood.
        """
        catalog = cls(mariadb=mariadb, names=names)
        for statement in statements(text):
            cursor = Cursor(tokens(statement, mariadb=mariadb))
            if cursor.skip_any("USE"):
                database = cursor.name()
                continue
            if cursor.done:
                continue
            for change in catalog.apply(Query(database, statement)):
                if isinstance(change, Unknown):
                    message = f"the schema's statement {statement[:200]!r}: {change.reason}"
                    raise ConfigError(message)
        for definition in catalog.tables:
            catalog.put(replace(definition, columns=tuple(map(_as_shown, definition.columns))))
        return catalog

    @property
    def tables(self) -> tuple[TableDefinition, ...]:
        """All definitions, to be stored with a position and passed to the next catalog."""
        return tuple(self._tables.values())

    @property
    def database_charsets(self) -> Mapping[str, str]:
        """The default character sets of the databases, to be stored with them."""
        return dict(self._charsets)

    @property
    def sequences(self) -> frozenset[TableId]:
        """The sequences, which look like tables in the log, to be stored with them."""
        return frozenset(self._sequences)

    def is_sequence(self, table: TableId) -> bool:
        """Return whether rows of this name in the log are the numbers of a sequence."""
        return table in self._sequences

    def is_table(self, table: TableId) -> None:
        """Record that the log has rows of a table under this name, not numbers of a sequence."""
        self._sequences.discard(table)

    def table(self, table: TableId) -> TableDefinition | None:
        """Return the current definition of a table; None if it is not known."""
        return self._tables.get(table)

    def put(self, definition: TableDefinition) -> None:
        """Set the definition of a table, as read from the server."""
        self._sequences.discard(definition.table)
        self._tables[definition.table] = definition

    def stop(self, table: TableId) -> None:
        """Forget a table whose definition went wrong, and skip it until it is expected."""
        self._forget(table)
        self.pending_tables.stop(table)

    def arrive(self, place: LogPosition) -> list[TableDefinition]:
        """Advance to `place`, a position between transactions; return the tables that count from now on."""
        definitions = self.pending_tables.arrive(place)
        for definition in definitions:
            self.put(definition)
        return definitions

    def apply(self, query: Query) -> tuple[TableChange, ...]:
        """Apply a statement; return what it does to tables, empty for other statements. Never raises."""
        context = Context(
            query,
            self.mariadb,
            self.table,
            self._charsets,
            self._passes_over,
            lambda table: self.names.known(table, self._tables),
            self.is_sequence,
        )
        changes = []
        for change in read_statement(context):
            if isinstance(change, SequenceCreated | SequenceDropped | DatabaseDeclared):
                self._declare(change)
            elif self._is_of_a_sequence(change):
                self._follow_sequence(change)
            elif self.pending_tables.counts(change):
                self._follow(change)
                changes.append(change)
        return tuple(changes)

    def _passes_over(self, table: TableId) -> bool:
        return table in self._sequences or self.pending_tables.passes_over(table)

    def _declare(self, change: SequenceCreated | SequenceDropped | DatabaseDeclared) -> None:
        match change:
            case SequenceCreated(table, unless_there):
                if not (unless_there and table in self._tables):
                    self._tables.pop(table, None)
                    self._sequences.add(table)
            case SequenceDropped(table):
                self._sequences.discard(table)
            case DatabaseDeclared(database, charset, unless_there):
                if unless_there and database in self._charsets:
                    return
                self._charsets.pop(database, None)
                if charset:
                    self._charsets[database] = charset

    def _is_of_a_sequence(self, change: TableChange) -> bool:
        """Return whether a statement for tables is used on a sequence, which the server allows."""
        match change:
            case (
                Dropped(table)
                | Altered(table)
                | Renamed(table)
                | Truncated(table)
                | RowsReplaced(table)
                | Unknown(table)
            ):
                return table in self._sequences
            case _:
                return False

    def _follow_sequence(self, change: Change) -> None:
        match change:
            case Dropped(table) | Unknown(table) if table is not None:
                self._sequences.discard(table)
            case Renamed(table, to):
                self._sequences.discard(table)
                self._forget(to)
                self._sequences.add(to)
            case _:
                pass

    def _follow(self, change: TableChange) -> None:
        """Apply a change; a new table or sequence replaces the old one with its name."""
        match change:
            case Created(table, None) | Altered(table, None) | Dropped(table):
                self._forget(table)
            case Created(_, definition) | Altered(_, definition):
                if definition is not None:
                    self.put(definition)
            case Renamed(table, to):
                definition = self._tables.get(table)
                self._forget(table)
                self._forget(to)
                if definition is not None:
                    self._tables[to] = replace(definition, table=to)
            case DatabaseDropped(database):
                self._charsets.pop(database, None)
                self._sequences = {one for one in self._sequences if one.database != database}
                self._tables = {
                    table: definition
                    for table, definition in self._tables.items()
                    if table.database != database
                }
            case Unknown(table) if table is not None:
                self._forget(table)
            case _:
                pass

    def _forget(self, table: TableId) -> None:
        self._tables.pop(table, None)
        self._sequences.discard(table)


def _as_shown(column: ColumnDefinition) -> ColumnDefinition:
    """Return a column as SHOW CREATE TABLE prints it: some labels may be wrong."""
    lost = doubtful_labels(column.labels, column.charset) if column.labels else ()
    return replace(column, lost_labels=lost)


def statements(text: str) -> list[str]:
    """Split a file of SQL at the semicolons outside quotes and comments."""
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
