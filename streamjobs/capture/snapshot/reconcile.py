"""Sends a DELETE for each row that a finished snapshot does not contain; see `orphan_rows`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from connectors.mysql.position import LogPosition
from streamjobs.brokers.contract import Consumer, Envelope
from streamjobs.capture.config.routes import Route, Routes
from streamjobs.capture.publish.outbox import Outbox
from streamjobs.capture.snapshot.orphan_rows import FinishedSnapshot, NewestRows
from streamjobs.capture.state import table_id
from streamjobs.capture.status.status import Telemetry
from streamjobs.changes.position import Half, Position
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ChangeKind, Row, TableId, TableSchema
from streamjobs.errors import DecodeError

logger = logging.getLogger(__name__)
_TOGETHER = 1000
_ROUNDS = 3
"""How often a topic is read to its end while the stream runs: each time fewer messages are new, so that the
final read, which stops the stream, is short."""


class Reconciliation:
    """Reconciles topics with snapshots: deletes the orphan rows of tables downstream.

    Promise: a row gets a DELETE only if it has a message from before the snapshot, none since, and that one
    is not a DELETE. The DELETE has the position of the stream at that time, after all earlier messages. A
    topic is swept (read and reconciled) once none of its tables has a running snapshot. The `pending` tables
    are stored with the position: the next run sweeps again, and finds what is already deleted. Use from the
    stream's thread.

    A topic with a foreign message, or a table with rows that could not be decoded, is not swept (with a
    warning): otherwise an existing row could look like an orphan row.

    `is_there` returns which of some tables the server has: the rows of a dropped table stay downstream.
    """

    def __init__(
        self,
        source: str,
        epoch: int,
        routes: Routes,
        outbox: Outbox,
        open_reader: Callable[[], Consumer],
        is_there: Callable[[Collection[TableId]], Collection[TableId]],
        pending: Mapping[str, str],
        telemetry: Telemetry,
    ) -> None:
        self._source = source
        self._epoch = epoch
        self._routes = routes
        self._outbox = outbox
        self._open_reader = open_reader
        self._is_there = is_there
        self._telemetry = telemetry
        self._since = {table_id(name): Position.of_text(since) for name, since in pending.items()}
        self._sweep: _TopicReconciliation | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sweep")

    @property
    def active(self) -> bool:
        """Return whether any table is waiting to be swept."""
        return bool(self._since)

    @property
    def pending(self) -> dict[str, str]:
        """The waiting tables, each with the position since which all of its rows have messages."""
        return {str(table): str(since) for table, since in self._since.items()}

    def begin(self, table: TableId, since: LogPosition | None) -> None:
        """Register a table to be swept: each of its rows gets a message not before `since`.

        None: the position is not known on this server yet.
        """
        self._since[table] = since_of(since, self._epoch)

    def forget_new_topics(self) -> None:
        """Remove tables whose topics are empty: they have no orphan rows."""
        self._since = {table: since for table, since in self._since.items() if not self._outbox.is_new(table)}

    def undecodable(self, table: TableId) -> None:
        """Do not sweep a table: its snapshot had a row that could not be decoded or sent."""
        if self._since.pop(table, None) is not None:
            logger.warning(
                "%s has rows that cannot be decoded, so its orphan rows are not deleted downstream. Fix the "
                "rows, then snapshot it again: `streamjobs capture snapshot %s`",
                table,
                table,
            )

    def turn(self, place: LogPosition, reading: Collection[TableId], tick: Callable[[], object]) -> bool:
        """Continue, between transactions at `place`; return whether `pending` has changed.

        Blocks only after a topic was read, until its deletes are sent; `tick` is called meanwhile.
        Raises what the broker raises.
        """
        if self._sweep is None:
            self._start(set(reading))
        elif self._sweep.done:
            sweep, self._sweep = self._sweep, None
            try:
                return self._finish(sweep, place.position(self._epoch), set(reading), tick)
            finally:
                sweep.close()
        return False

    def close(self) -> None:
        """Stop sweeping; `pending` stays as it is."""
        if self._sweep is not None:
            self._sweep.close()
        self._pool.shutdown(wait=True)

    def _start(self, reading: set[TableId]) -> None:
        topics: dict[str, list[FinishedSnapshot]] = {}
        for table, since in self._since.items():
            route = self._route(table)
            needed = tuple(dict.fromkeys((*route.partition_by, *filter(None, [route.event_time_column]))))
            topics.setdefault(route.topic_of(table), []).append(FinishedSnapshot(table, since, needed))
        for topic, tables in topics.items():
            self._outbox.open(*(one.table for one in tables))
            if not reading.intersection(one.table for one in tables):
                self._sweep = _TopicReconciliation(topic, tables, self._source, self._open_reader())
                self._sweep.start(self._pool)
                return

    def _finish(
        self, sweep: _TopicReconciliation, place: Position, reading: set[TableId], tick: Callable[[], object]
    ) -> bool:
        still = [one for one in sweep.tables if self._since.get(one.table) == one.since]
        if reading.intersection(one.table for one in still):
            return False
        self._outbox.acknowledge()
        sweep.read_rest()
        there = set(self._is_there([one.table for one in still]))
        for one in still:
            del self._since[one.table]
            gone = sweep.rows.gone(one) if sweep.understood and one.table in there else None
            if gone is not None:
                count = self._delete(gone.schema, gone.images, place, tick)
                logger.info("snapshot of %s: %d orphan rows deleted downstream", one.table, count)
                self._telemetry.add(gone_rows=count)
                place = Position(place.epoch, place.file, place.offset, place.row + count)
        return bool(still)

    def _delete(
        self, schema: TableSchema, images: Iterator[Row], place: Position, tick: Callable[[], object]
    ) -> int:
        count = 0
        while rows := tuple(islice(images, _TOGETHER)):
            at = Position(place.epoch, place.file, place.offset, place.row + count)
            time_ms = self._outbox.time_ms
            self._outbox.add(RowBatch(schema, ChangeKind.DELETE, rows, (), at, time_ms, "", Half.SNAPSHOT))
            count += len(rows)
            tick()
        return count

    def _route(self, table: TableId) -> Route:
        route = self._routes.of(table)
        if route is None:
            message = f"{table} has a snapshot and is not captured"
            raise AssertionError(message)
        return route


def since_of(place: LogPosition | None, epoch: int) -> Position:
    """Return the position where a snapshot began; for None, the first one of this epoch."""
    return Position(epoch, 0, 0) if place is None else place.position(epoch)


class _TopicReconciliation:
    """A read of one topic, first in a thread of its own (`start`), at last in the stream's (`read_rest`)."""

    def __init__(self, topic: str, tables: list[FinishedSnapshot], source: str, reader: Consumer) -> None:
        self.tables = tables
        self.rows = NewestRows(source, tables)
        self.understood = True
        self._topic = topic
        self._reader = reader
        self._stop = threading.Event()
        self._read: Future[None] | None = None

    def start(self, pool: ThreadPoolExecutor) -> None:
        """Start to read."""
        self._read = pool.submit(self._read_in_thread)

    @property
    def done(self) -> bool:
        """Return whether the read in the other thread has ended, with or without an error."""
        return self._read is not None and self._read.done()

    def read_rest(self) -> None:
        """Read to the current end. Raises what the broker raises, also errors from the other thread."""
        assert self._read is not None
        self._read.result()
        self._to_end()

    def close(self) -> None:
        """End the read, and close the consumer and the rows."""
        self._stop.set()
        if self._read is not None:
            self._read.exception()
        self._reader.close()
        self.rows.close()

    def _read_in_thread(self) -> None:
        begins = self._reader.beginning_offsets(self._topic)
        for partition, begin in begins.items():
            self._reader.seek(self._topic, partition, begin)
        if any(begins.values()):
            logger.warning(
                "topic %s no longer has its first messages: orphan rows whose last message was among them "
                "stay downstream",
                self._topic,
            )
        for _ in range(_ROUNDS):
            self._to_end()

    def _to_end(self) -> None:
        ends = self._reader.end_offsets(self._topic)
        while any(self._reader.position(self._topic, partition) < end for partition, end in ends.items()):
            if self._stop.is_set():
                return
            for envelope in self._reader.poll(timeout_s=0.5):
                self._take(envelope)

    def _take(self, envelope: Envelope) -> None:
        try:
            self.rows.take(envelope.payload)
        except DecodeError as exc:
            if self.understood:
                logger.warning(
                    "%s is not a message of streamjobs (%s): orphan rows of the tables of this topic are not "
                    "deleted downstream, because it may be one of their rows",
                    envelope.place,
                    exc,
                )
            self.understood = False
