"""What people ask of a running capture: tables to be sent whole."""

from __future__ import annotations

import threading

from streamjobs.changes.row_change import TableId


class Requests:
    """Asked from any thread, taken by the capture between transactions, one by one: `next`, then `done`.

    What is not done when a run breaks off is still there for the one that follows.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: dict[TableId, None] = {}

    @property
    def waiting(self) -> bool:
        """Whether something was asked for."""
        return bool(self._tables)

    @property
    def next(self) -> TableId | None:
        """The table that was asked for first, None when nothing is left."""
        with self._lock:
            return next(iter(self._tables), None)

    def ask(self, table: TableId) -> None:
        """Ask for all rows of a table."""
        with self._lock:
            self._tables[table] = None

    def done(self) -> None:
        """Forget the first one."""
        with self._lock:
            self._tables.pop(next(iter(self._tables)))
