"""Checks that the C extension does not make: required fields, enums, text, lengths, indexes, layouts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, cast

from streamjobs.changes.position import SEQ_BYTES, Half
from streamjobs.changes.row_change import ChangeKind, Column, SqlType, TableId, TableSchema
from streamjobs.errors import DecodeError
from thrift_idl import bounds, reasons
from thrift_idl.structs import Body, DBMSRowChange, RowImage, WireColumn

EVENT_TIME_TYPES = frozenset({SqlType.BIGINT, SqlType.DATETIME, SqlType.TIMESTAMP})
"""Types of a column that can hold the event time."""
_KINDS = frozenset(ChangeKind)
_ONLY_AFTER = frozenset({ChangeKind.INSERT, ChangeKind.SNAPSHOT})
_HALVES = frozenset(Half)
_SEQ_LENGTHS = frozenset({SEQ_BYTES})


def validate(body: Body) -> None:
    """Check a body that the C extension has built, and turn its names into text, in place.

    Raises: DecodeError; AttributeError if a required field is missing.
    """
    header = body.header
    header.source = text(header.source)
    if header.time_ms < 0:
        raise DecodeError(reasons.TIME, f"time_ms is {header.time_ms}")
    if header.event_time_column is not None:
        header.event_time_column = text(header.event_time_column)
    for change in body.changes:
        columns = cast("Sequence[WireColumn]", change.columns)
        schema = _schema(
            cast("bytes", change.database),
            cast("bytes", change.table),
            tuple([(c.name, c.type, c.native_type, c.key, c.nullable) for c in columns]),
        )
        change.schema = schema
        change.database, change.table = schema.table.database, schema.table.table
        change.columns = schema.columns
        if header.event_time_column is not None:
            _check_event_time(header.event_time_column, schema)
        if change.rows:
            _validate_rows(change)


def _validate_rows(change: DBMSRowChange) -> None:
    """Check all rows of one table, column-wise so that C does the work."""
    rows = change.rows
    kinds = {row.kind for row in rows}
    if not kinds <= _KINDS:
        raise DecodeError(reasons.ENUM, f"{change.schema.table}: unknown ChangeKind {min(kinds - _KINDS)}")
    seqs = [row.seq for row in rows]
    if set(map(len, seqs)) != _SEQ_LENGTHS or not _HALVES.issuperset(
        b"".join(seqs)[SEQ_BYTES - 1 :: SEQ_BYTES]
    ):
        raise DecodeError(reasons.SEQ, f"{change.schema.table}: a seq that is not of the IDL's layout")
    [row.committed_at_ms for row in rows]  # AttributeError when one is missing
    transactions = [row.transaction_id for row in rows if row.transaction_id is not None]
    if transactions:
        text(b"\n".join(cast("list[bytes]", transactions)))
    images: Sequence[RowImage | None] = [row.after for row in rows]
    if not kinds <= _ONLY_AFTER:
        images = _images(change)
    _validate_images(change, cast("list[RowImage]", images))


def _images(change: DBMSRowChange) -> list[RowImage | None]:
    """Return the images that count: those that a kind must not have are ignored."""
    images = []
    for row in change.rows:
        if row.kind == ChangeKind.DELETE:
            images.append(row.before)
        else:
            images.append(row.after)
            if row.kind == ChangeKind.UPDATE and row.before is not None:
                images.append(row.before)
    return images


def _validate_images(change: DBMSRowChange, images: list[RowImage]) -> None:
    if None in images:
        raise DecodeError(
            reasons.IMAGE, f"{change.schema.table}: a row without the image that its kind needs"
        )
    width = len(change.columns)
    if set(map(len, [image.values for image in images])) != {width}:
        raise DecodeError(reasons.VALUES_LENGTH, f"{change.schema.table}: an image without {width} values")
    nulls = [image.nulls for image in images if image.nulls]
    absents = [image.absents for image in images if image.absents]
    for indexes in {*map(tuple, nulls), *map(tuple, absents)}:
        ascending = all(a < b for a, b in pairwise(indexes))
        if not ascending or indexes[0] < 0 or indexes[-1] >= width:
            raise DecodeError(
                reasons.VALUES_LENGTH, f"{change.schema.table}: indexes {indexes[:9]} of {width} columns"
            )
    if nulls and absents:
        for image in images:
            if not set(image.nulls or ()).isdisjoint(image.absents or ()):
                raise DecodeError(
                    reasons.VALUES_LENGTH, f"{change.schema.table}: a value both NULL and absent"
                )


@lru_cache(maxsize=256)
def _schema(database: bytes, table: bytes, columns: tuple[tuple[Any, ...], ...]) -> TableSchema:
    """Check a table's columns and return the shared object for them."""
    place = TableId(text(database), text(table))
    if not 0 < len(columns) <= bounds.MAX_COLUMNS:
        raise DecodeError(reasons.COLUMNS, f"{place} has {len(columns)} columns; 1 to {bounds.MAX_COLUMNS}")
    size = len(database) + len(table) + sum(len(name) + len(native) for name, _, native, _, _ in columns)
    if size > bounds.MAX_SCHEMA_BYTES:
        raise DecodeError(
            reasons.COLUMNS, f"{place}: names and types have {size} bytes; at most {bounds.MAX_SCHEMA_BYTES}"
        )
    if len({name for name, *_ in columns}) != len(columns):
        raise DecodeError(reasons.COLUMNS, f"{place}: two columns have the same name")
    try:
        types = [SqlType(type_) for _, type_, *_ in columns]
    except ValueError as exc:
        raise DecodeError(reasons.ENUM, f"{place}: {exc}") from exc
    return TableSchema(
        place,
        tuple(
            Column(text(name), type_, text(native), bool(key), nullable is not False)
            for (name, _, native, key, nullable), type_ in zip(columns, types, strict=True)
        ),
    )


def _check_event_time(name: str, schema: TableSchema) -> None:
    for column in schema.columns:
        if column.name == name:
            if column.type in EVENT_TIME_TYPES:
                return
            raise DecodeError(reasons.EVENT_TIME, f"{schema.table}.{name} is {column.type.name}, not a time")
    raise DecodeError(reasons.EVENT_TIME, f"{schema.table} has no column {name!r} for the event time")


def text(data: object) -> str:
    """Decode a wire string strictly. Raises DecodeError."""
    try:
        return cast("bytes", data).decode()
    except UnicodeDecodeError as exc:
        raise DecodeError(reasons.UTF8, f"not UTF-8: {exc}") from exc
