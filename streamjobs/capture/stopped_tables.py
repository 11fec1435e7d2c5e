"""Stopped tables: they are not sent until their next snapshot, while all other tables continue."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from connectors.mysql.schema.history import Catalog
from streamjobs.capture.state import table_id
from streamjobs.changes.row_change import TableId

logger = logging.getLogger(__name__)
_STOPPED = (
    "%s is stopped and not sent until its next snapshot; all other tables continue. %s. Then snapshot it: "
    "`streamjobs capture snapshot %s`"
)


class StoppedTables:
    """Stops tables, and stores why; use from the stream's thread.

    Rows and statements of a stopped table are skipped. It is followed again once someone starts its snapshot,
    or a statement of the log creates it again or drops it. `pending` is stored with the position, so that the
    table is still stopped after a restart; each start logs it.
    """

    def __init__(self, catalog: Catalog, pending: Mapping[str, str]) -> None:
        self._catalog = catalog
        self._reasons: dict[TableId, str] = {}
        for name, reason in pending.items():
            self.stop(table_id(name), reason)

    @property
    def pending(self) -> dict[str, str]:
        """The reason why each table is stopped, by its name."""
        stopped = self._catalog.pending_tables.stopped
        return {str(table): reason for table, reason in self._reasons.items() if table in stopped}

    def __contains__(self, table: object) -> bool:
        """Return whether a table is stopped."""
        return table in self._catalog.pending_tables.stopped

    def stop(self, table: TableId, reason: str) -> None:
        """Stop a table; `reason` is a sentence without its full stop, with what to do."""
        logger.error(_STOPPED, table, reason, table)
        self._catalog.stop(table)
        self._reasons[table] = reason
