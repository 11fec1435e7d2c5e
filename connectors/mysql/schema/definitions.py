"""Tables as the server declares them, and what statements do to them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from connectors.mysql.errors import RefusedError
from streamjobs.changes.row_change import TableId


@dataclass(frozen=True)
class ColumnDefinition:
    """A column as SHOW CREATE TABLE or information_schema tells it.

    `type` is the lower-case base type (`varchar`, `int`, `enum`, `uuid`), `native_type` the whole spelling
    (`varchar(32)`, `int(10) unsigned`). `length` is the number in parentheses of CHAR, VARCHAR, BINARY,
    VARBINARY, BIT and VECTOR, the fraction digits of times, the precision of DECIMAL; None: not there.
    `charset` is a name such as `utf8mb4`; "" for types without one. `labels` are those of ENUM and SET.
    """

    name: str
    type: str
    native_type: str
    length: int | None = None
    scale: int | None = None
    unsigned: bool = False
    charset: str = ""
    labels: tuple[str, ...] = ()
    nullable: bool = True
    compressed: bool = False
    json_valid: bool = False
    """MariaDB's JSON: LONGTEXT with CHECK (json_valid(column))."""
    generated: bool = False
    """Computed from others, stored or not: MariaDB 11.8 logs it with an INSERT alone."""
    lost_labels: tuple[int, ...] = ()
    """Numbers, from 1 on, of labels that may be others than those here: a catalogue could not spell them."""


@dataclass(frozen=True)
class TableDefinition:
    """A table's columns in order, also generated and invisible ones, and the names of its primary key's."""

    table: TableId
    columns: tuple[ColumnDefinition, ...]
    primary_key: tuple[str, ...] = ()
    charset: str = "utf8mb4"
    """Default of columns that are added without one."""


def with_key(definition: TableDefinition, key: tuple[str, ...]) -> TableDefinition:
    """A definition with a primary key: its columns by their declared names, none of them nullable.

    Raises: RefusedError when the key has a part that is no column.
    """
    folded = {name.lower() for name in key}
    columns = tuple(
        replace(column, nullable=False) if column.name.lower() in folded else column
        for column in definition.columns
    )
    by_name = {column.name.lower(): column.name for column in columns}
    if strange := [name for name in key if name.lower() not in by_name]:
        message = f"the primary key of {definition.table} has {strange[0]!r}, which is no column"
        raise RefusedError(message)
    names = tuple(by_name[name.lower()] for name in key)
    return replace(definition, columns=columns, primary_key=names)


@dataclass(frozen=True)
class Created:
    """A table came to be: CREATE TABLE, CREATE TABLE LIKE. `definition` is None when it could not be read."""

    table: TableId
    definition: TableDefinition | None


@dataclass(frozen=True)
class Altered:
    """A table's columns or key changed. `kinds` names what was done.

    Words of `kinds`: `add column`, `drop column`, `rename column`, `modify column`, `primary key`, `charset`;
    empty: only things that rows do not show (indexes, engine, comments). `definition` is None when none was
    known before.
    """

    table: TableId
    definition: TableDefinition | None
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Renamed:
    """A table has another name now."""

    table: TableId
    to: TableId


@dataclass(frozen=True)
class Dropped:
    """A table is gone."""

    table: TableId


@dataclass(frozen=True)
class Truncated:
    """All rows of a table are gone, without row events."""

    table: TableId


@dataclass(frozen=True)
class RowsReplaced:
    """Some rows of a table went or came, without row events: a partition was dropped or exchanged."""

    table: TableId


@dataclass(frozen=True)
class DatabaseDropped:
    """A database is gone with all its tables."""

    database: str


@dataclass(frozen=True)
class SequenceCreated:
    """A sequence of MariaDB came to be, whose numbers stand in the log like rows of a table.

    `unless_there`: not when something of its name is there.
    """

    table: TableId
    unless_there: bool = False


@dataclass(frozen=True)
class SequenceDropped:
    """A sequence is gone."""

    table: TableId


@dataclass(frozen=True)
class DatabaseDeclared:
    """A database has this default character set now, "" when it is not known. `unless_there` as above."""

    database: str
    charset: str
    unless_there: bool = False


@dataclass(frozen=True)
class Modified:
    """A statement changed rows without row events: binlog_format is not ROW. `table` None: not known."""

    table: TableId | None


@dataclass(frozen=True)
class Unknown:
    """A statement on a table that was not understood; `table` is None when not even that is known."""

    table: TableId | None
    reason: str


Declared = SequenceCreated | SequenceDropped | DatabaseDeclared
"""What a catalog follows, and nobody else: it is of no table."""
TableChange = (
    Created | Altered | Renamed | Dropped | Truncated | RowsReplaced | DatabaseDropped | Modified | Unknown
)
