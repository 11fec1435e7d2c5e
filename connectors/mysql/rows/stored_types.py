"""Converts between declared and stored columns."""

from __future__ import annotations

from typing import Final

from connectors.mysql.codec import charsets
from connectors.mysql.errors import RefusedError
from connectors.mysql.rows.column_codecs import Meaning
from connectors.mysql.rows.table_map import Stored, StoredColumn
from connectors.mysql.schema.definitions import ColumnDefinition

_SIMPLE: Final = {
    "tinyint": Stored.TINY, "smallint": Stored.SHORT, "mediumint": Stored.INT24, "int": Stored.LONG,
    "bigint": Stored.LONGLONG, "float": Stored.FLOAT, "double": Stored.DOUBLE, "date": Stored.DATE,
    "year": Stored.YEAR, "json": Stored.JSON, "vector": Stored.VECTOR,
}  # fmt: skip
_TIMES: Final = {"time": Stored.TIME2, "datetime": Stored.DATETIME2, "timestamp": Stored.TIMESTAMP2}
_BLOBS: Final = {
    "tinyblob": 1, "tinytext": 1, "blob": 2, "text": 2, "mediumblob": 3, "mediumtext": 3, "longblob": 4,
    "longtext": 4,
}  # fmt: skip
_GEOMETRIES: Final = (
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
    "geometrycollection",
)  # fmt: skip
_SPECIAL_BYTES: Final = {"uuid": 16, "inet4": 4, "inet6": 16}
_TEXT_NAMES: Final = {1: "tiny", 2: "", 3: "medium", 4: "long"}
_INTEGER_NAMES: Final = {
    Stored.TINY: "tinyint", Stored.SHORT: "smallint", Stored.INT24: "mediumint", Stored.LONG: "int",
    Stored.LONGLONG: "bigint",
}  # fmt: skip
_TIME_NAMES: Final = {
    Stored.TIME: "time", Stored.TIME2: "time", Stored.DATETIME: "datetime", Stored.DATETIME2: "datetime",
    Stored.TIMESTAMP: "timestamp", Stored.TIMESTAMP2: "timestamp",
}  # fmt: skip
_PLAIN_NAMES: Final = {
    Stored.FLOAT: "float", Stored.DOUBLE: "double", Stored.DATE: "date", Stored.NEWDATE: "date", Stored.YEAR:
    "year", Stored.JSON: "json",
}  # fmt: skip
_BLOB_KINDS: Final = frozenset(
    {Stored.BLOB, Stored.TINY_BLOB, Stored.MEDIUM_BLOB, Stored.LONG_BLOB, Stored.BLOB_COMPRESSED}
)


def stored_of(column: ColumnDefinition) -> StoredColumn:
    """Return how a current server stores a declared column. Raises RefusedError for an unknown type."""
    kind = column.type
    if kind in _SIMPLE:
        return StoredColumn(_SIMPLE[kind])
    if kind in _TIMES:
        return StoredColumn(_TIMES[kind], column.length or 0)
    if kind in _BLOBS:
        return StoredColumn(Stored.BLOB_COMPRESSED if column.compressed else Stored.BLOB, _BLOBS[kind])
    if kind in _GEOMETRIES or kind == "geomcollection":
        return StoredColumn(Stored.GEOMETRY, 4)
    if kind in _SPECIAL_BYTES:
        return StoredColumn(Stored.STRING, _SPECIAL_BYTES[kind])
    match kind:
        case "decimal":
            return StoredColumn(
                Stored.NEWDECIMAL, 10 if column.length is None else column.length, column.scale or 0
            )
        case "bit":
            return StoredColumn(Stored.BIT, column.length or 1)
        case "enum":
            return StoredColumn(Stored.ENUM, 1 if len(column.labels) < 256 else 2)
        case "set":
            size = (len(column.labels) + 7) // 8
            return StoredColumn(Stored.SET, size if size <= 4 else 8)
        case "char" | "binary":
            return StoredColumn(Stored.STRING, _bytes(column))
        case "varchar" | "varbinary":
            stored = Stored.VARCHAR_COMPRESSED if column.compressed else Stored.VARCHAR
            return StoredColumn(stored, _bytes(column))
        case _:
            message = f"column {column.name} is of type {column.native_type}, which is not known"
            raise RefusedError(message)


def _bytes(column: ColumnDefinition) -> int:
    length = 1 if column.length is None else column.length
    if column.type in ("binary", "varbinary") or not column.charset:
        return length
    return length * charsets.charset(column.charset).max_bytes


def native_type(column: StoredColumn, meaning: Meaning) -> str:
    """Return the type text of a stored column as MySQL 8 writes it, for a column without declaration."""
    kind, size = column.type, column.size
    sign = " unsigned" if meaning.unsigned and kind is not Stored.YEAR else ""
    binary = meaning.charset is None or meaning.charset.is_binary
    if kind in _INTEGER_NAMES:
        return _INTEGER_NAMES[kind] + sign
    if kind in _TIME_NAMES:
        return _TIME_NAMES[kind] + (f"({size})" if size else "")
    if kind in _PLAIN_NAMES:
        return _PLAIN_NAMES[kind] + sign
    if kind in _BLOB_KINDS:
        return _TEXT_NAMES.get(size, "") + ("blob" if binary else "text")
    match kind:
        case Stored.NEWDECIMAL:
            return f"decimal({size},{column.scale}){sign}"
        case Stored.BIT:
            return f"bit({size})"
        case Stored.ENUM | Stored.SET:
            quoted = ",".join("'" + label.replace("'", "''") + "'" for label in meaning.labels)
            return f"{kind.name.lower()}({quoted})"
        case Stored.GEOMETRY:
            number = column.geometry or 0
            return _GEOMETRIES[number] if number < len(_GEOMETRIES) else "geometry"
        case Stored.VECTOR:
            return f"vector({column.dimensions})" if column.dimensions else "vector"
        case Stored.STRING:
            return f"binary({size})" if binary else f"char({_characters(size, meaning)})"
        case _:
            if kind is Stored.VARCHAR_COMPRESSED:
                size -= 1  # the byte that marks compression
            return f"varbinary({size})" if binary else f"varchar({_characters(size, meaning)})"


def _characters(size: int, meaning: Meaning) -> int:
    return size // meaning.charset.max_bytes if meaning.charset else size
