"""The memory sink under the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from connectors.memory import MemorySink, MemoryStore
from streamjobs.sinks.contract import Record, Sink, SinkColumn, SinkTable
from tests.contract.stores import COLUMNS, Rows, Store


class Memory(Store):
    """Rows in a dict; refuses rows by their `name`."""

    poison: ClassVar[Mapping[str, Any]] = {"name": "poison"}
    biggest_text = 1_000_000
    too_big_text = 10_000_000

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._stores: dict[str, MemoryStore] = {}

    def table(self, columns: Sequence[SinkColumn] = COLUMNS, key: tuple[str, ...] = ("id",)) -> SinkTable:
        return SinkTable(self.next_name(), tuple(columns), key, {})

    def sink(self, table: SinkTable) -> Sink:
        store = self._stores.setdefault(table.name, MemoryStore())
        return MemorySink(table, store, refuses=_refused)

    def rows(self, table: SinkTable) -> Rows:
        return {key: dict(row) for key, row in self._stores[table.name].rows.items()}


def _refused(record: Record) -> bool:
    name = record.values.get("name") or ""
    return None in record.key or name == "poison" or len(name) >= Memory.too_big_text
