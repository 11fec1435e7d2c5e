"""Tables that a running capture comes to know late: read whole, and followed from an exact place."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from connectors.mysql.position import LogPlace
from connectors.mysql.schema.definitions import TableDefinition
from streamjobs.capture.config.routes import Routes, take
from streamjobs.capture.ddl_policy import DdlPolicy
from streamjobs.capture.source.contract import Source
from streamjobs.capture.source.schema_history import Definitions
from streamjobs.capture.state import CaptureState, table_id
from streamjobs.changes.row_change import TableId

logger = logging.getLogger(__name__)


def expect_newcomers(
    source: Source, definitions: Definitions, captured: Sequence[TableId], state: CaptureState
) -> list[TableId]:
    """Let captured tables count from now on that no earlier run has followed; give their names.

    Promise: what the log has of them before is passed over, so chunks that are read from now on hold it all;
    so is what it has of tables that are gone by now. Tables that the routes of the earlier run took are
    followed, also unseen ones, unless they wait to be read whole.
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
    catalog.newcomers.pass_over_unknown(place, is_known)
    for definition in found:
        catalog.newcomers.expect(definition.table, definition, place)
    if new:
        names = ", ".join(map(str, new))
        logger.info("new to this capture, followed from %s on: %s", place, names)
    return new


def defined_now(source: Source, tables: Sequence[TableId]) -> tuple[LogPlace, list[TableDefinition]]:
    """Give a place of the log, not before now, and the definitions of tables that hold there."""
    definitions = source.definitions(tables)
    while True:
        place, before = source.place().place, definitions
        definitions = source.definitions(tables)
        if definitions == before:
            return place, definitions


class LateTables:
    """Makes tables known to a running capture; use from the stream's thread.

    `reads_whole`: whether rows of before are wanted. `patterns` are those of the routes by which all tables
    are known where the stream is: an earlier run's, until those that are new to it have arrived.
    """

    def __init__(
        self,
        source: Source,
        definitions: Definitions,
        routes: Routes,
        policy: DdlPolicy,
        *,
        reads_whole: bool,
    ) -> None:
        self._source = source
        self._catalog = definitions.catalog
        self.patterns = definitions.patterns
        self._routes = routes
        self._policy = policy
        self._reads_whole = reads_whole

    def arrive(self, place: LogPlace) -> bool:
        """Say that the stream is at `place`, between transactions; whether all tables are known now."""
        if not self._catalog.newcomers.waits:
            return False
        for definition in self._catalog.arrive(place):
            self._policy.learn(definition)
        if self._catalog.newcomers.waits:
            return False
        self.patterns = self._routes.patterns
        return True

    def is_undefined(self, table: TableId) -> bool:
        """Whether a statement has made a table that it does not describe."""
        return self._catalog.table(table) is None

    def expect(self, table: TableId) -> None:
        """Pass a table over up to now; it is to be read whole then."""
        place, definitions = defined_now(self._source, [table])
        self._catalog.newcomers.expect(table, definitions[0] if definitions else None, place)

    def meet(self, table: TableId) -> bool:
        """Say that the log has rows of a table; whether nobody knew of it, and it is to be read whole.

        Raises: ConfigError when the user may not read it, so that what it had before would be missed.
        """
        newcomers = self._catalog.newcomers
        if newcomers.knows(table):
            return False
        if self._reads_whole:
            self._source.require_select([table])
        newcomers.know(table)  # or it is gone by now
        return self._reads_whole
