"""The RocksDB sink under the contract, read by rocksdict alone."""

from __future__ import annotations

import base64
import json
import shutil
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any, ClassVar

from rocksdict import AccessType, Options, Rdict

from connectors.rocksdb import RocksDbSink
from streamjobs.sinks.contract import Sink, SinkColumn, SinkTable
from tests.contract.stores import COLUMNS, TEXT_KEYS, Row, Rows, Store


class RocksDb(Store):
    """Shards under a directory; the newest version of each key counts."""

    poison: ClassVar[Mapping[str, Any]] = {"big": 2**63}
    biggest_text = 64 * 1024 * 1024 - 200
    too_big_text = 64 * 1024 * 1024

    def table(self, columns: Sequence[SinkColumn] = COLUMNS, key: tuple[str, ...] = ("id",)) -> SinkTable:
        return SinkTable(self.next_name(), tuple(columns), key, {"path": str(self.root)})

    def sink(self, table: SinkTable) -> Sink:
        return RocksDbSink(table, takeover_wait_s=0.2)

    def rows(self, table: SinkTable) -> Rows:
        found = [_typed(table, values) for values in self.raw(table)]
        return {tuple(row[name] for name in table.key): row for row in found}

    def raw(self, table: SinkTable) -> list[list[Any]]:
        """The rows as they are stored: a JSON array each, one value a column."""
        newest: dict[bytes, bytes] = {}
        shards = self.root / table.name / "shards"
        for number, shard in enumerate(sorted(shards.iterdir()) if shards.exists() else ()):
            scratch = self.root / f"scratch-{number}"
            raw = Rdict(str(shard), Options(raw_mode=True), access_type=AccessType.secondary(str(scratch)))
            raw.try_catch_up_with_primary()
            for key, value in raw.items():
                newest[key] = max(value, newest.get(key, b""))
            raw.close()
            shutil.rmtree(scratch)
        return [json.loads(each[10:]) for each in newest.values() if struct.unpack_from(">QH", each)[1]]

    def text_keys(self) -> Sequence[tuple[str, str]]:
        return [*TEXT_KEYS, ("a" * 9000, "")]


def _typed(table: SinkTable, values: Sequence[Any]) -> Row:
    names = [column.name for column in table.columns]
    return {name: _of_json(name, v) for name, v in zip(names, values, strict=True)}


def _of_json(name: str, value: Any) -> Any:
    readers: dict[str, Callable[[Any], Any]] = {
        "price": Decimal,
        "at": lambda v: datetime.fromisoformat(v).replace(tzinfo=timezone.utc),
        "local_at": datetime.fromisoformat,
        "day": date.fromisoformat,
        "clock": time.fromisoformat,
        "raw": base64.b64decode,
    }
    return value if value is None else readers.get(name, lambda v: v)(value)
