"""Tables that a running capture discovers: snapshotted, and followed from an exact log position."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from connectors.mysql.position import LogPosition
from connectors.mysql.schema.definitions import TableDefinition
from streamjobs.capture.config.routes import Routes, take
from streamjobs.capture.ddl_policy import DdlPolicy
from streamjobs.capture.source.contract import Source
from streamjobs.capture.source.schema_history import Definitions
from streamjobs.capture.state import CaptureState, table_id
from streamjobs.changes.row_change import TableId

logger = logging.getLogger(__name__)


def follow_new_tables(
    source: Source, definitions: Definitions, captured: Sequence[TableId], state: CaptureState
) -> list[TableId]:
    """Start following tables that are new in this configuration; return their names.

    Promise: their earlier events in the log are skipped, because the chunks that are read from now on contain
    all of it; so are events of tables that no longer exist. Tables that match the routes of the earlier run
    are followed, also unseen ones, unless their snapshot is pending.
    """
    catalog, patterns = definitions.catalog, definitions.patterns
    complete = map(table_id, set(state.tables) - set(state.snapshots))
    followed = {*(definition.table for definition in catalog.tables), *complete}

    def is_known(table: TableId) -> bool:
        if table in followed:
            return True
        return patterns is not None and take(patterns, table) and str(table) not in state.snapshots

    new = [table for table in captured if not is_known(table)]
    place, found = defined_now(source, new)
    catalog.pending_tables.pass_over_unknown(place, is_known)
    for definition in found:
        catalog.pending_tables.expect(definition.table, definition, place)
    if new:
        names = ", ".join(map(str, new))
        logger.info("new tables in this capture, followed from %s: %s", place, names)
    return new


def defined_now(source: Source, tables: Sequence[TableId]) -> tuple[LogPosition, list[TableDefinition]]:
    """Return a log position, not before now, and the definitions of tables at this position."""
    definitions = source.definitions(tables)
    while True:
        place, before = source.place().place, definitions
        definitions = source.definitions(tables)
        if definitions == before:
            return place, definitions


class LateTables:
    """Adds tables to a running capture; use from the stream's thread.

    `snapshot_first`: whether a new table is snapshotted. `patterns` are those of the routes that selected the
    tables known at the stream's position: an earlier run's, until the stream has reached all new tables.
    """

    def __init__(
        self,
        source: Source,
        definitions: Definitions,
        routes: Routes,
        policy: DdlPolicy,
        *,
        snapshot_first: bool,
    ) -> None:
        self._source = source
        self._catalog = definitions.catalog
        self.patterns = definitions.patterns
        self._routes = routes
        self._policy = policy
        self._snapshot_first = snapshot_first

    def arrive(self, place: LogPosition) -> bool:
        """Add tables up to `place`, between transactions; return whether this made all of them known."""
        if not self._catalog.pending_tables.waits:
            return False
        for definition in self._catalog.arrive(place):
            self._policy.learn(definition)
        if self._catalog.pending_tables.waits:
            return False
        self.patterns = self._routes.patterns
        return True

    def is_undefined(self, table: TableId) -> bool:
        """Return whether a statement has created a table without its columns (LIKE, SELECT)."""
        return self._catalog.table(table) is None

    def expect(self, table: TableId) -> None:
        """Skip a table's events up to now; it needs a snapshot then."""
        place, definitions = defined_now(self._source, [table])
        self._catalog.pending_tables.expect(table, definitions[0] if definitions else None, place)

    def meet(self, table: TableId) -> bool:
        """Handle the first rows of a table; return whether it is unknown and needs a snapshot.

        Raises: ConfigError if the user may not read it, because its earlier rows would be missed.
        """
        pending_tables = self._catalog.pending_tables
        if pending_tables.knows(table):
            return False
        if self._snapshot_first:
            self._source.require_select([table])
        pending_tables.know(table)  # or it no longer exists
        return self._snapshot_first
