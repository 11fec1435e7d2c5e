"""A sink in memory: the contract's real implementation for tests, dry runs and examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from streamjobs.errors import SystemicError
from streamjobs.sink import Attempt, Record, RecordKind, Rejection, SinkTable, SinkTraits, WriteResult


class MemoryStore:
    """What survives the sinks that write to it: rows by key, and the newest writer of each subtask."""

    def __init__(self) -> None:
        self.rows: dict[tuple[Any, ...], Mapping[str, Any]] = {}
        self.epoch = 0
        self.writers: dict[int, int] = {}


class MemorySink:
    """Writes to a `MemoryStore`, and refuses older attempts as a store with a fence does.

    `refuses` are keys that the store never takes; with `tells=False` it refuses their whole batch and does
    not say why, as some databases do.
    """

    traits = SinkTraits(
        guarantee="Rows live as long as the process.",
        idempotence="The last write of a key wins; an older attempt is refused.",
        deletes="A delete removes the row.",
        ordering="Changes of a key take effect in the order written.",
        rejects="The keys it was told to refuse.",
        max_batch_rows=1000,
        max_batch_bytes=1024 * 1024,
    )

    def __init__(
        self,
        table: SinkTable,
        store: MemoryStore | None = None,
        *,
        refuses: frozenset[tuple[Any, ...]] = frozenset(),
        tells: bool = True,
    ) -> None:
        self.store = store or MemoryStore()
        self._table = table
        self._refuses = refuses
        self._tells = tells
        self._subtask = -1
        self._epoch = 0

    def open(self, attempt: Attempt) -> None:
        """Take over from every older attempt of this subtask."""
        self.store.epoch += 1
        self._epoch = self.store.epoch
        self._subtask = attempt.subtask
        self.store.writers[attempt.subtask] = self._epoch

    def write(self, batch: Sequence[Record]) -> WriteResult:
        """Write the batch. Raises SystemicError when a newer attempt has opened the store."""
        if self.store.writers.get(self._subtask) != self._epoch:
            message = f"table {self._table.name}: a newer attempt of subtask {self._subtask} writes"
            raise SystemicError(message)
        poison = [record for record in batch if record.key in self._refuses]
        if poison and not self._tells:
            return WriteResult(tuple(Rejection(record, "refused", "one of the batch") for record in batch))
        for record in batch:
            if record.key not in self._refuses:
                self._apply(record)
        return WriteResult(tuple(Rejection(record, "refused", "this key") for record in poison))

    def close(self) -> None:
        """Nothing is held."""

    def _apply(self, record: Record) -> None:
        if record.kind is RecordKind.DELETE:
            self.store.rows.pop(record.key, None)
            return
        nulls = dict.fromkeys((column.name for column in self._table.columns), None)
        self.store.rows[record.key] = {**nulls, **self.store.rows.get(record.key, {}), **record.values}
