"""The wire's structs as plain classes, and the specs by which Thrift's C extension fills them.

They are the generated structs without the generated constructors, which cost half of the time to decode.
Strings are bytes here, because the extension silently replaces invalid UTF-8; validation decodes them
strictly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from streamjobs.changes.row_change import Column, TableSchema
from thrift_idl.gen.dbms_row_change import ttypes


class RowImage:
    """One row image; see the IDL.

    Shape: one value per column, in column order; `nulls` and `absents` are None or indexes of columns, at
    which `values` has a meaningless placeholder.
    """

    values: Sequence[bytes]
    nulls: Sequence[int] | None = None
    absents: Sequence[int] | None = None


class WireRowChange:
    """One changed row; `kind` is a number of ChangeKind and determines which images it has."""

    kind: int
    before: RowImage | None = None
    after: RowImage | None = None
    seq: bytes
    committed_at_ms: int
    transaction_id: bytes | str | None = None
    """Bytes of valid UTF-8 in a decoded body."""


class WireColumn:
    """A column on the wire."""

    name: bytes | str
    type: int
    native_type: bytes | str
    key: bool | None = None
    nullable: bool | None = None


class DBMSRowChange:
    """Changes of one table. In a decoded body the names are text and `columns` are `schema.columns`.

    `schema` is one shared object for all messages with the same table and columns (the last 256 are cached):
    results that depend on the columns may be cached by its identity.
    """

    database: str
    table: str
    columns: Sequence[Column]
    rows: Sequence[WireRowChange]
    schema: TableSchema


class BodyHeader:
    """The source of the changes and their time."""

    source: str
    time_ms: int
    event_time_column: str | None = None


class Body:
    """A header and the changes in source order; without changes it is a heartbeat."""

    header: BodyHeader
    changes: Sequence[DBMSRowChange]


_CLASSES: dict[type, type] = {
    ttypes.Body: Body,
    ttypes.Header: BodyHeader,
    ttypes.DBMSRowChange: DBMSRowChange,
    ttypes.Column: WireColumn,
    ttypes.RowChange: WireRowChange,
    ttypes.RowImage: RowImage,
}


def _arguments(value: Any) -> Any:
    """Return the type arguments of one field of a generated spec for these classes."""
    match value:
        case "UTF8":
            return "BINARY"
        case [generated, _]:
            return _type_arguments(generated)
        case (element, arguments, immutable):
            return (element, _arguments(arguments), immutable)
        case _:
            return value


def _type_arguments(generated: Any) -> list[Any]:
    spec = tuple(
        None if field is None else (*field[:3], _arguments(field[3]), *field[4:])
        for field in generated.thrift_spec
    )
    return [_CLASSES[generated], spec]


BODY_TYPE: list[Any] = _type_arguments(ttypes.Body)
"""The spec by which the C extension reads and writes a `Body` of these classes."""
TABLE_TYPE: list[Any] = _type_arguments(ttypes.DBMSRowChange)
"""The same for a `DBMSRowChange`."""
