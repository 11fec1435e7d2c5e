"""A sink in memory: a real implementation of the contract for tests, dry runs and examples."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from streamjobs.sinks.contract import (
    Attempt,
    Record,
    RecordKind,
    Rejection,
    SinkTable,
    SinkTraits,
    WriteResult,
)
from streamjobs.sinks.fence import Fence, fenced_off, take


class MemoryStore:
    """The part that outlives its sinks: rows by key, and who may write."""

    def __init__(self) -> None:
        self.rows: dict[tuple[Any, ...], Mapping[str, Any]] = {}
        self.fence: Fence | None = None


class MemorySink:
    """Writes to a `MemoryStore`, and refuses older attempts as a store with a fence does.

    `refuses` returns whether the store refuses a record for ever; with `tells=False` it refuses the whole
    batch without naming the record, as some databases do.
    """

    traits = SinkTraits(
        guarantee="Rows live as long as the process.",
        idempotence="The last write of a key wins; an older attempt is refused.",
        deletes="A delete removes the row.",
        ordering="Changes of a key take effect in the order written.",
        rejects="The records that `refuses` selects.",
        max_batch_rows=1000,
        max_batch_bytes=1024 * 1024,
    )

    def __init__(
        self,
        table: SinkTable,
        store: MemoryStore | None = None,
        *,
        refuses: Callable[[Record], bool] = lambda _: False,
        tells: bool = True,
    ) -> None:
        self.store = store or MemoryStore()
        self._table = table
        self._refuses = refuses
        self._tells = tells
        self._token = ""

    def open(self, attempt: Attempt) -> None:
        """Take over from all older attempts. Raises SystemicError when a newer one has taken over."""
        token = secrets.token_hex(8)
        self.store.fence = take(self.store.fence, attempt, token, self._table.name)
        self._token = token

    def write(self, batch: Sequence[Record]) -> WriteResult:
        """Write the batch. Raises SystemicError when a newer attempt has opened the store."""
        fence = self.store.fence
        if fence is None or self._token not in fence.tokens():
            raise fenced_off(self._table.name, self._token, fence)
        poison = [record for record in batch if self._refuses(record)]
        if poison and not self._tells:
            return WriteResult(tuple(Rejection(record, "refused", "one of the batch") for record in batch))
        for record in batch:
            if not self._refuses(record):
                self._apply(record)
        return WriteResult(tuple(Rejection(record, "refused", "this record") for record in poison))

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def _apply(self, record: Record) -> None:
        if record.kind is RecordKind.DELETE:
            self.store.rows.pop(record.key, None)
            return
        nulls = dict.fromkeys((column.name for column in self._table.columns), None)
        self.store.rows[record.key] = {**nulls, **self.store.rows.get(record.key, {}), **record.values}
