"""What a parser of row changes returns: the planner needs only this, neither PyFlink nor a message."""

from __future__ import annotations

from dataclasses import dataclass

from udfs.projection import Field

ERROR_COLUMN = "__error"
ROW_PATTERN = '"row": ?(-?[0-9]+)'
"""Matches the row's index at the beginning of an error."""
MODES = ("append", "upsert", "versioned")


@dataclass(frozen=True)
class ParserSpec:
    """What a parser returns.

    Shape: `ParserSpec("shop.item", (Field("item_id", "BIGINT"), Field("at", "BIGINT", "event_time_ms")))`.
    `fields` become the columns of the result, in order, then, with `error_column`, the error (STRING, NULL in
    good rows).
    `mode` is `append` (only INSERT and SNAPSHOT are allowed), `versioned` (a late row is a dead letter and
    also a version) or `upsert`. With a `key`, a DELETE is a row whose columns are NULL except the key and
    metadata; without a key it has the last values of the columns.
    `rowtime` is the column that must be the messages' event-time column, None for any. With `judge_late` a
    row whose event time is older than its message's time is a dead letter. With `skip_all_exception` bad rows
    are counted (metric `parse.skipped`) and dropped.
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
        """Return the Flink types of the result's columns, the error column last."""
        return [field.result_type for field in self.fields] + ["STRING"] * self.error_column

    @property
    def result_names(self) -> list[str]:
        """Return the names of the result's columns, the error column last."""
        return [field.name for field in self.fields] + [ERROR_COLUMN] * self.error_column
