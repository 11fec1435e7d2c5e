"""The progress of snapshots."""

from __future__ import annotations

from dataclasses import dataclass

from streamjobs.changes.row_change import TableId


@dataclass(frozen=True)
class SnapshotProgress:
    """The progress of a table's snapshot; `expected` is the server's estimate of rows, 0 if it has none."""

    table: TableId
    rows: int
    expected: int
