"""Tables that a running capture comes to know late: read whole, and followed from an exact place."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from connectors.mysql.catalog import Catalog
from connectors.mysql.changes import LogPlace
from connectors.mysql.table_changes import TableDefinition
from streamjobs.capture.ddl import DdlPolicy
from streamjobs.capture.source import Source
from streamjobs.rowchange import TableId

logger = logging.getLogger(__name__)


def expect_newcomers(
    source: Source, catalog: Catalog, captured: Sequence[TableId], known: Iterable[TableId]
) -> list[TableId]:
    """Let captured tables count from now on that neither the catalog nor `known` has; give their names.

    Promise: what the log has of them before is passed over, so chunks that are read from now on hold it all;
    so is what it has of tables that are gone by now.
    """
    streamed = {*(definition.table for definition in catalog.tables), *known}
    new = [table for table in captured if table not in streamed]
    place, definitions = defined_now(source, new)
    catalog.newcomers.pass_over_unknown(place, streamed)
    for definition in definitions:
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

    `reads_whole`: whether rows of before are wanted.
    """

    def __init__(self, source: Source, catalog: Catalog, policy: DdlPolicy, *, reads_whole: bool) -> None:
        self._source = source
        self._catalog = catalog
        self._policy = policy
        self._reads_whole = reads_whole

    def arrive(self, place: LogPlace) -> bool:
        """Say that the stream is at `place`, between transactions; whether that made tables known."""
        definitions = self._catalog.arrive(place)
        for definition in definitions:
            self._policy.learn(definition)
        return bool(definitions)

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
