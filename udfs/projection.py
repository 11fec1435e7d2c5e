"""Maps the columns of a message to the columns of a job: indexes, converters and metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import attrgetter
from typing import Any

from streamjobs.changes import wire_values
from streamjobs.changes.dead_letter import Stage
from streamjobs.changes.row_change import ChangeKind, SqlType, TableSchema
from thrift_idl.codec import RowImage, WireRowChange
from udfs.columns import Converter, converter

METADATA: Mapping[str, str] = {
    "event_time_ms": "BIGINT",
    "committed_at_ms": "BIGINT",
    "kind": "STRING",
    "seq": "BYTES",
    "row": "INT",
    "transaction_id": "STRING",
}
"""The metadata of a row that a parser knows: name and Flink type."""

_KIND_NAMES = {int(kind): kind.name for kind in ChangeKind}


@dataclass(frozen=True)
class Field:
    """A column of a parser's result.

    `type` is the declared Flink type. `metadata` is a key of METADATA, None for a column of the table. With
    `as_epoch_ms` a TIMESTAMP_LTZ is returned as epoch milliseconds and Flink makes the timestamp, at a tenth
    of the cost.
    """

    name: str
    type: str
    metadata: str | None = None
    nullable: bool = True
    as_epoch_ms: bool = False

    @property
    def result_type(self) -> str:
        """Return the Flink type that the parser returns."""
        return "BIGINT" if self.as_epoch_ms else self.type


class Mismatch(Exception):
    """One row that cannot be used as it is; `values` is the row if it is used nevertheless."""

    def __init__(
        self, stage: Stage, reason: str, detail: str, event_time_ms: int | None,
        values: list[Any] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(detail)
        self.stage, self.reason, self.detail = stage, reason, detail
        self.event_time_ms, self.values = event_time_ms, values


class Projection:
    """The conversion of rows of one message schema to rows of the job.

    Every row is a Mismatch if the schema lacks a column, or has another type or another event-time column.
    A DELETE keeps only the columns in `of_deletes`, all others are None; None keeps all.
    """

    def __init__(
        self,
        fields: Sequence[Field],
        casts: frozenset[str],
        schema: TableSchema,
        event_time_column: str | None,
        rowtime: str | None,
        of_deletes: frozenset[str] | None = None,
    ) -> None:
        self._schema = schema
        self._of_deletes = of_deletes
        self._timed = any(field.metadata == "event_time_ms" for field in fields)
        self._places = {column.name: i for i, column in enumerate(schema.columns)}
        self._event_time = None if event_time_column is None else self._places[event_time_column]
        self._refused: tuple[str, str, int | None] | None = None
        self._columns: list[tuple[Field, int, Converter | None]] = []
        if rowtime is not None and rowtime != event_time_column:
            named = event_time_column or "the commit time"
            detail = f"the job's rowtime is {rowtime}, but the messages' event time is {named}"
            self._refused = ("event_time_column", detail, None)
        for field in fields:
            self._add(field, field.name in casts)

    def _add(self, field: Field, cast: bool) -> None:
        if field.metadata is not None:
            self._columns.append((field, -1, None))
            return
        place = self._places.get(field.name)
        if place is None:
            detail = (
                f"{self._schema.table} has no column {field.name!r} in this message; it has "
                + ", ".join(self._places)
            )
            self._refused = self._refused or ("missing_column", detail, None)
            return
        column = self._schema.columns[place]
        convert = converter(field.type, column, cast=cast, epoch_ms=field.as_epoch_ms)
        if convert is None:
            detail = (
                f"column {field.name!r} is {column.native_type} ({column.type.name}) in the message and "
                f"{field.type} in the job; declare 'cast.{field.name}'='true' to convert it"
            )
            self._refused = self._refused or ("type", detail, place)
        self._columns.append((field, place, convert))

    def block(
        self, rows: Sequence[WireRowChange], low_ms: int | None, first: int
    ) -> list[tuple[Any, ...]] | None:
        """Convert all rows at once, each with None as error; return None if any row is not plainly good.

        With `low_ms`, a row with a lower event time is not plainly good. `first` is the first row's index.
        """
        if self._refused is not None:
            return None
        deleted: set[int] = set()
        if ChangeKind.DELETE in map(kind_of, rows):
            deleted = {i for i, row in enumerate(rows) if row.kind == ChangeKind.DELETE}
        images = list(map(_image, rows)) if deleted else list(map(_after, rows))
        columns: list[Sequence[bytes]] = list(zip(*map(_values, images), strict=True))
        nulls = _null_rows(images)
        if nulls is None:
            return None
        try:
            times = self._times(rows, columns, nulls) if self._timed or low_ms is not None else ()
            if low_ms is not None and min(times) < low_ms:
                return None
            converted = [
                _metadata_block(field, rows, times, first)
                if convert is None
                else convert.many(columns[place])
                if place not in nulls and not deleted
                else self._with_nulls(convert, columns[place], nulls.get(place, frozenset()), deleted, field)
                for field, place, convert in self._columns
            ]
        except (ValueError, ArithmeticError):
            return None
        return list(zip(*converted, repeat(None, len(rows)), strict=True))

    def _times(
        self, rows: Sequence[WireRowChange], columns: Sequence[Sequence[bytes]], nulls: Mapping[int, set[int]]
    ) -> Sequence[int]:
        """Return the event times. Raises ValueError when a row has none."""
        place = self._event_time
        if place is None:
            return [row.committed_at_ms for row in rows]
        if place in nulls:
            message = "an event time is NULL"
            raise ValueError(message)
        kind, column = self._schema.columns[place].type, columns[place]
        text = b"".join(column)
        if kind is SqlType.BIGINT and len(text) == 13 * len(column) and text.isdigit():
            numbers = list(map(int, column))
            if min(numbers) >= 10**12:  # so each has 13 digits: the years 2001 to 2286
                return numbers
        return [wire_values.event_time_ms(kind, value) for value in column]

    def _with_nulls(
        self,
        convert: Converter,
        column: Sequence[bytes],
        nulls: set[int] | frozenset[int],
        deleted: set[int],
        field: Field,
    ) -> list[Any]:
        if nulls and not field.nullable and (nulls - deleted or self._taken(field)):
            message = f"{field.name} is NOT NULL"
            raise ValueError(message)
        if deleted and not self._taken(field):
            nulls = nulls | deleted
        present = iter(convert.many([value for i, value in enumerate(column) if i not in nulls]))
        return [None if i in nulls else next(present) for i in range(len(column))]

    def _taken(self, field: Field) -> bool:
        """Return whether a DELETE keeps the column."""
        return self._of_deletes is None or field.name in self._of_deletes

    def event_time_ms(self, row: WireRowChange) -> int | None:
        """Return the row's event time; None when it is NULL, absent or not a time."""
        if self._event_time is None:
            return row.committed_at_ms
        image = _image(row)
        if self._event_time in (image.nulls or ()) or self._event_time in (image.absents or ()):
            return None
        try:
            column = self._schema.columns[self._event_time]
            return wire_values.event_time_ms(column.type, image.values[self._event_time])
        except ValueError:
            return None

    def one(self, row: WireRowChange, place_in_message: int) -> list[Any]:
        """Convert one row. Raises Mismatch, with column, value and both types."""
        image = _image(row)
        time_ms = self.event_time_ms(row)
        if self._refused is not None:
            reason, detail, place = self._refused
            shown = "" if place is None else f"; the value is {_show(image, place)}"
            raise Mismatch(Stage.CONVERT, reason, detail + shown, time_ms)
        nulls, absents = image.nulls or (), image.absents or ()
        result: list[Any] = []
        for field, place, convert in self._columns:
            if convert is None:
                result.append(_metadata_block(field, [row], [time_ms], place_in_message)[0])
            elif row.kind == ChangeKind.DELETE and not self._taken(field):
                result.append(None)
            elif place in absents:
                detail = f"column {field.name!r} is not in this row image; capture with binlog_row_image=FULL"
                raise Mismatch(Stage.CONVERT, "absent_column", detail, time_ms)
            elif place in nulls:
                result.append(self._null(field, time_ms))
            else:
                result.append(self._convert(field, place, convert, image, time_ms))
        return result

    @staticmethod
    def _null(field: Field, time_ms: int | None) -> None:
        if not field.nullable:
            detail = f"column {field.name!r} is NOT NULL in the job and NULL in the message"
            raise Mismatch(Stage.CONVERT, "null", detail, time_ms)

    def _convert(
        self, field: Field, place: int, convert: Converter, image: RowImage, time_ms: int | None
    ) -> Any:
        try:
            return convert.one(image.values[place])
        except (ValueError, ArithmeticError) as exc:
            native = self._schema.columns[place].native_type
            detail = (
                f"column {field.name!r}: {native} {_show(image, place)} is not a valid {field.type}: {exc}"
            )
            raise Mismatch(Stage.CONVERT, "value", detail, time_ms) from exc


def _metadata_block(
    field: Field, rows: Sequence[WireRowChange], times: Sequence[int | None], first: int
) -> Sequence[Any]:
    take: Mapping[str, Callable[[], Sequence[Any]]] = {
        "event_time_ms": lambda: times,
        "committed_at_ms": lambda: [row.committed_at_ms for row in rows],
        "kind": lambda: [_KIND_NAMES[row.kind] for row in rows],
        "seq": lambda: [row.seq for row in rows],
        "row": lambda: range(first, first + len(rows)),
        "transaction_id": lambda: [_text(row.transaction_id) for row in rows],
    }
    assert field.metadata is not None
    return take[field.metadata]()


def _text(value: bytes | str | None) -> str | None:
    return value.decode() if isinstance(value, bytes) else value


def _image(row: WireRowChange) -> RowImage:
    image = row.before if row.kind == ChangeKind.DELETE else row.after
    assert image is not None  # decode_body has checked it
    return image


kind_of = attrgetter("kind")
_after = attrgetter("after")
_values = attrgetter("values")
_nulls = attrgetter("nulls")
_absents = attrgetter("absents")


def _null_rows(images: Sequence[RowImage]) -> dict[int, set[int]] | None:
    """Return for each column with NULLs the rows that have one; None when a column is absent in a row."""
    found: dict[int, set[int]] = {}
    if any(map(_absents, images)):
        return None
    if not any(map(_nulls, images)):
        return found
    for i, image in enumerate(images):
        for place in image.nulls or ():
            found.setdefault(place, set()).add(i)
    return found


def _show(image: RowImage, place: int) -> str:
    if place in (image.nulls or ()):
        return "NULL"
    value = image.values[place]
    return repr(value if len(value) <= 200 else value[:200] + b"...")
