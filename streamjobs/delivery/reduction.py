"""Reduces a subtask's changes to the last effect on each key, in batches that the store accepts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from streamjobs.sinks.contract import Record, RecordKind, SinkTable
from streamjobs.sinks.upsert_batch import Upserts

_FIXED_BYTES, _COLUMN_BYTES = 16, 12


def reduce_changes(records: Sequence[Record], table: SinkTable) -> Sequence[Record]:
    """Return the last effect on each key, sorted by key.

    An UPSERT with missing columns (ABSENT) is merged into an earlier one of the same key; after a DELETE its
    missing columns are NULL. A DELETE always stays, whatever came before it: after a filter on an updating
    view an UPDATE_BEFORE without an UPDATE_AFTER is a delete.
    """
    if isinstance(records, Upserts):
        return records.last_of_each()
    last: dict[tuple[object, ...], Record] = {}
    for record in records:
        earlier = last.get(record.key)
        last[record.key] = record if earlier is None else _over(earlier, record, table)
    try:
        return sorted(last.values(), key=lambda record: record.key)
    except TypeError:
        return sorted(last.values(), key=lambda record: repr(record.key))


def _over(earlier: Record, later: Record, table: SinkTable) -> Record:
    if later.kind is RecordKind.DELETE or len(later.values) == len(table.columns):
        return later
    if earlier.kind is RecordKind.UPSERT:
        return replace(later, values={**earlier.values, **later.values})
    nulls = dict.fromkeys((column.name for column in table.columns), None)
    return replace(later, values={**nulls, **later.values})


def split_batches(records: Sequence[Record], max_rows: int, max_bytes: int) -> Iterator[Sequence[Record]]:
    """Split into batches of at most `max_rows` and about `max_bytes`; a too big record is its own batch."""
    for batch, _ in weighed_batches(records, max_rows, max_bytes):
        yield batch


def weighed_batches(
    records: Sequence[Record], max_rows: int, max_bytes: int
) -> Iterator[tuple[Sequence[Record], int]]:
    """Split as `split_batches` does, and yield each batch with its bytes."""
    if isinstance(records, Upserts):
        weights = records.weights(_FIXED_BYTES + _COLUMN_BYTES * len(records.names))
    else:
        weights = list(map(record_bytes, records))
    whole = sum(weights)
    if 0 < len(weights) <= max_rows and whole <= max_bytes:
        yield records, whole
        return
    start = size = 0
    for i, weight in enumerate(weights):
        if i > start and (i - start >= max_rows or size + weight > max_bytes):
            yield records[start:i], size
            start, size = i, 0
        size += weight
    if start < len(records):
        yield records[start:], size


def record_bytes(record: Record) -> int:
    """Estimate the bytes of a record on its way to a store: texts and bytes by length, the rest is flat."""
    values = record.values.values()
    fixed = _FIXED_BYTES + _COLUMN_BYTES * len(record.values)
    return fixed + sum([len(v) for v in values if type(v) is str or type(v) is bytes])
