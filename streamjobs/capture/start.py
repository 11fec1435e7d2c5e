"""The start of a capture: at the stored position, on another server, or at the end of the log."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from connectors.mysql.position import LogPosition
from connectors.mysql.schema.history import Catalog
from streamjobs.capture.config.routes import Routes
from streamjobs.capture.new_tables import follow_new_tables
from streamjobs.capture.publish.topics import refuse_other_keys
from streamjobs.capture.snapshot.reconcile import since_of
from streamjobs.capture.source.contract import Source
from streamjobs.capture.source.schema_history import Definitions, definitions_from_json, definitions_to_json
from streamjobs.capture.state import CaptureState, StateStore, table_id
from streamjobs.changes.row_change import TableId
from streamjobs.errors import SystemicError
from streamjobs.retry import Clock

logger = logging.getLogger(__name__)


class ServerChangedError(SystemicError):
    """The source is another server, and there are no GTIDs to find the position in its log."""


@dataclass(frozen=True)
class Start:
    """The position to read from, and the table definitions there.

    `new` are the tables that are new to this capture. `by_gtids`: the state's position is another server's;
    the position on this server is found by GTIDs.
    """

    state: CaptureState
    definitions: Definitions
    new: list[TableId]
    by_gtids: bool


class StartFinder:
    """Finds where a capture of `source` starts, and stores it.

    `resnapshot`: ignore the stored position, start at the end of the log and snapshot all tables.
    """

    def __init__(
        self,
        name: str,
        routes: Routes,
        source: Source,
        store: StateStore,
        clock: Clock,
        *,
        snapshot_first: bool,
        resnapshot: bool,
    ) -> None:
        self._name = name
        self._routes = routes
        self._source = source
        self._store = store
        self._clock = clock
        self._snapshot_first = snapshot_first
        self._resnapshot = resnapshot

    def find(self) -> Start:
        """Return the start, which is already stored.

        Raises: ServerChangedError, ConfigError; what the server and the store raise.
        """
        known = self._store.read()
        by_gtids = False
        captured = [table for table in self._source.tables() if self._routes(table)]
        new: list[TableId] = []
        resnapshot = known is None or self._resnapshot
        if known is None or resnapshot:
            state, catalog = self._from_now_on(0 if known is None else known.epoch + 1, known)
            definitions = Definitions(catalog, patterns=self._routes.patterns)
        else:
            state, by_gtids = self._same_or_next_server(_routed(known, self._routes))
            data = self._store.read_catalog(state.catalog)
            definitions = Definitions(self._source.catalog()) if data is None else definitions_from_json(data)
            definitions.catalog.names = self._source.identity.names
            refuse_other_keys(definitions.ways, self._routes)
            if definitions.patterns is None and not self._snapshot_first:  # of an earlier version
                definitions = replace(definitions, patterns=(("*.*",),))
            new = follow_new_tables(self._source, definitions, captured, state)
        unread = [t for t in captured if str(t) not in state.tables and str(t) not in state.snapshots]
        if self._snapshot_first:
            self._source.require_select({*self._routes.named, *unread, *map(table_id, state.snapshots)})
            parts = self._source.parts(unread)
            since = since_of(None if by_gtids else LogPosition(state.file, state.offset), state.epoch)
            state = replace(
                state,
                snapshots={**state.snapshots, **parts},
                sweeps={**state.sweeps, **dict.fromkeys(parts, str(since))},
            )
        elif resnapshot:
            state = replace(state, tables=(*state.tables, *map(str, unread)))
        if known is None or state.catalog != known.catalog:
            self._store.write_catalog(state.catalog, definitions_to_json(definitions, self._routes))
        if state != known and not by_gtids:  # the position is still the old server's
            self._store.write(state)
        return Start(state, definitions, new, by_gtids)

    def _from_now_on(self, epoch: int, known: CaptureState | None) -> tuple[CaptureState, Catalog]:
        """Return a state at the end of the log, and the table definitions there."""
        catalog = self._source.catalog()
        while True:
            place, before = self._source.place(), catalog.tables
            catalog = self._source.catalog()
            if catalog.tables == before:
                break
        state = CaptureState(
            self._source.identity.id,
            epoch,
            place.place.file,
            place.place.offset,
            place.gtids,
            self._clock.now_ms(),
            catalog=1 if known is None else known.catalog + 1,
        )
        return state, catalog

    def _same_or_next_server(self, state: CaptureState) -> tuple[CaptureState, bool]:
        identity = self._source.identity
        if state.server == identity.id:
            return state, False
        if not (identity.gtids and state.gtids):
            message = (
                f"{self._name} was captured from server {state.server} and this is {identity.id}; "
                f"without GTIDs the position {state.place} cannot be found here. Connect to the "
                "old server, or snapshot all tables again: `streamjobs capture run --resnapshot`"
            )
            raise ServerChangedError(message)
        logger.info("server %s takes over from %s after %s", identity.id, state.server, state.gtids)
        return replace(state, server=identity.id, epoch=state.epoch + 1), True


def _routed(state: CaptureState, routes: Routes) -> CaptureState:
    """Return the state without the tables that are no longer captured: their changes are now missed."""
    return replace(
        state,
        tables=tuple(table for table in state.tables if routes(table_id(table))),
        snapshots={table: parts for table, parts in state.snapshots.items() if routes(table_id(table))},
        sweeps={table: since for table, since in state.sweeps.items() if routes(table_id(table))},
        stopped={table: why for table, why in state.stopped.items() if routes(table_id(table))},
    )
