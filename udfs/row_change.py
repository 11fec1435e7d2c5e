"""The parser: one Thrift message in, one row per row change out; a bad row is returned with an error.

A message is processed column by column (a few C-level calls per column). Only if a block of rows has an
error is it processed row by row, to find the bad row.
"""

from __future__ import annotations

import base64
import gc
import json
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from pyflink.table.udf import FunctionContext, TableFunction, udtf

from streamjobs.changes.dead_letter import FORMAT_VERSION, Stage
from streamjobs.changes.row_change import ChangeKind, TableSchema
from streamjobs.errors import DecodeError
from streamjobs.metrics import PARSE_SKIPPED
from thrift_idl.codec import Body, DBMSRowChange, WireRowChange, decode_body
from udfs.columns import FlinkType, Moment
from udfs.parser_spec import MODES, ParserSpec
from udfs.projection import METADATA, Field, Mismatch, Projection, kind_of

MAX_RAW_BYTES = 8 * 1024 * 1024
"""Maximum size of a message that its dead letter contains: a letter has at most 16 MiB, in base64."""
_MAX_DETAIL = 2000
_GC_CONTAINERS = 100_000
_APPEND_KINDS = frozenset({ChangeKind.INSERT, ChangeKind.SNAPSHOT})


class RowChangeParser(TableFunction):  # type: ignore[misc]
    """Parses messages of row changes of one table; see ParserSpec.

    Promise: it never raises for any payload. Rows of other tables are skipped, a heartbeat gives no row. A
    payload that is not a message gives one row with an error; the error is a dead letter's JSON without its
    origin (topic, partition, offset), which the job adds.
    """

    def __init__(self, spec: ParserSpec) -> None:
        self._spec = spec
        self._database, _, self._table = spec.table.partition(".")
        self._projections: dict[int, tuple[TableSchema, str | None, Projection]] = {}
        self._skipped: Any = None
        for field in spec.fields:
            FlinkType.parse(field.type)

    def open(self, function_context: FunctionContext) -> None:
        """Store the metric group of this worker, and make its garbage collector run less often.

        A message makes a thousand containers, none of them in a cycle: by default the collector walks them
        twice per message, which is an eighth of the worker's time.
        """
        gc.freeze()
        gc.set_threshold(_GC_CONTAINERS)
        group = function_context.get_metric_group()
        self._skipped = group.counter(PARSE_SKIPPED)

    def eval(self, payload: bytes | None) -> Sequence[tuple[Any, ...]]:
        """Parse one payload; None is a message without a value."""
        try:
            body = decode_body(payload or b"")
        except DecodeError as exc:
            return self._errors([self._error(Stage.DECODE, exc.reason, exc.detail, -1, payload=payload)])
        rows: list[tuple[Any, ...]] = []
        first = 0
        for change in body.changes:
            if change.rows and change.table == self._table and change.database == self._database:
                rows += self._parse(body, change, first, payload or b"")
            first += len(change.rows)
        return rows if self._spec.error_column else [row[:-1] for row in rows]

    def _parse(
        self, body: Body, change: DBMSRowChange, first: int, payload: bytes
    ) -> Sequence[tuple[Any, ...]]:
        projection = self._projection(change.schema, body.header.event_time_column)
        if self._kinds_fit(change.rows):
            low_ms = body.header.time_ms if self._spec.judge_late else None
            fast = projection.block(change.rows, low_ms, first)
            if fast is not None:
                return fast
        good: list[tuple[Any, ...]] = []
        errors: list[str] = []
        for place, row in enumerate(change.rows, first):
            try:
                values = self._row(projection, row, body.header.time_ms, place)
            except Mismatch as exc:
                raw = payload if not errors else None
                error = self._error(exc.stage, exc.reason, exc.detail, place, exc.event_time_ms, raw)
                errors.append(error)
                if exc.values is not None:
                    good.append((*exc.values, None))
            else:
                good.append((*values, None))
        return [*good, *self._errors(errors)]

    def _kinds_fit(self, rows: Sequence[WireRowChange]) -> bool:
        return self._spec.mode != "append" or _APPEND_KINDS.issuperset(map(kind_of, rows))

    def _row(self, projection: Projection, row: WireRowChange, time_ms: int, place: int) -> list[Any]:
        kind = ChangeKind(row.kind)
        if self._spec.mode == "append" and kind not in _APPEND_KINDS:
            detail = (
                f"{self._spec.table} has 'ingest'='append', but this row is {kind.name}: declare 'upsert'"
            )
            raise Mismatch(Stage.CONVERT, "kind", detail, projection.event_time_ms(row))
        values = projection.one(row, place)
        event_time_ms = projection.event_time_ms(row)
        if self._spec.judge_late and (event_time_ms is None or event_time_ms < time_ms):
            raise self._late(event_time_ms, time_ms, values)
        return values

    def _late(self, event_time_ms: int | None, time_ms: int, values: list[Any]) -> Mismatch:
        if event_time_ms is None:
            return Mismatch(Stage.CONVERT, "event_time", "the event time is NULL", None)
        behind = f"event time {event_time_ms} is {time_ms - event_time_ms} ms below its message's time"
        if self._spec.mode == "versioned":
            detail = f"{behind}; the version is used from now on, but not in rows joined before"
            return Mismatch(Stage.LATE, "late", detail, event_time_ms, values)
        return Mismatch(Stage.LATE, "late", behind, event_time_ms)

    def _projection(self, schema: TableSchema, event_time_column: str | None) -> Projection:
        found = self._projections.get(id(schema))
        if found is None or found[0] is not schema or found[1] != event_time_column:
            spec = self._spec
            of_deletes = frozenset(spec.key) or None
            projection = Projection(
                spec.fields, spec.casts, schema, event_time_column, spec.rowtime, of_deletes
            )
            if len(self._projections) > 64:
                self._projections.clear()
            found = self._projections[id(schema)] = (schema, event_time_column, projection)
        return found[2]

    def _errors(self, errors: list[str]) -> Sequence[tuple[Any, ...]]:
        if self._spec.skip_all_exception:
            if self._skipped is not None:
                self._skipped.inc(len(errors))
            return []
        # For Flink a key column is NOT NULL even in a row that only carries an error.
        blank = tuple(_placeholder(field) for field in self._spec.fields)
        return [(*blank, error) for error in errors]

    def _error(
        self,
        stage: Stage,
        reason: str,
        detail: str,
        row: int,
        event_time_ms: int | None = None,
        payload: bytes | None = None,
    ) -> str:
        """Return a dead letter's JSON without id, topic, partition and offset; see `DeadLetter`.

        `row` comes first: the job reads it from there (`ROW_PATTERN`) to make the id.
        """
        if payload is not None and len(payload) > MAX_RAW_BYTES:
            detail = f"{detail[:_MAX_DETAIL]}; its {len(payload)} bytes are too many to be kept here"
            payload = None
        letter = {
            "row": row,
            "v": FORMAT_VERSION,
            "stage": stage.value,
            "reason": reason,
            "detail": detail[: _MAX_DETAIL + 100],
            "job": self._spec.job,
            "table": self._spec.table,
            "at_ms": time.time_ns() // 1_000_000,
            "event_time_ms": event_time_ms,
            "raw": None if payload is None else base64.b64encode(payload).decode("ascii"),
        }
        return json.dumps(letter, ensure_ascii=True, separators=(",", ":"))


def _placeholder(field: Field) -> Any:
    """Return the content of a field without a value: NULL, or a value if Flink does not accept NULL."""
    if field.nullable:
        return None
    return _PLACEHOLDERS.get(FlinkType.parse(field.result_type).root, 0)


_MIDNIGHT = Moment(1970, 1, 1)
_PLACEHOLDERS: Mapping[str, Any] = {
    **dict.fromkeys(("STRING", "VARCHAR", "CHAR"), ""),
    **dict.fromkeys(("BYTES", "VARBINARY", "BINARY"), b""),
    **dict.fromkeys(("DOUBLE", "FLOAT"), 0.0),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_LTZ"), _MIDNIGHT),
    "BOOLEAN": False,
    "DECIMAL": Decimal(0),
    "DATE": _MIDNIGHT.date(),
    "TIME": _MIDNIGHT.time(),
}


def parser(
    table: str,
    columns: Mapping[str, str],
    *,
    metadata: Sequence[str] = (),
    key: Sequence[str] = (),
    mode: str = "upsert",
    casts: Sequence[str] = (),
    skip_all_exception: bool = False,
) -> Any:
    """Return a table function for jobs that parse by hand.

    Shape: `parse_item = parser("shop.item", {"item_id": "BIGINT", "title": "VARCHAR"}, metadata=("kind",))`
    and in SQL `LATERAL TABLE(parse_item(x)) AS T (item_id, title, kind, error)`: the columns, the metadata
    (keys of `udfs.projection.METADATA`), then the error, which is NULL in good rows. With
    `skip_all_exception` bad rows are counted and dropped, and there is no error column.
    `key`, `mode` and `casts` as in ParserSpec: by default all kinds of changes pass, with all columns.
    Raises ValueError for a type that no row change has, an unknown mode, metadata key or column.
    """
    for given, known in ((metadata, METADATA), ((*key, *casts), columns), ((mode,), MODES)):
        for name in given:
            if name not in known:
                message = f"parser of {table}: {name!r} is none of {', '.join(known)}"
                raise ValueError(message)
    fields = [Field(name, _UNBOUNDED.get(type_.upper(), type_)) for name, type_ in columns.items()]
    fields += [Field(name, METADATA[name], name) for name in metadata]
    spec = ParserSpec(
        table, tuple(fields), mode, tuple(key), casts=frozenset(casts),
        skip_all_exception=skip_all_exception, error_column=not skip_all_exception,
    )  # fmt: skip
    return udtf(RowChangeParser(spec), result_types=spec.result_types)


_UNBOUNDED = {"VARCHAR": "STRING", "VARBINARY": "BYTES", "DECIMAL": "DECIMAL(10, 0)"}
"""Blink's short names of types."""
