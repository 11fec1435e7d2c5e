"""TABLE_MAP events: the table of the following row events, and the log's metadata of its columns.

Source: https://dev.mysql.com/doc/dev/mysql-server/latest/classbinary__log_1_1Table__map__event.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final, TypeVar

from connectors.mysql.codec.packet import PackedReader, bits, bits_high_first
from connectors.mysql.errors import BinlogError, RefusedError
from streamjobs.changes.row_change import TableId


class Stored(IntEnum):
    """The servers' type numbers: how row events store a column's values."""

    TINY = 1
    SHORT = 2
    LONG = 3
    FLOAT = 4
    DOUBLE = 5
    NULL = 6
    TIMESTAMP = 7
    LONGLONG = 8
    INT24 = 9
    DATE = 10
    TIME = 11
    DATETIME = 12
    YEAR = 13
    NEWDATE = 14
    VARCHAR = 15
    BIT = 16
    TIMESTAMP2 = 17
    DATETIME2 = 18
    TIME2 = 19
    TYPED_ARRAY = 20
    BLOB_COMPRESSED = 140
    VARCHAR_COMPRESSED = 141
    VECTOR = 242
    JSON = 245
    NEWDECIMAL = 246
    ENUM = 247
    SET = 248
    TINY_BLOB = 249
    MEDIUM_BLOB = 250
    LONG_BLOB = 251
    BLOB = 252
    VAR_STRING = 253
    STRING = 254
    GEOMETRY = 255


_ONE_BYTE = frozenset(
    {
        Stored.FLOAT, Stored.DOUBLE, Stored.TIMESTAMP2, Stored.DATETIME2, Stored.TIME2, Stored.JSON,
        Stored.GEOMETRY, Stored.VECTOR, Stored.BLOB, Stored.TINY_BLOB, Stored.MEDIUM_BLOB, Stored.LONG_BLOB,
        Stored.BLOB_COMPRESSED,
    }
)  # fmt: skip
_TWO_BYTES = frozenset(
    {
        Stored.VARCHAR, Stored.VAR_STRING, Stored.VARCHAR_COMPRESSED, Stored.BIT, Stored.NEWDECIMAL,
        Stored.STRING, Stored.ENUM, Stored.SET,
    }
)  # fmt: skip
_INTEGERS = frozenset({Stored.TINY, Stored.SHORT, Stored.INT24, Stored.LONG, Stored.LONGLONG})
NUMERIC: Final = frozenset(
    {
        Stored.TINY, Stored.SHORT, Stored.INT24, Stored.LONG, Stored.LONGLONG, Stored.NEWDECIMAL,
        Stored.FLOAT, Stored.DOUBLE, Stored.YEAR,
    }
)  # fmt: skip
CHARACTER: Final = frozenset(
    {
        Stored.STRING, Stored.VAR_STRING, Stored.VARCHAR, Stored.BLOB, Stored.BLOB_COMPRESSED,
        Stored.VARCHAR_COMPRESSED, Stored.TINY_BLOB, Stored.MEDIUM_BLOB, Stored.LONG_BLOB,
        Stored.VECTOR,
    }
)  # fmt: skip
_MARIADB_CHARACTER = CHARACTER | {Stored.GEOMETRY}
_LABELLED = frozenset({Stored.ENUM, Stored.SET})
_T = TypeVar("_T")


@dataclass(frozen=True)
class StoredColumn:
    """A column as a TABLE_MAP describes it. None: not in the log.

    `size`: bytes of CHAR and VARCHAR and of ENUM and SET values, length bytes of BLOBs, precision of DECIMAL,
    bits of BIT, fraction digits of times. `collation` is a number; 63 is binary. `labels` are undecoded.
    """

    type: Stored
    size: int = 0
    scale: int = 0
    nullable: bool = True
    name: str | None = None
    unsigned: bool | None = None
    collation: int | None = None
    labels: tuple[bytes, ...] | None = None
    geometry: int | None = None
    dimensions: int | None = None


@dataclass(frozen=True)
class TableMap:
    """One TABLE_MAP. `primary_key` has column indexes; None: not in the log."""

    table_id: int
    table: TableId
    columns: tuple[StoredColumn, ...]
    primary_key: tuple[int, ...] | None = None

    @property
    def complete(self) -> bool:
        """Return whether the log alone names and decodes the columns (row metadata FULL)."""
        return all(column.name is not None for column in self.columns)

    @property
    def may_be_sequence(self) -> bool:
        """Return whether its columns are those of a MariaDB sequence in the log."""
        kinds = [column.type for column in self.columns]
        return len(kinds) == 8 and kinds[6] is Stored.TINY and all(kind in _INTEGERS for kind in kinds)


@dataclass
class _Metadata:
    """The optional fields, each as a list over the columns to which it applies."""

    character: frozenset[Stored]
    signedness: bytes | None = None
    names: tuple[str, ...] | None = None
    collations: dict[frozenset[Stored], list[int]] = field(default_factory=dict)
    labels: dict[Stored, list[tuple[bytes, ...]]] = field(default_factory=dict)
    geometries: list[int] | None = None
    dimensions: list[int] | None = None
    primary_key: tuple[int, ...] | None = None


def table_id_of(body: bytes, width: int) -> int:
    """Read the table id at the start of a TABLE_MAP or row event."""
    return int.from_bytes(body[:width], "little")


def read_table_name(body: bytes, width: int) -> TableId:
    """Read only the table's name: enough for tables that are not wanted. Raises BinlogError."""
    reader = PackedReader(body, width + 2)
    return TableId(reader.name(), reader.name())


def read_table_map(body: bytes, width: int, *, mariadb: bool) -> TableMap:
    """Read a complete TABLE_MAP; `width` is the length of table ids. Raises BinlogError and RefusedError.

    The dialects differ: MariaDB also has a collation for geometries.
    """
    reader = PackedReader(body, width + 2)
    table = TableId(reader.name(), reader.name())
    count = reader.length()
    if not 0 < count <= 4096:
        message = f"a TABLE_MAP of {table} with {count} columns"
        raise BinlogError(message)
    types = reader.take(count)
    meta = PackedReader(reader.counted())
    columns = [_stored(number, meta, table, index) for index, number in enumerate(types)]
    nullable = bits(reader.take((count + 7) // 8), count)
    columns = [replace(column, nullable=null) for column, null in zip(columns, nullable, strict=True)]
    found = _metadata(reader, columns, _MARIADB_CHARACTER if mariadb else CHARACTER)
    return TableMap(table_id_of(body, width), table, _with_metadata(columns, found), found.primary_key)


def _stored(number: int, meta: PackedReader, table: TableId, index: int) -> StoredColumn:
    try:
        kind = Stored(number)
    except ValueError as exc:
        message = f"column {index + 1} of {table} has storage type {number}, which is not known"
        raise RefusedError(message) from exc
    if kind in _ONE_BYTE:
        return StoredColumn(kind, meta.integer(1))
    if kind not in _TWO_BYTES:
        return StoredColumn(kind)
    first, second = meta.take(2)
    match kind:
        case Stored.STRING | Stored.ENUM | Stored.SET:
            return _string(first, second)
        case Stored.NEWDECIMAL:
            return StoredColumn(kind, first, second)
        case Stored.BIT:
            return StoredColumn(kind, first + 8 * second)
        case _:
            return StoredColumn(kind, first | second << 8)


def _string(first: int, second: int) -> StoredColumn:
    """Return a CHAR, ENUM or SET column: two bits of the length are in the type."""
    if first & 0x30 != 0x30:
        return StoredColumn(Stored(first | 0x30), second | ((first & 0x30) ^ 0x30) << 4)
    return StoredColumn(Stored(first) if first in (247, 248) else Stored.STRING, second)


def _metadata(reader: PackedReader, columns: list[StoredColumn], character: frozenset[Stored]) -> _Metadata:
    found = _Metadata(character)
    while reader.left:
        kind = reader.integer(1)
        data = reader.counted()
        _read_field(kind, data, columns, found)
    return found


def _read_field(kind: int, data: bytes, columns: list[StoredColumn], found: _Metadata) -> None:
    field_reader = PackedReader(data)
    match kind:
        case 1:
            found.signedness = data
        case 2 | 10:
            kinds = found.character if kind == 2 else _LABELLED
            found.collations[kinds] = _default_collations(field_reader, columns, kinds)
        case 3 | 11:
            found.collations[found.character if kind == 3 else _LABELLED] = _lengths(field_reader)
        case 4:
            found.names = _names(field_reader)
        case 5 | 6:
            found.labels[Stored.SET if kind == 5 else Stored.ENUM] = _label_lists(field_reader)
        case 7:
            found.geometries = _lengths(field_reader)
        case 8:
            found.primary_key = tuple(_lengths(field_reader))
        case 9:
            found.primary_key = tuple(_lengths(field_reader)[::2])  # column, length of its prefix, …
        case 13:
            found.dimensions = _lengths(field_reader)
        case _:
            pass  # visibility (12), and later additions: rows do not depend on them


def _lengths(reader: PackedReader) -> list[int]:
    numbers = []
    while reader.left:
        numbers.append(reader.length())
    return numbers


def _names(reader: PackedReader) -> tuple[str, ...]:
    names = []
    while reader.left:
        data = reader.counted()
        try:
            names.append(data.decode())
        except UnicodeDecodeError as exc:
            message = f"the column name {data!r} is not UTF-8"
            raise BinlogError(message) from exc
    return tuple(names)


def _label_lists(reader: PackedReader) -> list[tuple[bytes, ...]]:
    lists = []
    while reader.left:
        lists.append(tuple(reader.counted() for _ in range(reader.length())))
    return lists


def _default_collations(
    reader: PackedReader, columns: list[StoredColumn], kinds: frozenset[Stored]
) -> list[int]:
    """Read one collation for all columns of these kinds, then pairs for those that differ."""
    count = sum(column.type in kinds for column in columns)
    collations = [reader.length()] * count
    while reader.left:
        index, collation = reader.length(), reader.length()
        if index >= count:
            message = f"a collation for column {index + 1} of {count} columns of text"
            raise BinlogError(message)
        collations[index] = collation
    return collations


def _with_metadata(columns: list[StoredColumn], found: _Metadata) -> tuple[StoredColumn, ...]:
    """Return the columns with the items of the lists that apply to them."""
    signed = _handed_out(columns, NUMERIC, _signs(found.signedness, columns))
    collations: dict[int, int] = {}
    for kinds, numbers in found.collations.items():
        collations |= _handed_out(columns, kinds, numbers)
    labels: dict[int, tuple[bytes, ...]] = {}
    for kind, lists in found.labels.items():
        labels |= _handed_out(columns, frozenset({kind}), lists)
    geometries = _handed_out(columns, frozenset({Stored.GEOMETRY}), found.geometries)
    dimensions = _handed_out(columns, frozenset({Stored.VECTOR}), found.dimensions)
    names = _handed_out(columns, frozenset(Stored), found.names)
    if found.primary_key and max(found.primary_key) >= len(columns):
        message = f"a primary key of columns {found.primary_key} in a table of {len(columns)}"
        raise BinlogError(message)
    return tuple(
        replace(
            column,
            name=names.get(index),
            unsigned=signed.get(index),
            collation=collations.get(index),
            labels=labels.get(index),
            geometry=geometries.get(index),
            dimensions=dimensions.get(index),
        )
        for index, column in enumerate(columns)
    )


def _signs(signedness: bytes | None, columns: list[StoredColumn]) -> tuple[bool, ...] | None:
    if signedness is None:
        return None
    count = sum(column.type in NUMERIC for column in columns)
    if len(signedness) != (count + 7) // 8:
        message = f"{len(signedness)} bytes of signs for {count} numeric columns"
        raise BinlogError(message)
    return bits_high_first(signedness, count)


def _handed_out(
    columns: list[StoredColumn], kinds: frozenset[Stored], items: Sequence[_T] | None
) -> dict[int, _T]:
    """Return column index -> item: one for each column of these kinds. Raises BinlogError."""
    indexes = [index for index, column in enumerate(columns) if column.type in kinds]
    if items is None:
        return {}
    if len(items) != len(indexes):
        names = ", ".join(sorted(kind.name for kind in kinds))
        message = f"metadata for {len(items)} columns of {len(indexes)} ({names})"
        raise BinlogError(message)
    return dict(zip(indexes, items, strict=True))
