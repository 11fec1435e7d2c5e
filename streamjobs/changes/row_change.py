"""The types of change data: table, column, schema, row change. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

from streamjobs.changes.position import Half, Position


class Absent(Enum):
    """The type of ABSENT: the column is not in this row image, which is not the same as NULL."""

    ABSENT = "ABSENT"

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT

Value = bytes | None | Absent
"""One column's value in its canonical wire form (`streamjobs.changes.wire_values`); None is SQL NULL."""

Row = tuple[Value, ...]
"""One row image: a value for each column of the schema, in column order."""


class ChangeKind(IntEnum):
    """What happened to the row. The numbers are those of the IDL."""

    INSERT = 1
    UPDATE = 2
    DELETE = 3
    SNAPSHOT = 4


class SqlType(IntEnum):
    """Logical column types of the wire. The numbers are those of the IDL and never change."""

    BOOLEAN = 1
    TINYINT = 2
    SMALLINT = 3
    INT = 4
    BIGINT = 5
    UNSIGNED_BIGINT = 6
    DECIMAL = 7
    FLOAT = 8
    DOUBLE = 9
    TEXT = 10
    BYTES = 11
    DATE = 12
    TIME = 13
    DATETIME = 14
    TIMESTAMP = 15
    YEAR = 16
    BIT = 17
    ENUM = 18
    SET = 19
    JSON = 20
    GEOMETRY = 21


@dataclass(frozen=True)
class TableId:
    """A table's full name. `str()` returns `database.table`."""

    database: str
    table: str

    def __str__(self) -> str:
        return f"{self.database}.{self.table}"


@dataclass(frozen=True)
class Column:
    """A column as the source declares it.

    `native_type` is the type as the source writes it (`varchar(32)`, `int(10) unsigned`); unsigned TINYINT,
    SMALLINT and INT are sent as the next wider signed type that holds them.
    """

    name: str
    type: SqlType
    native_type: str
    key: bool = False
    nullable: bool = True


@dataclass(frozen=True)
class TableSchema:
    """A table and its columns, shared by reference by all of its row changes."""

    table: TableId
    columns: tuple[Column, ...]

    @property
    def key_indexes(self) -> tuple[int, ...]:
        """Indexes of the primary key's columns; empty when the table has no primary key."""
        return tuple(i for i, column in enumerate(self.columns) if column.key)

    @property
    def identity_indexes(self) -> tuple[int, ...]:
        """Indexes of the columns that identify a row: the primary key's, or all if there is none."""
        return self.key_indexes or tuple(range(len(self.columns)))

    @property
    def names(self) -> tuple[str, ...]:
        """The column names in column order."""
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True)
class RowChange:
    """One change of one row of one table.

    None: `before` is None for INSERT and SNAPSHOT, `after` for DELETE. A change of the primary key is never
    an UPDATE: producers make a DELETE of the old key and an INSERT of the new one.
    `committed_at_ms` is the commit time in the source, UTC epoch milliseconds.
    """

    schema: TableSchema
    kind: ChangeKind
    before: Row | None
    after: Row | None
    position: Position
    committed_at_ms: int
    transaction_id: str = ""
    half: Half = Half.ONLY

    @property
    def seq(self) -> bytes:
        """The deterministic, byte-sortable sequence of this change within its source."""
        return self.position.seq(self.half)

    @property
    def image(self) -> Row:
        """Return the row after the change; for a DELETE, its last state."""
        row = self.before if self.kind is ChangeKind.DELETE else self.after
        if row is None:
            message = f"{self.kind.name} of {self.schema.table} at {self.position} has no row image"
            raise AssertionError(message)
        return row

    @classmethod
    def insert(cls, schema: TableSchema, after: Row, position: Position, committed_at_ms: int,
               transaction_id: str = "", half: Half = Half.ONLY) -> RowChange:  # fmt: skip
        """Return the change of a new row."""
        return cls(schema, ChangeKind.INSERT, None, after, position, committed_at_ms, transaction_id, half)

    @classmethod
    def snapshot(cls, schema: TableSchema, row: Row, position: Position, committed_at_ms: int) -> RowChange:
        """Return the change of a row that existed when the snapshot was taken."""
        return cls(schema, ChangeKind.SNAPSHOT, None, row, position, committed_at_ms, "", Half.SNAPSHOT)

    @classmethod
    def update(cls, schema: TableSchema, before: Row | None, after: Row, position: Position,
               committed_at_ms: int, transaction_id: str = "") -> RowChange:  # fmt: skip
        """Return the change of a row that kept its primary key."""
        return cls(schema, ChangeKind.UPDATE, before, after, position, committed_at_ms, transaction_id)

    @classmethod
    def delete(cls, schema: TableSchema, before: Row, position: Position, committed_at_ms: int,
               transaction_id: str = "", half: Half = Half.ONLY) -> RowChange:  # fmt: skip
        """Return the change of a deleted row."""
        return cls(schema, ChangeKind.DELETE, before, None, position, committed_at_ms, transaction_id, half)
