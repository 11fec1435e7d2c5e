"""Table definitions, and the changes that statements make to tables."""

from __future__ import annotations

from dataclasses import dataclass, replace

from connectors.mysql.errors import RefusedError
from streamjobs.changes.row_change import TableId


@dataclass(frozen=True)
class ColumnDefinition:
    """A column as SHOW CREATE TABLE or information_schema shows it.

    `type` is the lower-case base type (`varchar`, `int`, `enum`, `uuid`), `native_type` the full type
    (`varchar(32)`, `int(10) unsigned`). `length` is the number in parentheses of CHAR, VARCHAR, BINARY,
    VARBINARY, BIT and VECTOR, the fraction digits of times, the precision of DECIMAL; None: absent.
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
    """Computed from others, stored or not: MariaDB 11.8 logs it only with an INSERT."""
    lost_labels: tuple[int, ...] = ()
    """Numbers, from 1 on, of labels that may be wrong here: the catalogue could not show them."""


@dataclass(frozen=True)
class TableDefinition:
    """A table's columns in order, with generated and invisible ones, and the names of the primary key's."""

    table: TableId
    columns: tuple[ColumnDefinition, ...]
    primary_key: tuple[str, ...] = ()
    charset: str = "utf8mb4"
    """Default character set of added columns that name none."""


def with_key(definition: TableDefinition, key: tuple[str, ...]) -> TableDefinition:
    """Return a definition with a primary key: its columns have their declared names and are not nullable.

    Raises: RefusedError when a part of the key is not a column.
    """
    folded = {name.lower() for name in key}
    columns = tuple(
        replace(column, nullable=False) if column.name.lower() in folded else column
        for column in definition.columns
    )
    by_name = {column.name.lower(): column.name for column in columns}
    if strange := [name for name in key if name.lower() not in by_name]:
        message = f"the primary key of {definition.table} has {strange[0]!r}, which is not a column"
        raise RefusedError(message)
    names = tuple(by_name[name.lower()] for name in key)
    return replace(definition, columns=columns, primary_key=names)


@dataclass(frozen=True)
class Created:
    """A table was created: CREATE TABLE, CREATE TABLE LIKE. `definition` is None if it could not be read."""

    table: TableId
    definition: TableDefinition | None


@dataclass(frozen=True)
class Altered:
    """A table's columns or key changed. `kinds` names the changes.

    Words of `kinds`: `add column`, `drop column`, `rename column`, `modify column`, `primary key`, `charset`;
    empty: only changes that rows do not show (indexes, engine, comments). `definition` is None if it was not
    known before.
    """

    table: TableId
    definition: TableDefinition | None
    kinds: tuple[str, ...]


@dataclass(frozen=True)
class Renamed:
    """A table was renamed."""

    table: TableId
    to: TableId


@dataclass(frozen=True)
class Dropped:
    """A table was dropped."""

    table: TableId


@dataclass(frozen=True)
class Truncated:
    """All rows of a table were removed without row events."""

    table: TableId


@dataclass(frozen=True)
class RowsReplaced:
    """Some rows of a table were removed or added without row events: a partition was dropped or exchanged."""

    table: TableId


@dataclass(frozen=True)
class DatabaseDropped:
    """A database was dropped with all its tables."""

    database: str


@dataclass(frozen=True)
class SequenceCreated:
    """A MariaDB sequence was created; the log shows its numbers like rows of a table.

    `unless_there`: not if something with its name exists.
    """

    table: TableId
    unless_there: bool = False


@dataclass(frozen=True)
class SequenceDropped:
    """A sequence was dropped."""

    table: TableId


@dataclass(frozen=True)
class DatabaseDeclared:
    """A database now has this default character set, "" if not known. `unless_there` as above."""

    database: str
    charset: str
    unless_there: bool = False


@dataclass(frozen=True)
class Modified:
    """A statement changed rows without row events: binlog_format is not ROW. `table` None: not known."""

    table: TableId | None


@dataclass(frozen=True)
class Unknown:
    """A statement on a table that was not understood; `table` is None if not even the table is known."""

    table: TableId | None
    reason: str


Declared = SequenceCreated | SequenceDropped | DatabaseDeclared
"""Changes that only a catalog uses: they are not about a table."""
TableChange = (
    Created | Altered | Renamed | Dropped | Truncated | RowsReplaced | DatabaseDropped | Modified | Unknown
)
