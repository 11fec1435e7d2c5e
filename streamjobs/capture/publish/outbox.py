"""The outbox: routes row changes, cuts them into messages, and sends them in log order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

from connectors.mysql.events import BadRow
from streamjobs.brokers.contract import Envelope, Producer, Receipt
from streamjobs.capture.config.routes import Route, Routes
from streamjobs.capture.config.settings import MessageSettings
from streamjobs.capture.publish.large_rows import OVERHEAD_BYTES, too_large
from streamjobs.capture.publish.partitions import SchemaRoute, Topic, TopicWriter
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ChangeKind, RowChange, TableId, TableSchema
from streamjobs.errors import ConfigError, SystemicError
from streamjobs.retry import Clock
from thrift_idl.codec import BuiltMessage, RowTooLargeError, decode

_FLUSH_BYTES = 4 << 20
_REMEMBERED_SCHEMAS = 4096
_NO_BOUND_MS = 2**63 - 1
_LOOK_S = 10.0
"""How often to check for new partitions of topics, which need heartbeats soon."""


class Outbox:
    """Sends the rows of one source; use from one thread.

    Promise: each partition has its rows in the order of `add`; a change of a primary key, or of the columns
    that choose the partition, is a DELETE and an INSERT, each in the partition of its own key. Memory is
    bounded by one run of messages and by the producer. `acknowledge` returns when the broker has everything.

    Commits of a source are in order, but their times may not be (whole seconds; a long statement has the time
    of its start). So a commit time below the low watermark that was sent to any partition is raised to it: no
    row of a table without event-time column is ever late. A commit time above `bound` is lowered to it:
    otherwise, a session that sets its clock to next year (SET timestamp) would give all later rows that time.

    `open_topics({name: partitions})` creates or finds topics; it is called once for each. `on_too_large` gets
    each row that is too large for its topic.
    """

    def __init__(
        self,
        source: str,
        routes: Routes,
        settings: MessageSettings,
        producer: Producer,
        open_topics: Callable[[Mapping[str, int]], Mapping[str, Topic]],
        clock: Clock,
        on_too_large: Callable[[BadRow], None],
    ) -> None:
        self._source = source
        self._routes = routes
        self._settings = settings
        self._producer = producer
        self._open_topics = open_topics
        self._clock = clock
        self._on_too_large = on_too_large
        self._writers: dict[str, TopicWriter] = {}
        self._ways: dict[int, SchemaRoute] = {}
        self._time_ms = 0
        self._bound_ms = _NO_BOUND_MS
        self._waiting_since_s: float | None = None
        self._look_at_s = clock.monotonic_s() + _LOOK_S
        self.future_batches = 0
        self.rows_sent = 0
        self.bytes_sent = 0

    @property
    def time_ms(self) -> int:
        """The low watermark: the time up to which the log was read, UTC epoch ms; never goes back."""
        return self._time_ms

    def open(self, *tables: TableId) -> None:
        """Create or find the topics of tables before their first rows; ignore uncaptured tables."""
        routed = [(route, table) for table in tables if (route := self._routes.of(table)) is not None]
        wanted = {route.topic_of(table): route.partitions for route, table in reversed(routed)}
        new = {name: partitions for name, partitions in wanted.items() if name not in self._writers}
        found = self._open_topics(new) if new else {}
        for route, table in routed:
            self._lane(route, table, found)

    def is_new(self, table: TableId) -> bool:
        """Return whether the table's topic was empty when it was opened."""
        route = self._routes.of(table)
        writer = None if route is None else self._writers.get(route.topic_of(table))
        return writer is not None and writer.was_empty

    def add(self, batch: RowBatch) -> None:
        """Add a batch; send messages that are full. Raises ConfigError, and what the producer raises."""
        way = self._ways.get(id(batch.schema))
        if way is None or way.schema is not batch.schema:
            if len(self._ways) >= _REMEMBERED_SCHEMAS:
                self._ways.clear()
            way = self._ways[id(batch.schema)] = self._way(batch.schema)
        writer = way.writer
        time_ms = max(self._time_ms, min(batch.committed_at_ms, self._bound_ms))
        if time_ms != batch.committed_at_ms:
            self.future_batches += batch.committed_at_ms > time_ms
            batch = dataclasses.replace(batch, committed_at_ms=time_ms)
        self._time_ms = time_ms
        builder, columns = writer.builder, way.columns
        if columns is not None:
            way.require_columns(batch, columns)
        self._build(way, batch)
        if builder.rows >= writer.full_rows or builder.bytes >= _FLUSH_BYTES:
            self._send(writer)
        elif self._waiting_since_s is None:
            self._waiting_since_s = self._clock.monotonic_s()

    def _build(self, way: SchemaRoute, batch: RowBatch) -> None:
        """Pass the rows to their builder; report those that are too large for a message."""
        builder, columns = way.writer.builder, way.columns
        if columns is not None and batch.kind is ChangeKind.UPDATE:
            for change in way.split(batch):
                try:
                    builder.add(change, columns)
                except RowTooLargeError as exc:
                    self._too_large(way.writer, change, exc.size)
            return
        try:
            builder.add_batch(batch, columns)
        except RowTooLargeError as exc:
            self._too_large(way.writer, batch.change(exc.index), exc.size)
            if rest := batch.rest(exc.index + 1):
                self._build(way, rest)

    def _too_large(self, writer: TopicWriter, change: RowChange, size: int) -> None:
        bad = too_large(change, size, writer.topic, writer.max_bytes)
        if self._settings.stop_at_large_rows:
            raise SystemicError(str(bad))
        self._on_too_large(bad)

    def passed(self, time_ms: int) -> None:
        """Advance the low watermark to this time: all later rows were committed after it."""
        self._time_ms = max(self._time_ms, min(time_ms, self._bound_ms))

    def bound(self, latest_ms: int) -> None:
        """Set the latest possible commit time; later ones are lowered to it."""
        self._bound_ms = latest_ms

    def tick(self) -> None:
        """Send rows that have waited for `linger`, and heartbeats to partitions that were quiet too long."""
        now_s = self._clock.monotonic_s()
        if self._waiting_since_s is not None:
            if (now_s - self._waiting_since_s) * 1000 >= self._settings.linger_ms:
                self.send()
        if now_s >= self._look_at_s:
            self._look_at_s = now_s + _LOOK_S
            for writer in self._writers.values():
                writer.listen(self._producer.partitions(writer.topic))
        for writer in self._writers.values():
            self._beat(writer, now_s)

    def send(self) -> None:
        """Pass everything to the producer."""
        for writer in self._writers.values():
            if writer.builder.rows:
                self._send(writer)
        self._waiting_since_s = None

    def receipt(self) -> Receipt:
        """Send everything; return the receipt for it."""
        self.send()
        return self._producer.receipt()

    def acknowledge(self) -> None:
        """Send everything and wait until the broker has it; raises what the producer raises."""
        self.send()
        self._producer.flush()

    def _send(self, writer: TopicWriter) -> None:
        now_s = self._clock.monotonic_s()
        for partition, message in writer.builder.flush(writer.header):
            self._hand_over(writer, partition, message, now_s)

    def _beat(self, writer: TopicWriter, now_s: float) -> None:
        limit_s = now_s - self._settings.heartbeat_ms / 1000
        quiet = [
            partition
            for partition, sent_s in enumerate(writer.sent_at_s)
            if sent_s <= limit_s and writer.sent_ms[partition] < self._time_ms
        ]
        for partition, message in writer.builder.heartbeat(writer.header, self._time_ms, quiet):
            self._hand_over(writer, partition, message, now_s)

    def _hand_over(self, writer: TopicWriter, partition: int, message: BuiltMessage, now_s: float) -> None:
        if (
            len(message.payload) + OVERHEAD_BYTES > writer.max_bytes
        ):  # it has a single row: others are smaller
            for change in decode(message.payload).changes:
                self._too_large(writer, change, len(message.payload))
            return
        self._producer.send(Envelope(writer.topic, partition, message.payload, message.time_ms))
        writer.sent_at_s[partition] = now_s
        writer.sent_ms[partition] = message.time_ms
        self.rows_sent += message.rows
        self.bytes_sent += len(message.payload)

    def _way(self, schema: TableSchema) -> SchemaRoute:
        route = self._routes.of(schema.table)
        if route is None:
            message = f"rows of {schema.table}, which is not captured"
            raise AssertionError(message)
        if route.refuse_without_key and not schema.key_indexes:
            message = (
                f'{schema.table} has no primary key and its route has without_key = "fail"; add a key, or '
                'set without_key = "whole": then all columns together identify a row'
            )
            raise ConfigError(message)
        missing = [name for name in route.partition_by if name not in schema.names]
        if missing:
            message = f"{schema.table} has no column {missing[0]!r} to partition by; it has {schema.names}"
            raise ConfigError(message)
        columns = tuple(schema.names.index(name) for name in route.partition_by) or None
        self.open(schema.table)
        return SchemaRoute(schema, self._writers[route.topic_of(schema.table)], columns)

    def _lane(self, route: Route, table: TableId, found: Mapping[str, Topic]) -> None:
        name = route.topic_of(table)
        writer = self._writers.get(name)
        if writer is None:
            writer = self._writers[name] = TopicWriter(name, self._source, route, self._settings, found[name])
            if route.event_time_column is None:
                self.passed(max(writer.sent_ms))
        elif (writer.route.event_time_column, writer.route.disorder_ms) != (
            route.event_time_column,
            route.disorder_ms,
        ):
            message = (
                f"topic {name} would have {table} with the time {route.event_time_column or 'of commit'} "
                f"and others with {writer.route.event_time_column or 'that of commit'}: use separate topics"
            )
            raise ConfigError(message)
