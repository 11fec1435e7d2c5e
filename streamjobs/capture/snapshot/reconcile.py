"""Deletes downstream what tables that were read whole have no more; see `gone_rows`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from connectors.mysql.position import LogPlace
from streamjobs.brokers.contract import Consumer, Envelope
from streamjobs.capture.config.routes import Route, Routes
from streamjobs.capture.publish.outbox import Outbox
from streamjobs.capture.snapshot.orphan_rows import NewestRows, ReadWhole
from streamjobs.capture.state import table_id
from streamjobs.capture.status.status import Telemetry
from streamjobs.changes.position import Half, Position
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import ChangeKind, Row, TableId, TableSchema
from streamjobs.errors import DecodeError

logger = logging.getLogger(__name__)
_TOGETHER = 1000
_ROUNDS = 3
"""How often the topic is read to its end beside the stream: each time less has come since, for the last read
stops the stream."""


class Sweeps:
    """Tables that are read whole, until what they have no more is deleted downstream.

    Promise: a row gets a DELETE only when it has a message of before the read, none since, and that is no
    DELETE; the DELETE stands at the stream's place of then, behind all messages of before. A topic is
    swept once none of its tables is being read. What is `pending` is stored with the position: a next run
    begins the sweep again, and finds what was deleted already. Use from the stream's thread.

    A topic with a message that is not ours, or a table with rows that could not be decoded, is not swept
    (a warning says so): a row that is there would be taken for gone.

    `is_there` says which of some tables the server has: the rows of one that was dropped meanwhile stay
    downstream.
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
        self._sweep: _Sweep | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sweep")

    @property
    def active(self) -> bool:
        """Whether any table waits to be swept."""
        return bool(self._since)

    @property
    def pending(self) -> dict[str, str]:
        """The tables that wait, and the place from which on all of their rows have messages."""
        return {str(table): str(since) for table, since in self._since.items()}

    def begin(self, table: TableId, since: LogPlace | None) -> None:
        """Say that a table is read whole: every row that it has gets a message not before `since`.

        None: the place is not known on this server yet.
        """
        self._since[table] = since_of(since, self._epoch)

    def forget_new_topics(self) -> None:
        """Let go of tables whose topics hold nothing yet."""
        self._since = {table: since for table, since in self._since.items() if not self._outbox.is_new(table)}

    def undecodable(self, table: TableId) -> None:
        """Say that a read gave a row that has no message."""
        if self._since.pop(table, None) is not None:
            logger.warning(
                "%s has rows that cannot be decoded: those that are gone from it are not deleted downstream. "
                "Mend the rows and send it whole again: `streamjobs capture snapshot %s`",
                table,
                table,
            )

    def turn(self, place: LogPlace, reading: Collection[TableId], tick: Callable[[], object]) -> bool:
        """Go on, between transactions at `place`; whether `pending` has changed.

        Blocks only when a topic has been read, until its deletes are sent; `tick` is called meanwhile.
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
        """Give up; what is pending stays so."""
        if self._sweep is not None:
            self._sweep.close()
        self._pool.shutdown(wait=True)

    def _start(self, reading: set[TableId]) -> None:
        topics: dict[str, list[ReadWhole]] = {}
        for table, since in self._since.items():
            route = self._route(table)
            needed = tuple(dict.fromkeys((*route.partition_by, *filter(None, [route.event_time_column]))))
            topics.setdefault(route.topic_of(table), []).append(ReadWhole(table, since, needed))
        for topic, tables in topics.items():
            self._outbox.open(*(one.table for one in tables))
            if not reading.intersection(one.table for one in tables):
                self._sweep = _Sweep(topic, tables, self._source, self._open_reader())
                self._sweep.start(self._pool)
                return

    def _finish(
        self, sweep: _Sweep, place: Position, reading: set[TableId], tick: Callable[[], object]
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
                logger.info(
                    "%s was read whole: %d rows that it has no more deleted downstream", one.table, count
                )
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
            message = f"{table} is read whole and is not captured"
            raise AssertionError(message)
        return route


def since_of(place: LogPlace | None, epoch: int) -> Position:
    """Give what stands for a place that a read began at; None: it is only known to be of this epoch."""
    return Position(epoch, 0, 0) if place is None else place.position(epoch)


class _Sweep:
    """One topic that is read, first beside the stream (`start`), at last by it (`read_rest`)."""

    def __init__(self, topic: str, tables: list[ReadWhole], source: str, reader: Consumer) -> None:
        self.tables = tables
        self.rows = NewestRows(source, tables)
        self.understood = True
        self._topic = topic
        self._reader = reader
        self._stop = threading.Event()
        self._read: Future[None] | None = None

    def start(self, pool: ThreadPoolExecutor) -> None:
        """Begin to read."""
        self._read = pool.submit(self._read_beside)

    @property
    def done(self) -> bool:
        """Whether the read beside the stream has ended, well or not."""
        return self._read is not None and self._read.done()

    def read_rest(self) -> None:
        """Read to the end as of now. Raises what the broker raises, also what it did beside the stream."""
        assert self._read is not None
        self._read.result()
        self._to_end()

    def close(self) -> None:
        """End the read and let go of everything."""
        self._stop.set()
        if self._read is not None:
            self._read.exception()
        self._reader.close()
        self.rows.close()

    def _read_beside(self) -> None:
        begins = self._reader.beginning_offsets(self._topic)
        for partition, begin in begins.items():
            self._reader.seek(self._topic, partition, begin)
        if any(begins.values()):
            logger.warning(
                "topic %s no longer holds its beginning: rows whose last message it has dropped, and that "
                "are gone from their tables, stay downstream",
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
                    "%s is no message of ours (%s): what is gone from the tables of this topic is not "
                    "deleted downstream, for this may have been a row of them",
                    envelope.place,
                    exc,
                )
            self.understood = False
