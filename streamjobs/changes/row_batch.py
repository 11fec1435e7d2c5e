"""Batches of row changes of one kind: what a fast reader returns instead of one object per row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from streamjobs.changes.position import Half, Position
from streamjobs.changes.row_change import ChangeKind, Row, RowChange, TableSchema


@dataclass(frozen=True)
class RowBatch:
    """Changes of one table, one kind and one transaction, in source order.

    Shape: row i has `images[i]` (the row after the change; for a DELETE, the last state of the row), for an
    UPDATE also `befores[i]`, and the position `position` with `row + i`. `befores` is empty for every other
    kind. A change of a primary key is two batches: `Half.KEY_CHANGE_DELETE`, then `Half.KEY_CHANGE_INSERT`,
    of one row each and with the same position.
    """

    schema: TableSchema
    kind: ChangeKind
    images: Sequence[Row]
    befores: Sequence[Row]
    position: Position
    committed_at_ms: int
    transaction_id: str = ""
    half: Half = Half.ONLY

    def __len__(self) -> int:
        return len(self.images)

    def change(self, index: int) -> RowChange:
        """Return the change at this index, as a domain object."""
        return next(iter(self.rest(index)))

    def rest(self, first: int) -> RowBatch:
        """Return the changes from this index on, with their positions; there may be none."""
        place = self.position
        position = Position(place.epoch, place.file, place.offset, place.row + first)
        return replace(self, images=self.images[first:], befores=self.befores[first:], position=position)

    def __iter__(self) -> Iterator[RowChange]:
        """Yield the changes one by one, as domain objects."""
        place, kind, deleted = self.position, self.kind, self.kind is ChangeKind.DELETE
        updated = kind is ChangeKind.UPDATE
        for index, image in enumerate(self.images):
            yield RowChange(
                self.schema,
                kind,
                image if deleted else self.befores[index] if updated else None,
                None if deleted else image,
                Position(place.epoch, place.file, place.offset, place.row + index),
                self.committed_at_ms,
                self.transaction_id,
                self.half,
            )
