"""Stores the position of a run once the broker has acknowledged all rows before it; does not block."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from connectors.mysql.events import BinlogReader
from connectors.mysql.position import LogPosition
from streamjobs.brokers.contract import Receipt
from streamjobs.capture.ddl_policy import DdlPolicy
from streamjobs.capture.definition_watch import DefinitionWatch
from streamjobs.capture.new_tables import LateTables
from streamjobs.capture.publish.dead_letters import Rejects
from streamjobs.capture.publish.delivered import Delivered
from streamjobs.capture.publish.outbox import Outbox
from streamjobs.capture.snapshot.handoff import Handoff
from streamjobs.capture.snapshot.reconcile import Reconciliation
from streamjobs.capture.source.contract import Source
from streamjobs.capture.state import CaptureState, StateStore
from streamjobs.capture.status.status import Telemetry
from streamjobs.capture.stopped_tables import StoppedTables
from streamjobs.changes.row_change import TableId
from streamjobs.retry import Clock

logger = logging.getLogger(__name__)

_XA_WARNING_S = 60.0
_UNCHANGED_S = 10.0
"""How often an unchanged position is stored, to tell the next run up to when this one was running."""
_RECEIPT_S = 0.03
"""How long an idle broker needs to acknowledge: the producer's linger and a round trip."""


@dataclass(frozen=True)
class Parts:
    """The parts of one run; they are opened for it and closed after it."""

    source: Source
    reader: BinlogReader
    outbox: Outbox
    handoff: Handoff
    store: StateStore
    rejects: Rejects
    policy: DdlPolicy
    catalog: Callable[[], bytes]
    """Returns the current table definitions, to be stored."""
    late: LateTables
    reconciliation: Reconciliation
    watch: DefinitionWatch
    stopped: StoppedTables
    rereads_renamed: bool = True
    """Whether a table is snapshotted when it gets the name of a captured one."""


@dataclass(frozen=True)
class _Unstored:
    """A state that is valid once the broker has acknowledged everything before it.

    `catalog` has the table definitions at its position, None if the stored ones are still valid.
    """

    state: CaptureState
    catalog: bytes | None
    receipt: Receipt


class StoredPosition:
    """The position of a run, stored periodically; at most one state waits for its acknowledgement.

    Promise: the stored position is between transactions, and the broker has acknowledged every row before it.
    The stream continues in the meantime, up to the producer's limit of unacknowledged bytes.

    `changed` is set by code that changes the position or the tables, `altered` by code that changes their
    definitions; `born` are tables created in the log, which need no snapshot.
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
        self._xa_warned = False
        self.changed = self.altered = False
        self.born: set[TableId] = set()

    def has(self, table: TableId) -> bool:
        """Return whether rows of a table with this name may have been sent."""
        return table in self.born or str(table) in {*self._state.tables, *self._state.snapshots}

    def store_due(self, place: LogPosition | None, now_s: float) -> None:
        """Store the acknowledged state; take this position, between transactions, if the next is due.

        None: not known yet. Raises what the broker and the store raise.
        """
        self._store(0.0)
        if self._unstored is None and now_s - self._taken_at_s >= self._every_s:
            self._taken_at_s = now_s
            self._take(place)
            self._store(_RECEIPT_S)

    def store_all(self, place: LogPosition | None) -> None:
        """Wait until everything is acknowledged, then store this position, between transactions."""
        self._p.outbox.acknowledge()
        self._store(0.0)
        self._take(place)
        self._store(0.0)

    def _take(self, place: LogPosition | None) -> None:
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
            sweeps=self._p.reconciliation.pending,
            stopped=self._p.stopped.pending,
            delivered_to_ms=self._delivered.reached_ms,
        )
        catalog = self._p.catalog() if self.altered else None
        self._state = state
        self._unstored = _Unstored(state, catalog, receipt)
        self.changed = self.altered = False

    def _waits_for_xa(self) -> bool:
        """Return whether a start from here would miss held rows of undecided XA transactions."""
        undecided = self._p.reader.undecided
        if not undecided:
            self._xa_since_s, self._xa_warned = None, False
            return False
        now_s = self._clock.monotonic_s()
        self._xa_since_s = self._xa_since_s or now_s
        if now_s - self._xa_since_s > _XA_WARNING_S and not self._xa_warned:
            self._xa_warned = True
            logger.warning(
                "the position stays at %s:%d until these XA transactions are committed or rolled back: %s. "
                "They are prepared (XA RECOVER), and a restart reads the log again from that position",
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
