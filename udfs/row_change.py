"""The parser: one Thrift message in, one row a row change out; what is wrong becomes a row with an error.

A message is handled column by column (a few C-level calls a column), and only when something in a block of
rows is not as it should be, row by row, to find which.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyflink.table.udf import FunctionContext, TableFunction

from streamjobs.dead_letter import FORMAT_VERSION, Stage
from streamjobs.errors import DecodeError
from streamjobs.metrics import PARSE_SKIPPED
from streamjobs.rowchange import ChangeKind, TableSchema
from thrift_idl.codec import Body, DBMSRowChange, WireRowChange, decode_body
from udfs.columns import FlinkType
from udfs.projection import Field, Mismatch, Projection

ERROR_COLUMN = "__error"
_APPEND_KINDS = frozenset({ChangeKind.INSERT, ChangeKind.SNAPSHOT})


@dataclass(frozen=True)
class ParserSpec:
    """What a parser gives.

    Shape: `ParserSpec("shop.item", (Field("item_id", "BIGINT"), Field("valid_from", "BIGINT", "event_time_ms")))`.
    `fields` become the columns of the result, in order, then `error` (STRING, NULL in good rows).
    `mode` is `append` (only INSERT and SNAPSHOT may come, rows below their message's time are late),
    `versioned` (a DELETE is a row whose columns are NULL but for the key and metadata) or `upsert`.
    `key` names the key columns (for `versioned`). `rowtime` is the column that must be the messages' event-time column, None
    for any. With `skip_all_exception` bad rows are counted (metric `parse.skipped`) and dropped.
    """

    table: str
    fields: tuple[Field, ...]
    mode: str = "append"
    key: tuple[str, ...] = ()
    rowtime: str | None = None
    casts: frozenset[str] = frozenset()
    skip_all_exception: bool = False
    judge_late: bool = False
    job: str = ""

    @property
    def result_types(self) -> list[str]:
        """Flink types of the result's columns, the error column last."""
        return [field.result_type for field in self.fields] + ["STRING"]

    @property
    def result_names(self) -> list[str]:
        """Names of the result's columns, the error column last."""
        return [field.name for field in self.fields] + [ERROR_COLUMN]


class RowChangeParser(TableFunction):  # type: ignore[misc]
    """Parses messages of row changes of one table; see ParserSpec.

    Promise: never raises for any payload. Rows of other tables are passed over, a heartbeat gives no row. A
    payload that is no message gives one row with an error; the error is a dead letter's JSON without its
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
        """Take the metric group of this worker."""
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
            if change.table == self._table and change.database == self._database:
                rows += self._parse(body, change, first, payload or b"")
            first += len(change.rows)
        return rows

    def _parse(
        self, body: Body, change: DBMSRowChange, first: int, payload: bytes
    ) -> Sequence[tuple[Any, ...]]:
        projection = self._projection(change.schema, body.header.event_time_column)
        fast = projection.block(change.rows, body.header.time_ms if self._spec.judge_late else None, first)
        if fast is not None and self._kinds_fit(change.rows):
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
        kinds = {row.kind for row in rows}
        if self._spec.mode == "versioned":
            return ChangeKind.DELETE not in kinds
        return self._spec.mode != "append" or kinds <= _APPEND_KINDS

    def _row(self, projection: Projection, row: WireRowChange, time_ms: int, place: int) -> list[Any]:
        kind = ChangeKind(row.kind)
        if self._spec.mode == "append" and kind not in _APPEND_KINDS:
            detail = (
                f"{self._spec.table} has 'ingest'='append', but this row is {kind.name}: declare 'upsert'"
            )
            raise Mismatch(Stage.CONVERT, "kind", detail, projection.event_time_ms(row))
        only = frozenset(self._spec.key) if self._versions and kind is ChangeKind.DELETE else None
        values = projection.one(row, place, only)
        event_time_ms = projection.event_time_ms(row)
        if self._spec.judge_late and (event_time_ms is None or event_time_ms < time_ms):
            raise self._late(event_time_ms, time_ms, values)
        return values

    @property
    def _versions(self) -> bool:
        return self._spec.mode == "versioned"

    def _late(self, event_time_ms: int | None, time_ms: int, values: list[Any]) -> Mismatch:
        if event_time_ms is None:
            return Mismatch(Stage.CONVERT, "event_time", "the event time is NULL", None)
        behind = f"event time {event_time_ms} is {time_ms - event_time_ms} ms below its message's time"
        if self._versions:
            detail = f"{behind}; the version counts from now on, rows joined before have not seen it"
            return Mismatch(Stage.LATE, "late", detail, event_time_ms, values)
        return Mismatch(Stage.LATE, "late", behind, event_time_ms)

    def _projection(self, schema: TableSchema, event_time_column: str | None) -> Projection:
        found = self._projections.get(id(schema))
        if found is None or found[0] is not schema or found[1] != event_time_column:
            spec = self._spec
            projection = Projection(spec.fields, spec.casts, schema, event_time_column, spec.rowtime)
            if len(self._projections) > 64:
                self._projections.clear()
            found = self._projections[id(schema)] = (schema, event_time_column, projection)
        return found[2]

    def _errors(self, errors: list[str]) -> Sequence[tuple[Any, ...]]:
        if self._spec.skip_all_exception:
            if self._skipped is not None:
                self._skipped.inc(len(errors))
            return []
        # A key column is NOT NULL in Flink's eyes even in a row that only carries an error.
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
        """Give a dead letter's JSON but for id, topic, partition and offset; see `DeadLetter`."""
        letter = {
            "v": FORMAT_VERSION,
            "stage": stage.value,
            "reason": reason,
            "detail": detail[:2000],
            "job": self._spec.job,
            "table": self._spec.table,
            "row": row,
            "at_ms": time.time_ns() // 1_000_000,
            "event_time_ms": event_time_ms,
            "raw": None if payload is None else base64.b64encode(payload).decode("ascii"),
        }
        return json.dumps(letter, ensure_ascii=True, separators=(",", ":"))


def _placeholder(field: Field) -> Any:
    if field.nullable:
        return None
    return {"STRING": "", "BYTES": b""}.get(FlinkType.parse(field.type).root, 0)
