"""Batches of complete rows: upserts kept by column, for sinks that convert a column at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from operator import lt
from typing import Any, overload

from streamjobs.sinks.contract import Record, RecordKind

Columns = Sequence[Sequence[Any]]
"""One sequence of values per column, all of the same length."""


class Upserts(Sequence[Record]):
    """UPSERTs of one table that have all columns; a sequence of Records for readers that iterate over it.

    Shape: `columns` has one sequence of values for each of `names`; row i is `columns[c][i]` for all c, has
    the key `keys[i]` and the version `versions[i]`. None is SQL NULL. `origin` is "" for all.
    """

    def __init__(
        self,
        names: Sequence[str],
        columns: Columns,
        keys: Sequence[tuple[Any, ...]],
        versions: Sequence[int],
    ) -> None:
        self.names = tuple(names)
        self.columns = columns
        self.keys = keys
        self.versions = versions

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> Upserts: ...
    def __getitem__(self, place: int | slice) -> Record | Upserts:
        if isinstance(place, slice):
            columns = [values[place] for values in self.columns]
            return Upserts(self.names, columns, self.keys[place], self.versions[place])
        values = {name: values[place] for name, values in zip(self.names, self.columns, strict=True)}
        return Record(self.keys[place], values, RecordKind.UPSERT, self.versions[place])

    def __iter__(self) -> Iterator[Record]:
        return map(self.__getitem__, range(len(self.keys)))

    def last_of_each(self) -> Upserts:
        """Return each key's last row, sorted by key; keys that do not compare are sorted by their text."""
        keys = self.keys
        if self._ascends():
            return self
        places = list({key: place for place, key in enumerate(keys)}.values())
        try:
            places.sort(key=keys.__getitem__)
        except TypeError:
            places.sort(key=lambda place: repr(keys[place]))
        columns = [[values[place] for place in places] for values in self.columns]
        return Upserts(
            self.names, columns, [keys[place] for place in places], [self.versions[place] for place in places]
        )

    def _ascends(self) -> bool:
        """Return whether each key is greater than the one before."""
        try:
            return all(map(lt, self.keys, islice(self.keys, 1, None)))
        except TypeError:
            return False

    def weights(self, fixed: int) -> list[int]:
        """Return for each row `fixed` plus the length of its texts and bytes."""
        weights = [fixed] * len(self.keys)
        for values in self.columns:
            if not {str, bytes}.isdisjoint(map(type, values)):
                lengths = [len(v) if type(v) is str or type(v) is bytes else 0 for v in values]
                weights = list(map(int.__add__, weights, lengths))
        return weights


def columns_of(records: Sequence[Record], names: Sequence[str]) -> Columns | None:
    """Return the values of these columns, in this order; None if a record has not all of them."""
    if isinstance(records, Upserts):
        by_name = dict(zip(records.names, records.columns, strict=True))
        return [by_name[name] for name in names] if by_name.keys() >= set(names) else None
    rows = [record.values for record in records]
    try:
        return [[row[name] for row in rows] for name in names]
    except KeyError:
        return None


def keys_of(records: Sequence[Record]) -> Sequence[tuple[Any, ...]]:
    """Return the key of each record."""
    return records.keys if isinstance(records, Upserts) else [record.key for record in records]


def versions_of(records: Sequence[Record]) -> Sequence[int]:
    """Return the version of each record."""
    return records.versions if isinstance(records, Upserts) else [record.version for record in records]


def has_deletes(records: Sequence[Record]) -> bool:
    """Return whether at least one record is not an UPSERT."""
    if isinstance(records, Upserts):
        return False
    return any(record.kind is RecordKind.DELETE for record in records)
