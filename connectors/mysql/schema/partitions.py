"""Reads partitions in SQL: rows do not show how a table is partitioned, but dropped partitions matter."""

from __future__ import annotations

from typing import Final

from connectors.mysql.schema.tokens import Cursor, Kind, table_of
from streamjobs.changes.row_change import TableId

_WORDS: Final = (
    "PARTITION", "BY", "LINEAR", "HASH", "KEY", "RANGE", "LIST", "COLUMNS", "ALGORITHM", "PARTITIONS",
    "SUBPARTITION", "SUBPARTITIONS",
)  # fmt: skip
_KEEPS_ROWS: Final = ("ADD", "ANALYZE", "CHECK", "OPTIMIZE", "REBUILD", "REPAIR", "COALESCE", "REORGANIZE")
_MOVES_ROWS: Final = ("DROP", "TRUNCATE", "EXCHANGE", "CONVERT")
_SWAPS_ROWS: Final = ("DISCARD", "IMPORT")


def skip_partitioning(cursor: Cursor) -> None:
    """Skip PARTITION BY and all its parts, REMOVE PARTITIONING or UPGRADE PARTITIONING.

    Raises: RefusedError for what is not understood.
    """
    if cursor.skip("REMOVE", "PARTITIONING") or cursor.skip("UPGRADE", "PARTITIONING"):
        return
    while not cursor.done:
        here = cursor.peek()
        if here.is_mark("("):
            cursor.group()
        elif here.is_word(*_WORDS) or here.kind is Kind.NUMBER or here.is_mark("="):
            cursor.next()
        else:
            return


def read_partition_change(cursor: Cursor, database: str) -> list[TableId] | None:
    """Read a change of partitions or tablespaces, which ends the statement; return None if none comes next.

    Returns the tables whose rows appear or disappear without row events; `ITSELF` is the altered table.
    """
    verb, then = cursor.peek(), cursor.peek(1)
    moves = verb.is_word(*_MOVES_ROWS) and then.is_word("PARTITION")
    brings = verb.is_word("CONVERT") and then.is_word("TABLE")
    swaps = verb.is_word(*_SWAPS_ROWS) and then.is_word("PARTITION", "TABLESPACE")
    keeps = verb.is_word(*_KEEPS_ROWS) and then.is_word("PARTITION")
    if not (moves or brings or swaps or keeps):
        return None
    tables = [] if keeps else [ITSELF]
    while not cursor.done:
        if (moves or brings) and cursor.skip_any("TABLE"):
            tables.append(table_of(cursor, database))
        elif cursor.peek().is_mark("("):
            cursor.group()
        else:
            cursor.next()
    return tables


ITSELF: Final = TableId("", "")
"""Means the table that is altered."""
