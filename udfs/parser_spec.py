"""What a parser of row changes returns: known to the planner, which needs neither PyFlink nor a message."""

from __future__ import annotations

from dataclasses import dataclass

from udfs.projection import Field

ERROR_COLUMN = "__error"
ROW_PATTERN = '"row": ?(-?[0-9]+)'
"""Finds the row's number at the beginning of an error."""
MODES = ("append", "upsert", "versioned")


@dataclass(frozen=True)
class ParserSpec:
    """What a parser returns.

    Shape: `ParserSpec("shop.item", (Field("item_id", "BIGINT"), Field("at", "BIGINT", "event_time_ms")))`.
    `fields` become the columns of the result, in order, then, with `error_column`, the error (STRING, NULL in
    good rows).
    `mode` is `append` (only INSERT and SNAPSHOT may come), `versioned` (a late row is a dead letter and a
    version all the same) or `upsert`. With a `key`, a DELETE is a row whose columns are NULL but for the key
    and metadata; without one it has the columns as they last were.
    `rowtime` is the column that must be the messages' event-time column, None for any. With `judge_late` a
    row whose event time is below its message's time is a dead letter. With `skip_all_exception` bad rows are
    counted (metric `parse.skipped`) and dropped.
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
    error_column: bool = True

    @property
    def result_types(self) -> list[str]:
        """Flink types of the result's columns, the error column last."""
        return [field.result_type for field in self.fields] + ["STRING"] * self.error_column

    @property
    def result_names(self) -> list[str]:
        """Names of the result's columns, the error column last."""
        return [field.name for field in self.fields] + [ERROR_COLUMN] * self.error_column
