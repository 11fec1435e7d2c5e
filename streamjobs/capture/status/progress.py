"""How far the snapshots of a capture are."""

from __future__ import annotations

from dataclasses import dataclass

from streamjobs.changes.row_change import TableId


@dataclass(frozen=True)
class SnapshotProgress:
    """How far a table's snapshot is; `expected` is the server's guess, 0 when it has none."""

    table: TableId
    rows: int
    expected: int
