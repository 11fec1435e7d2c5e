"""What people ask of a running capture: tables to be sent whole."""

from __future__ import annotations

import queue

from streamjobs.rowchange import TableId


class Requests:
    """Asked from any thread, taken by the capture between transactions."""

    def __init__(self) -> None:
        self._tables: queue.SimpleQueue[TableId] = queue.SimpleQueue()

    @property
    def waiting(self) -> bool:
        """Whether something was asked for."""
        return not self._tables.empty()

    def ask(self, table: TableId) -> None:
        """Ask for all rows of a table."""
        self._tables.put(table)

    def take(self) -> list[TableId]:
        """Take what was asked for, each table once."""
        taken: dict[TableId, None] = {}
        while not self._tables.empty():
            taken[self._tables.get()] = None
        return list(taken)
