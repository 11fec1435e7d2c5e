"""One uninterrupted run from the log to the broker: it ends by a stop or by the first error."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence

from connectors.mysql.events import BadRow, Begin, Commit, Ddl, Heartbeat, Receiving, Rotate
from connectors.mysql.position import LogPosition
from streamjobs.capture.checkpoint import Parts, StoredPosition
from streamjobs.capture.ddl_policy import DdlRefusedError, Effect
from streamjobs.capture.publish.delivered import Delivered
from streamjobs.capture.snapshot.handoff import Place
from streamjobs.capture.state import CaptureState
from streamjobs.capture.status.requests import Requests
from streamjobs.capture.status.status import Telemetry
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import TableId, TableSchema
from streamjobs.retry import Clock

logger = logging.getLogger(__name__)

_TICK_S = 0.02
_AHEAD_MS = 60_000
"""A commit's time may be so far ahead of the server's clock, whose drift since the start is unknown."""
_SHOW_S = 0.5
_SNAPSHOT_TURN_S = 1.0
_STOP_IN_TRANSACTION_S = 5.0
_REFERS = re.compile(r"\b(REFERENCES|RENAME)\b", re.IGNORECASE)
"""Words of a statement that may add a foreign key to a captured table."""
_APPEARS = frozenset({"create_table", "rename_table"})


class Stream:
    """Sends changes to the broker and stores the position.

    Promise: the position is stored only after a commit, and only once the broker has acknowledged every row
    before it. After any end, the next run from the stored state sends each change again that was not stored:
    at most duplicates, in the same order, with the same `seq`.

    `by_gtids`: the state's position is another server's; nothing is stored before the first commit on this
    one.
    """

    def __init__(
        self,
        parts: Parts,
        state: CaptureState,
        *,
        by_gtids: bool,
        every_ms: int,
        clock: Clock,
        telemetry: Telemetry,
        requests: Requests,
        expected: Mapping[TableId, int],
        stopping: Callable[[], bool],
    ) -> None:
        self._p = parts
        self._ahead_ms = parts.source.identity.clock_ahead_ms
        self._delivered = Delivered(parts.outbox, clock, telemetry, self._ahead_ms)
        self._position = StoredPosition(
            parts, state, self._delivered, every_ms=every_ms, clock=clock, telemetry=telemetry
        )
        self._place = None if by_gtids else LogPosition(state.file, state.offset)
        self._clock = clock
        self._telemetry = telemetry
        self._requests = requests
        self._expected = dict(expected)
        self._stopping = stopping
        self._epoch = state.epoch
        self._transactions = 0
        self._snapshot_rows = 0
        self._future_warned = False
        self._now_s = clock.monotonic_s()
        self._tick_at_s = self._shown_at_s = self._now_s
        self._shown_rows = parts.outbox.rows_sent
        self._stop_seen_s: float | None = None
        self._counted_before = telemetry.counted_to
        self._schema: TableSchema | None = None
        self._bound_times()

    def _bound_times(self) -> None:
        outbox = self._p.outbox
        outbox.bound(self._clock.now_ms() + self._ahead_ms + _AHEAD_MS)
        if outbox.future_batches:
            self._telemetry.add(future_commits=outbox.future_batches)
            if not self._future_warned:
                logger.warning(
                    "the log has commits with times after the server's clock, before %s: a session has set "
                    "its clock (SET timestamp). Their rows get the server's time; the metric "
                    "future_commits counts them", self._place,
                )  # fmt: skip
            self._future_warned, outbox.future_batches = True, 0

    def run(self) -> None:
        """Stream until a stop is requested. Raises what reading, sending and storing raise."""
        for event in self._p.reader:
            match event:
                case RowBatch():
                    self._rows(event)
                case Begin(place):
                    self._before(place)
                case Commit():
                    self._place = event.place
                    self._transactions += 1
                    self._position.changed = True
                    self._p.outbox.passed(event.committed_at_ms)
                    self._delivered.committed(event.committed_at_ms)
                    if self._between(event.place):
                        return
                    continue
                case Ddl():
                    self._statement(event)
                case BadRow():
                    self._p.rejects.add(event)
                case Heartbeat():
                    self._delivered.heard(event.received_at_ms)
                    self._p.outbox.passed(event.received_at_ms + self._ahead_ms)
                    if self._between(event.place):
                        return
                    continue
                case Rotate(place) if self._place is not None:
                    self._place = place
                    self._position.changed = True
                case Rotate() | Receiving():
                    pass  # by GTIDs, only a commit has the position; but time passes
            if self._tick() and self._stopped_inside():
                return

    def _rows(self, batch: RowBatch) -> None:
        if batch.schema is not self._schema:
            self._schema = batch.schema
            if self._p.late.meet(batch.schema.table):
                self._begin_snapshot(batch.schema.table, self._place)
        self._position.changed = True
        self._p.outbox.add(self._p.policy.shaped(batch))

    def _statement(self, event: Ddl) -> None:
        before, self._position.altered = self._position.altered, True  # also by databases and sequences
        try:
            effects = self._p.policy.judge(event)
        except DdlRefusedError:
            if not before:  # the stored definitions are those before the statement
                self._position.altered = False
                self._position.store_all(self._place)
            raise
        self._count_unseen(effects, event.place)
        for effect in effects:
            if effect.table is None:
                continue
            if effect.word in _APPEARS:
                self._appeared(effect.table, effect.word, event.place)
            elif self._p.policy.loses_rows(effect):
                self._begin_snapshot(effect.table, event.place)
        if event.changes and _REFERS.search(event.statement):
            self._p.source.warn_of_silent_keys()

    def _count_unseen(self, effects: Sequence[Effect], place: LogPosition) -> None:
        """Count statements that changed rows without row events, but not again after a retry."""
        words = [effect.word for effect in effects if self._p.policy.leaves_unseen(effect)]
        here = place.position(self._epoch)
        if words and (self._counted_before is None or here > self._counted_before):
            if not self._telemetry.status.unseen:
                logger.warning(
                    "a statement before %s changed rows without row events, and the configuration ignores it "
                    "(%s): these changes are not sent, and unseen_statements counts it", place, words[0]
                )  # fmt: skip
            self._telemetry.count_unseen(words, here)

    def _appeared(self, table: TableId, word: str, place: LogPosition) -> None:
        self._p.outbox.open(table)
        undefined = self._p.late.is_undefined(table)  # LIKE, SELECT or RENAME of an uncaptured table
        snapshot = undefined if word == "create_table" else self._p.rereads_renamed
        if undefined and snapshot:
            self._p.late.expect(table)
        else:
            if word == "create_table" and self._position.has(table):
                # rows of the dropped one are still downstream
                self._p.reconciliation.begin(table, place)
            self._position.born.add(table)
        if snapshot:
            self._begin_snapshot(table, place)  # renamed: its rows were sent under another name, if at all

    def _arrived(self, place: LogPosition) -> None:
        if self._p.late.arrive(place):
            self._position.changed = self._position.altered = True

    def _before(self, place: LogPosition) -> None:
        """Send the chunks before the transaction that starts at `place`."""
        self._arrived(place)
        if self._p.handoff.active:
            self._send_due(_comparable(place))

    def _between(self, place: LogPosition) -> bool:
        """Do the work that is possible only between transactions; return whether to stop."""
        self._arrived(place)
        if self._p.handoff.active or self._requests.waiting:
            self._snapshot(place)
        if self._p.reconciliation.active:
            self._position.changed |= self._p.reconciliation.turn(place, self._p.handoff.tables, self._tick)
        for table, reason in self._p.watch.turn(self._place and place, self._now_s).items():
            self._p.stopped.stop(table, reason)
            self._position.changed = self._position.altered = True
        self._tick()
        self._delivered.take(self._now_s)
        stopping = self._stopping()
        if stopping:
            self._position.store_all(self._place)
        else:
            self._position.store_due(self._place, self._now_s)
        return stopping

    def _snapshot(self, here: LogPosition) -> None:
        """Start snapshot reads, and send chunks that are due, for one turn at most."""
        handoff, place = self._p.handoff, _comparable(here)
        while (table := self._requests.next) is not None:
            self._resume(table)
            if not self._begin_snapshot(table, here):
                logger.warning("no snapshot of %s: the server has no such table", table)
            self._requests.done()
        until_s = self._clock.monotonic_s() + _SNAPSHOT_TURN_S
        while handoff.active and self._clock.monotonic_s() < until_s and not self._stopping():
            handoff.start_reads(place)
            if not self._send_due(place):
                return
            self._tick()

    def _resume(self, table: TableId) -> None:
        """Follow a stopped table again, with the server's current definition; its snapshot comes next."""
        if table in self._p.stopped:
            self._p.late.expect(table)

    def _begin_snapshot(self, table: TableId, since: LogPosition | None) -> bool:
        """Start a snapshot of a table; return whether the table exists.

        `since` is after all messages of orphan rows; None: not known on this server yet.
        """
        parts = self._p.source.parts([table]).get(str(table))
        if parts is None:
            return False
        self._p.handoff.begin(table, parts)
        self._p.reconciliation.begin(table, since)
        self._position.changed = True
        self._expected.update(self._p.source.sizes([table]))
        return True

    def _send_due(self, place: Place) -> bool:
        sent = False
        for batch in self._p.handoff.due(place):
            sent = self._position.changed = True
            if isinstance(batch, BadRow):
                self._p.rejects.add(batch)
                self._p.reconciliation.undecodable(batch.schema.table)
                continue
            self._snapshot_rows += len(batch)
            self._p.outbox.add(self._p.policy.shaped(batch))
            self._tick()
        return sent

    def _tick(self) -> bool:
        """Do the periodic work if it is due; return whether it was."""
        self._now_s = self._clock.monotonic_s()
        if self._now_s < self._tick_at_s:
            return False
        self._tick_at_s = self._now_s + _TICK_S
        self._bound_times()
        self._p.outbox.tick()
        self._delivered.poll()
        if self._now_s - self._shown_at_s >= _SHOW_S:
            self._show()
        return True

    def _stopped_inside(self) -> bool:
        """Return whether to stop inside a long transaction: its rows are then sent again."""
        if not self._stopping():
            return False
        self._stop_seen_s = self._stop_seen_s or self._now_s
        return self._now_s - self._stop_seen_s > _STOP_IN_TRANSACTION_S

    def _show(self) -> None:
        outbox, span_s = self._p.outbox, max(self._now_s - self._shown_at_s, 1e-3)
        new_rows = outbox.rows_sent - self._shown_rows
        self._shown_at_s, self._shown_rows = self._now_s, outbox.rows_sent
        self._telemetry.add(rows=new_rows, transactions=self._transactions, snapshot_rows=self._snapshot_rows)
        self._transactions = self._snapshot_rows = 0
        self._telemetry.update(
            phase="snapshot" if self._p.handoff.active or self._p.reconciliation.active else "streaming",
            trouble="",
            log_time_ms=outbox.time_ms,
            heard_at_ms=self._clock.now_ms(),
            rows_per_s=new_rows / span_s,
            bytes_sent=outbox.bytes_sent,
            snapshots=tuple(self._p.handoff.progress(self._expected)),
            sweeping=tuple(self._p.reconciliation.pending),
            stopped=self._p.stopped.pending,
        )


def _comparable(place: LogPosition) -> Place:
    return place.number, place.offset
