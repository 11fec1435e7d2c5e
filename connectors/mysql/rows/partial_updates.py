"""PARTIAL_UPDATE_ROWS events: updates in which a JSON column may hold a list of edits instead of a document.

Source: https://dev.mysql.com/doc/dev/mysql-server/latest/classbinary__log_1_1Rows__event.html (value_options)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from connectors.mysql.codec.packet import PackedReader
from connectors.mysql.rows.row_decoder import CarefulDecoder, Present, Undecodable
from connectors.mysql.rows.table_plan import TablePlan
from streamjobs.changes.row_change import Row

PARTIAL_JSON: Final = 1
REFUSED_EDIT: Final = (
    "the log holds edits of the JSON document instead of the document; "
    "SET GLOBAL binlog_row_value_options = ''"
)


def read_partial_updates(
    decoder: CarefulDecoder, plan: TablePlan, data: bytes, images: Sequence[Present]
) -> Iterator[tuple[Row, ...] | Undecodable]:
    """Yield the before and after image of every row; a row with edits is Undecodable, with the column's name.

    Raises: BinlogError when the event ends in the middle of a row.
    """
    at = 0
    while at < len(data):
        before, at = decoder.raw(data, at, images[0])
        edited, at = _edited_columns(plan, data, at)
        after, at = decoder.raw(data, at, images[1])
        indexes = [index for index, there in enumerate(images[1]) if there]
        edits = [
            (index, value)
            for index, value in zip(indexes, after, strict=True)
            if index in edited and value is not None
        ]
        if edits:
            yield Undecodable(edits[0][0], edits[0][1], REFUSED_EDIT)
            continue
        rows = decoder.convert(before, images[0]), decoder.convert(after, images[1])
        bad = [row for row in rows if isinstance(row, Undecodable)]
        yield bad[0] if bad else tuple(row for row in rows if not isinstance(row, Undecodable))


def _edited_columns(plan: TablePlan, data: bytes, at: int) -> tuple[frozenset[int], int]:
    """Return which columns hold edits (one bit for each JSON column, if the options say so) and the end."""
    reader = PackedReader(data, at)
    if not reader.length() & PARTIAL_JSON:
        return frozenset(), reader.at
    indexes = [index for index, json in enumerate(plan.json) if json]
    marks = int.from_bytes(reader.take((len(indexes) + 7) // 8), "little")
    return frozenset(index for number, index in enumerate(indexes) if marks >> number & 1), reader.at
