"""Tables that are stopped while others go on: nothing of them is sent until they are read whole."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from connectors.mysql.schema.history import Catalog
from streamjobs.capture.state import table_id
from streamjobs.changes.row_change import TableId

logger = logging.getLogger(__name__)
_STOPPED = (
    "%s is stopped, and nothing of it is sent until it is read whole; all other tables go on. %s. Then send "
    "it whole: `streamjobs capture snapshot %s`"
)


class StoppedTables:
    """Stops tables, and remembers why; use from the stream's thread.

    A stopped table is passed over, rows and statements. It counts again once somebody has it read whole, or a
    statement of the log makes it anew or drops it. What is `pending` is stored with the position, so that the
    table is still stopped after a restart; a start says so.
    """

    def __init__(self, catalog: Catalog, pending: Mapping[str, str]) -> None:
        self._catalog = catalog
        self._reasons: dict[TableId, str] = {}
        for name, reason in pending.items():
            self.stop(table_id(name), reason)

    @property
    def pending(self) -> dict[str, str]:
        """Why each table is stopped, by its name."""
        stopped = self._catalog.newcomers.stopped
        return {str(table): reason for table, reason in self._reasons.items() if table in stopped}

    def __contains__(self, table: object) -> bool:
        """Whether a table is stopped."""
        return table in self._catalog.newcomers.stopped

    def stop(self, table: TableId, reason: str) -> None:
        """Stop a table; `reason` is a sentence without its full stop, with what to do."""
        logger.error(_STOPPED, table, reason, table)
        self._catalog.stop(table)
        self._reasons[table] = reason
