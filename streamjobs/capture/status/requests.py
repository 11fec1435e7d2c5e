"""Requests to a running capture: tables to snapshot."""

from __future__ import annotations

import threading

from streamjobs.changes.row_change import TableId


class Requests:
    """A queue of tables, filled from any thread; the capture handles one at a time: `next`, then `done`.

    It handles them between transactions. What is not done when a run fails remains for the next run.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: dict[TableId, None] = {}

    @property
    def waiting(self) -> bool:
        """Return whether there are requests."""
        return bool(self._tables)

    @property
    def next(self) -> TableId | None:
        """The table of the oldest request, None if there is none."""
        with self._lock:
            return next(iter(self._tables), None)

    def ask(self, table: TableId) -> None:
        """Request a snapshot of a table."""
        with self._lock:
            self._tables[table] = None

    def done(self) -> None:
        """Remove the oldest request."""
        with self._lock:
            self._tables.pop(next(iter(self._tables)))
