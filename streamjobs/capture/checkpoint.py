"""How far a run is: the position is stored behind the broker's acknowledgements, which nothing waits for."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from connectors.mysql.events import BinlogReader
from connectors.mysql.position import LogPlace
from streamjobs.brokers.contract import Receipt
from streamjobs.capture.ddl_policy import DdlPolicy
from streamjobs.capture.definition_watch import DefinitionWatch
from streamjobs.capture.new_tables import LateTables
from streamjobs.capture.publish.dead_letters import Rejects
from streamjobs.capture.publish.delivered import Delivered
from streamjobs.capture.publish.outbox import Outbox
from streamjobs.capture.snapshot.handoff import Handoff
from streamjobs.capture.snapshot.reconcile import Sweeps
from streamjobs.capture.source.contract import Source
from streamjobs.capture.state import CaptureState, StateStore
from streamjobs.capture.status.status import Telemetry
from streamjobs.capture.stopped_tables import StoppedTables
from streamjobs.changes.row_change import TableId
from streamjobs.retry import Clock

logger = logging.getLogger(__name__)

_XA_TOLD_S = 60.0
_UNCHANGED_S = 10.0
"""How often a position that has not changed is stored: a next run learns from it how far this one was."""
_RECEIPT_S = 0.03
"""How long a quiet broker takes to acknowledge: the producer's linger and a round trip."""


@dataclass(frozen=True)
class Parts:
    """What one run works with; all of it is opened for this run and closed after it."""

    source: Source
    reader: BinlogReader
    outbox: Outbox
    handoff: Handoff
    store: StateStore
    rejects: Rejects
    policy: DdlPolicy
    catalog: Callable[[], bytes]
    """Gives the table definitions as they are now, to be stored."""
    late: LateTables
    sweeps: Sweeps
    watch: DefinitionWatch
    stopped: StoppedTables
    rereads_renamed: bool = True
    """Whether a table is read whole when it gets the name of a captured one."""


@dataclass(frozen=True)
class _Unstored:
    """A state that holds once the broker has acknowledged all before it.

    `catalog` has the table definitions there, None when those that are stored still hold.
    """

    state: CaptureState
    catalog: bytes | None
    receipt: Receipt


class StoredPosition:
    """The position of a run, stored every so often; at most one state waits for its acknowledgement.

    Promise: what is stored is a place between transactions, and the broker has acknowledged every row before
    it. The stream goes on in the meantime, as far as the producer's bound on unacknowledged bytes lets it.

    `changed` is set by what moves the place or the tables, `altered` by what changes their definitions;
    `born` are tables that the log has made, so that nobody needs to read them.
    """

    def __init__(
        self,
        parts: Parts,
        state: CaptureState,
        delivered: Delivered,
        *,
        every_ms: int,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._p = parts
        self._state = state
        self._delivered = delivered
        self._every_s = every_ms / 1000
        self._clock = clock
        self._telemetry = telemetry
        self._taken_at_s = self._stored_at_s = clock.monotonic_s()
        self._unstored: _Unstored | None = None
        self._xa_since_s: float | None = None
        self._xa_told = False
        self.changed = self.altered = False
        self.born: set[TableId] = set()

    def has(self, table: TableId) -> bool:
        """Whether rows of a table of this name may have been sent."""
        return table in self.born or str(table) in {*self._state.tables, *self._state.snapshots}

    def store_due(self, place: LogPlace | None, now_s: float) -> None:
        """Store what has been acknowledged; take this place, between transactions, when it is time for one.

        None: it is not known yet. Raises what the broker and the store raise.
        """
        self._store(0.0)
        if self._unstored is None and now_s - self._taken_at_s >= self._every_s:
            self._taken_at_s = now_s
            self._take(place)
            self._store(_RECEIPT_S)

    def store_all(self, place: LogPlace | None) -> None:
        """Wait until all is acknowledged and store this place, between transactions; see `store_due`."""
        self._p.outbox.acknowledge()
        self._store(0.0)
        self._take(place)
        self._store(0.0)

    def _take(self, place: LogPlace | None) -> None:
        unchanged_s = self._clock.monotonic_s() - self._stored_at_s
        if place is None or not (self.changed or unchanged_s >= _UNCHANGED_S):
            return
        self._telemetry.update(
            unstored_since_ms=self._telemetry.status.unstored_since_ms or self._clock.now_ms()
        )
        if self._waits_for_xa():
            return
        receipt = self._p.outbox.receipt()
        self._p.rejects.acknowledge()
        parts = self._p.handoff.parts
        finished = set(self._state.snapshots) - set(parts)
        reader, at_ms = self._p.reader, self._clock.now_ms()
        state = self._state.at(place.file, place.offset, reader.gtids, at_ms, reader.file_made_at_s)
        tables = tuple(sorted({*state.tables, *finished, *map(str, self.born)}))
        state = replace(
            state,
            snapshots=parts,
            tables=tables,
            catalog=state.catalog + self.altered,
            sweeps=self._p.sweeps.pending,
            stopped=self._p.stopped.pending,
            delivered_to_ms=self._delivered.reached_ms,
        )
        catalog = self._p.catalog() if self.altered else None
        self._state = state
        self._unstored = _Unstored(state, catalog, receipt)
        self.changed = self.altered = False

    def _waits_for_xa(self) -> bool:
        """Whether a start from here would miss rows that are held until their transaction is decided."""
        undecided = self._p.reader.undecided
        if not undecided:
            self._xa_since_s, self._xa_told = None, False
            return False
        now_s = self._clock.monotonic_s()
        self._xa_since_s = self._xa_since_s or now_s
        if now_s - self._xa_since_s > _XA_TOLD_S and not self._xa_told:
            self._xa_told = True
            logger.warning(
                "the position stays at %s:%d until these XA transactions are committed or rolled back: %s. "
                "They are prepared (XA RECOVER), and a restart reads the log again from there",
                self._state.file, self._state.offset, "; ".join(undecided),
            )  # fmt: skip
        return True

    def _store(self, timeout_s: float) -> None:
        waiting = self._unstored
        if waiting is None or not waiting.receipt.wait(timeout_s):
            return
        state = waiting.state
        if waiting.catalog is not None:
            self._p.store.write_catalog(state.catalog, waiting.catalog)
        self._p.store.write(state)
        self._unstored, self._stored_at_s = None, self._clock.monotonic_s()
        self._telemetry.update(
            place=state.place, gtids=state.gtids, stored_at_ms=state.at_ms, unstored_since_ms=0
        )
