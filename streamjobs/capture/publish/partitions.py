"""The partitions of a topic: which rows each gets, and the last event time sent to each."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from streamjobs.capture.config.routes import Route
from streamjobs.capture.config.settings import MessageSettings
from streamjobs.capture.publish.large_rows import OVERHEAD_BYTES
from streamjobs.changes.position import Half
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ABSENT, RowChange, TableSchema
from streamjobs.errors import ConfigError
from thrift_idl import bounds
from thrift_idl.codec import Header, Limits, PartitionMessageBuilder, partition_of_row

logger = logging.getLogger(__name__)

_FULL_MESSAGES = 5


@dataclass(frozen=True)
class Topic:
    """A topic as it was found or created: its partitions, and for each the greatest time in it.

    `rows_in`: rows go only to the first so many partitions, None: to all. The others only get heartbeats.
    `max_bytes`: the largest request that the topic accepts.
    """

    partitions: int
    newest_ms: Mapping[int, int | None]
    rows_in: int | None = None
    max_bytes: int = bounds.MAX_MESSAGE_BYTES + OVERHEAD_BYTES


class TopicWriter:
    """One topic: its message builder, and for each partition the last time sent, and when."""

    def __init__(
        self, topic: str, source: str, route: Route, settings: MessageSettings, found: Topic
    ) -> None:
        self.topic = topic
        self.route = route
        self.header = Header(source, route.event_time_column)
        limits = Limits(settings.max_rows, settings.max_bytes, settings.max_span_ms)
        self.rows_in = found.rows_in or found.partitions
        self.builder = PartitionMessageBuilder(self.rows_in, disorder_ms=route.disorder_ms, limits=limits)
        self.max_bytes = found.max_bytes
        self.full_rows = settings.max_rows * self.rows_in * _FULL_MESSAGES
        self.sent_at_s: list[float] = []
        self.sent_ms: list[int] = []
        self._add_partitions(found.partitions)
        self.was_empty = all(newest_ms is None for newest_ms in found.newest_ms.values())
        for partition, newest_ms in found.newest_ms.items():
            if newest_ms is not None:
                self.builder.resume(partition, newest_ms)
                self.sent_ms[partition] = newest_ms

    def listen(self, partitions: int) -> None:
        """Note how many partitions the topic has now; new ones get heartbeats from now on."""
        if partitions > len(self.sent_ms):
            logger.warning(
                "topic %s has new partitions, %d instead of %d: rows stay in the first %d, the others only "
                "get heartbeats",
                self.topic,
                partitions,
                len(self.sent_ms),
                self.rows_in,
            )
            self._add_partitions(partitions)

    def _add_partitions(self, partitions: int) -> None:
        more = partitions - len(self.sent_ms)
        self.builder.listen(partitions)
        self.sent_at_s += [float("-inf")] * more
        self.sent_ms += [-1] * more


@dataclass(frozen=True)
class SchemaRoute:
    """How the rows of one schema are sent; `columns` None: the key chooses the partition."""

    schema: TableSchema
    writer: TopicWriter
    columns: tuple[int, ...] | None

    def require_columns(self, batch: RowBatch, columns: tuple[int, ...]) -> None:
        """Raise ConfigError for rows without a column that chooses their partition."""
        rows = (*batch.images, *batch.befores)
        missing = [column for column in columns if any(row[column] is ABSENT for row in rows)]
        if missing:
            message = (
                f"rows of {self.schema.table} at {batch.position} lack the column "
                f"{self.schema.names[missing[0]]!r} to partition by: the row image is not full (SET GLOBAL "
                "binlog_row_image = 'FULL'), or the column was dropped while drop_column = ignore keeps it"
            )
            raise ConfigError(message)

    def split(self, batch: RowBatch) -> Iterable[RowChange]:
        """Yield the updates; one that moves to another partition becomes a DELETE and an INSERT."""
        columns = self.columns or ()
        return (part for change in batch for part in self._moved(change, columns))

    def _moved(self, change: RowChange, columns: tuple[int, ...]) -> tuple[RowChange, ...]:
        partitions = self.writer.rows_in
        before, after = change.before, change.after
        if before is None or after is None:
            message = f"an UPDATE of {self.schema.table} at {change.position} lacks an image"
            raise AssertionError(message)
        if partition_of_row(before, columns, partitions) == partition_of_row(after, columns, partitions):
            return (change,)
        rest = (change.position, change.committed_at_ms, change.transaction_id)
        return (
            RowChange.delete(self.schema, before, *rest, Half.KEY_CHANGE_DELETE),
            RowChange.insert(self.schema, after, *rest, Half.KEY_CHANGE_INSERT),
        )
