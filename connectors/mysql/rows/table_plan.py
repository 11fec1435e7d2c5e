"""How to read a table's rows: combines the log's metadata and the known definition, once for each table."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from connectors.mysql.codec import charsets
from connectors.mysql.errors import BinlogError, RefusedError, SchemaMissingError
from connectors.mysql.rows.column_codecs import Codec, Meaning, codec_of
from connectors.mysql.rows.old_times import OLD_TIMES, cure_of, undefined_digits, with_digits
from connectors.mysql.rows.stored_types import native_type, stored_of
from connectors.mysql.rows.table_map import Stored, StoredColumn, TableMap
from connectors.mysql.schema.definitions import ColumnDefinition, TableDefinition
from connectors.mysql.schema.enum_labels import labels_in_log, lost_in_catalogue
from streamjobs.changes.row_change import Column, SqlType, TableSchema

_HASH: Final = re.compile(r"DB_ROW_HASH_\d+")
_MAY_BE_HASH: Final = (
    "; MariaDB adds a hidden column for each UNIQUE key of long columns (TEXT, BLOB); only FULL metadata "
    "shows which columns are hidden"
)
_SPECIAL: Final = frozenset({"uuid", "inet4", "inet6"})
_SIGNED: Final = {
    Stored.TINY: SqlType.TINYINT, Stored.SHORT: SqlType.SMALLINT, Stored.INT24: SqlType.INT,
    Stored.LONG: SqlType.INT, Stored.LONGLONG: SqlType.BIGINT,
}  # fmt: skip
_UNSIGNED: Final = {
    Stored.TINY: SqlType.SMALLINT, Stored.SHORT: SqlType.INT, Stored.INT24: SqlType.INT,
    Stored.LONG: SqlType.BIGINT, Stored.LONGLONG: SqlType.UNSIGNED_BIGINT,
}  # fmt: skip
_PLAIN: Final = {
    Stored.NEWDECIMAL: SqlType.DECIMAL, Stored.FLOAT: SqlType.FLOAT, Stored.DOUBLE: SqlType.DOUBLE,
    Stored.BIT: SqlType.BIT, Stored.DATE: SqlType.DATE, Stored.NEWDATE: SqlType.DATE, Stored.TIME:
    SqlType.TIME, Stored.TIME2: SqlType.TIME, Stored.DATETIME: SqlType.DATETIME, Stored.DATETIME2:
    SqlType.DATETIME, Stored.TIMESTAMP: SqlType.TIMESTAMP, Stored.TIMESTAMP2: SqlType.TIMESTAMP, Stored.YEAR:
    SqlType.YEAR, Stored.ENUM: SqlType.ENUM, Stored.SET: SqlType.SET, Stored.JSON: SqlType.JSON,
    Stored.GEOMETRY: SqlType.GEOMETRY, Stored.VECTOR: SqlType.BYTES,
}  # fmt: skip
_ALIKE: Final = {
    Stored.TIME2: Stored.TIME, Stored.DATETIME2: Stored.DATETIME, Stored.TIMESTAMP2: Stored.TIMESTAMP,
    Stored.NEWDATE: Stored.DATE, Stored.VAR_STRING: Stored.VARCHAR, Stored.TINY_BLOB: Stored.BLOB,
    Stored.MEDIUM_BLOB: Stored.BLOB, Stored.LONG_BLOB: Stored.BLOB,
}  # fmt: skip
"""Storage types of one declaration that depend on the server's age."""


@dataclass(frozen=True)
class TablePlan:
    """A table's schema and the codec of each of its stored columns, in order.

    The columns after those of the schema are the server's hidden ones: they are read, but are not in a row.
    """

    schema: TableSchema
    codecs: tuple[Codec, ...]
    json: tuple[bool, ...]
    """Which columns hold MySQL's binary JSON."""
    generated: frozenset[int] = frozenset()
    """Indexes of generated columns, which an image may leave out; see ColumnDefinition."""
    needs_definition: bool = False
    """Whether rows cannot be read without the definition although the log names all columns."""

    @property
    def width(self) -> int:
        """The number of columns in a row."""
        return len(self.schema.columns)


def plan_of(stored: TableMap, definition: TableDefinition | None, *, mariadb: bool) -> TablePlan:
    """Return the plan that combines the log and the definition.

    The log decides whatever it contains; the definition adds missing names, types and labels, and the text of
    types. A definition that does not fit is not used. Raises: SchemaMissingError when the log lacks something
    that no fitting definition has.
    """
    whole = with_digits(stored, definition) if mariadb else stored
    stored = _without_hashes(whole, definition)
    misfit = _misfit(stored, definition)
    known = None if misfit else definition
    if known is None:
        _refuse_without_definition(stored, misfit, mariadb=mariadb)
    declared = known.columns if known else (None,) * len(stored.columns)
    meanings = [
        _meaning(stored, column, declaration)
        for column, declaration in zip(stored.columns, declared, strict=True)
    ]
    key = _key(stored, known)
    columns = tuple(
        Column(
            column.name or (declaration.name if declaration else ""),
            sql_type(column.type, meaning, declaration),
            declaration.native_type if declaration else native_type(column, meaning),
            index in key,
            column.nullable,
        )
        for index, (column, meaning, declaration) in enumerate(
            zip(stored.columns, meanings, declared, strict=True)
        )
    )
    meanings += [Meaning(unsigned=True)] * (len(whole.columns) - len(stored.columns))
    codecs = tuple(
        codec_of(column.type, column.size, column.scale, replace(meaning, in_key=index in key))
        for index, (column, meaning) in enumerate(zip(whole.columns, meanings, strict=True))
    )
    json = tuple(column.type is Stored.JSON for column in whole.columns)
    generated = frozenset(index for index, column in enumerate(declared) if column and column.generated)
    needed = stored.complete and any(column.type in OLD_TIMES and column.size for column in stored.columns)
    return TablePlan(TableSchema(stored.table, columns), codecs, json, generated, needed)


def _refuse_without_definition(stored: TableMap, misfit: str, *, mariadb: bool) -> None:
    """Raise SchemaMissingError for a table that the log does not describe completely."""
    if not stored.complete:
        message = (
            f"the log does not name the columns of {stored.table}, and {misfit}. "
            "Give the schema, or SET GLOBAL binlog_row_metadata = 'FULL'"
        )
        raise SchemaMissingError(message)
    if mariadb and (names := undefined_digits(stored)):
        message = (
            f"{stored.table} stores {names} in the format of MariaDB 5.3 (mysql56_temporal_format = OFF), "
            f"for which the log does not have the number of fraction digits, and {misfit}. Give the schema; "
            f"or {cure_of(stored.table)}, then take a new snapshot"
        )
        raise SchemaMissingError(message)


def schema_of(definition: TableDefinition) -> TableSchema:
    """Return the schema of rows that are read by SELECT; it equals that of the log's rows."""
    return TableSchema(
        definition.table,
        tuple(
            Column(
                column.name,
                sql_type(stored_of(column).type, declared_meaning(column), column),
                column.native_type,
                column.name in definition.primary_key,
                column.nullable and column.name not in definition.primary_key,
            )
            for column in definition.columns
        ),
    )


def declared_meaning(column: ColumnDefinition) -> Meaning:
    """Return what a column's bytes mean by its declaration. Raises RefusedError for an unknown charset."""
    charset = _charset_named(column.charset) if column.charset else None
    special = column.type if column.type in _SPECIAL else ""
    return Meaning(column.unsigned, charset, column.labels, special, lost=lost_in_catalogue(column))


def sql_type(kind: Stored, meaning: Meaning, declaration: ColumnDefinition | None) -> SqlType:
    """Return the column's type on the wire."""
    if kind in _SIGNED:
        return (_UNSIGNED if meaning.unsigned else _SIGNED)[kind]
    if kind in _PLAIN:
        return _PLAIN[kind]
    if meaning.special:
        return SqlType.TEXT
    if meaning.charset is None or meaning.charset.is_binary:
        return SqlType.BYTES
    return SqlType.JSON if declaration is not None and declaration.json_valid else SqlType.TEXT


def _key(stored: TableMap, known: TableDefinition | None) -> frozenset[int]:
    if known is not None and not known.primary_key:
        return frozenset()  # the log names a UNIQUE key without NULLs; snapshots do not
    if stored.complete or known is None:
        return frozenset(stored.primary_key or ())
    return frozenset(index for index, column in enumerate(known.columns) if column.name in known.primary_key)


def _without_hashes(stored: TableMap, definition: TableDefinition | None) -> TableMap:
    """Return the declared columns: MariaDB adds a hash at the end for a UNIQUE key of long columns.

    Raises: SchemaMissingError when a column may be such a hash and no definition is known.
    """
    columns = stored.columns
    count = 0
    while count < len(columns) and _HASH.fullmatch(columns[len(columns) - 1 - count].name or ""):
        count += 1
    if not count:
        return stored
    if definition is None:
        message = (
            f"{columns[-count].name} of {stored.table} may be a column, or the server's hidden hash of a "
            "UNIQUE key, and the table's definition is not known. Give the schema"
        )
        raise SchemaMissingError(message)
    own = len(definition.columns)
    declared = {column.name for column in definition.columns}
    if len(columns) - count <= own < len(columns) and not declared & {one.name for one in columns[own:]}:
        return replace(stored, columns=columns[:own])
    return stored


def _misfit(stored: TableMap, definition: TableDefinition | None) -> str:
    """Return why a definition does not fit this table, "" if it fits."""
    if definition is None:
        return "its definition is not known"
    if len(definition.columns) != len(stored.columns):
        names = ", ".join(column.name for column in definition.columns)
        extra = stored.columns[len(definition.columns) :]
        hashes = extra and all(column.type is Stored.LONGLONG for column in extra)
        return (
            f"its definition has {len(definition.columns)} columns ({names}), the log {len(stored.columns)}"
            + (_MAY_BE_HASH if hashes else "")
        )
    for index, (column, declaration) in enumerate(zip(stored.columns, definition.columns, strict=True)):
        if column.name is not None and column.name != declaration.name:
            return f"column {index + 1} is {column.name} in the log and {declaration.name} in its definition"
        expected = stored_of(declaration)
        if _shape(column) != _shape(expected):
            return (
                f"column {declaration.name} is {declaration.native_type} in its definition, but the log "
                f"stores {column.type.name} of size {column.size}"
            )
    return ""


def _shape(column: StoredColumn) -> tuple[object, ...]:
    kind = _ALIKE.get(column.type, column.type)
    if kind in (Stored.NEWDECIMAL, Stored.BIT, Stored.ENUM, Stored.SET):
        return kind, column.size, column.scale
    if kind in OLD_TIMES:
        return kind, column.size
    return (kind,)


def _meaning(stored: TableMap, column: StoredColumn, declaration: ColumnDefinition | None) -> Meaning:
    declared = declared_meaning(declaration) if declaration else Meaning()
    unsigned = declared.unsigned if column.unsigned is None else column.unsigned
    charset = declared.charset
    if column.collation is not None:
        charset = _charset_numbered(stored, column.collation)
    if column.labels is None:
        return replace(declared, unsigned=unsigned, charset=charset)
    if charset is None:
        message = f"{stored.table}.{column.name}: labels without their character set"
        raise BinlogError(message)
    labels, lost = labels_in_log(column.labels, charset)
    return Meaning(unsigned, charset, labels, declared.special, lost=lost)


def _charset_numbered(stored: TableMap, collation: int) -> charsets.Charset:
    try:
        return charsets.of_collation(collation)
    except KeyError as exc:
        message = f"{stored.table} has a column of collation {collation}, which is not known"
        raise RefusedError(message) from exc


def _charset_named(name: str) -> charsets.Charset:
    try:
        return charsets.charset(name)
    except KeyError as exc:
        message = f"the character set {name!r} is not known"
        raise RefusedError(message) from exc
