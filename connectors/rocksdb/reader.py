"""Reads a RocksDB table, also while a job writes it: all shards merged, the newest version of a key wins."""

from __future__ import annotations

import heapq
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from connectors.rocksdb.layout import TableDirectory
from connectors.rocksdb.rows import TOMBSTONE_SCHEMA, RowCodec, schema_of, version_of
from connectors.rocksdb.shard import open_reader, rocksdb_errors
from streamjobs.errors import ConfigError, SystemicError
from streamjobs.sinks.contract import SinkColumn

_OPEN_TRIES = 5
_BATCH_ROWS = 1000
_BATCH_BYTES = 4 << 20
"""A batch of a scan ends at either limit."""


def list_tables(path: Path) -> list[str]:
    """Return the names of the tables under a store's directory, sorted; empty when there is none."""
    if not path.is_dir():
        return []
    return sorted(entry.name for entry in path.iterdir() if next(entry.glob("schemas/[0-9]*.json"), None))


class RocksDbTable:
    """One table, read-only.

    Promise: it takes no lock and changes no data, so it never disturbs a job. It sees what was written before
    the last `refresh` (opening is one): complete batches of each shard, in the order written. Use it from one
    thread; close it (or use `with`) to remove its scratch directory.
    Raises: ConfigError when there is no such table; SystemicError when the shards may not be opened
    (rocksdict writes its `rocksdict-config.json` again on every open, so that file must be writable).
    """

    def __init__(self, path: Path | str, table: str, *, without: Path | None = None) -> None:
        self._directory = TableDirectory(Path(path), table)
        if not self._directory.exists:
            known = ", ".join(list_tables(Path(path))) or "none"
            message = f"there is no table {table} in {path}; tables: {known}"
            raise ConfigError(message)
        self._without = without
        self._scratch = tempfile.TemporaryDirectory(prefix="streamjobs-reader-")
        self._shards: dict[Path, Any] = {}
        self.refresh()

    @property
    def columns(self) -> tuple[SinkColumn, ...]:
        """Return the columns of the present declaration."""
        return self._codec.schema.columns

    @property
    def key(self) -> tuple[str, ...]:
        """Return the key columns."""
        return self._codec.schema.key

    def refresh(self) -> None:
        """Read what has been written since the last refresh."""
        for path in self._directory.shards():
            if path == self._without:
                continue
            shard = self._shards.get(path)
            if shard is None:
                self._shards[path] = self._open(path)
            elif not _caught_up(shard):
                shard.close()
                self._shards[path] = self._open(path)
        # after the rows: rows that were read may have a newer declaration
        schemas = self._directory.schemas()
        self._codecs = {number: RowCodec(schema) for number, schema in schemas.items()}
        self._codec = self._codecs[max(self._codecs)]

    def get(self, key: Sequence[Any]) -> dict[str, Any] | None:
        """Return the row of a key, or None. Raises UnfitValueError for a key of wrong types."""
        value = self.newest(self._codec.key(key))
        return None if value is None else self._row(value)

    def newest(self, key: bytes) -> bytes | None:
        """Return the newest stored value of these key bytes, which may be a tombstone; None without one."""
        with rocksdb_errors(f"reading {self._directory.root}"):
            found = [shard.get(key) for shard in self._shards.values()]
        return max((value for value in found if value is not None), key=version_of, default=None)

    def scan(self, prefix: Sequence[Any] = ()) -> Iterator[dict[str, Any]]:
        """Yield the rows in key order, all or those whose first key columns equal `prefix`."""
        names = self._codec.names
        for columns in self.scan_columns(names, prefix):
            for row in zip(*columns, strict=True):
                yield dict(zip(names, row, strict=True))

    def scan_columns(
        self, names: Sequence[str], prefix: Sequence[Any] = ()
    ) -> Iterator[Sequence[Sequence[Any]]]:
        """Yield the same rows in non-empty batches: the values of each of these columns."""
        start, codecs = self._codec.key(prefix), self._codecs
        for number, values in _batches(self._newest_from(start)):
            yield codecs[number].load_columns(values, names)

    def close(self) -> None:
        """Close the files."""
        for shard in self._shards.values():
            shard.close()
        self._shards.clear()
        self._scratch.cleanup()

    def __enter__(self) -> RocksDbTable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, path: Path) -> Any:
        """Open a secondary; try again when the writer deletes a file between our listing and opening it."""
        for left in reversed(range(_OPEN_TRIES)):
            scratch = Path(tempfile.mkdtemp(dir=self._scratch.name))
            try:
                shard = open_reader(path, scratch)
                with rocksdb_errors(f"catching up with {path}"):
                    shard.try_catch_up_with_primary()
            except SystemicError:
                if not left:
                    raise
            else:
                return shard
        raise AssertionError(path)

    def _items(self, shard: Any, start: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key, value in shard.items(from_key=start) if start else shard.items():
            if not key.startswith(start):
                return
            yield key, value

    def _newest_from(self, start: bytes) -> Iterator[bytes]:
        """Yield the newest value of each key with this prefix, in key order; it may be a tombstone."""
        merged = heapq.merge(*(self._items(shard, start) for shard in self._shards.values()))
        last, newest = next(merged, (b"", b""))
        for key, value in merged:
            if key != last:
                yield newest
                last, newest = key, value
            elif version_of(value) > version_of(newest):
                newest = value
        if newest:
            yield newest

    def _row(self, value: bytes) -> dict[str, Any] | None:
        number = schema_of(value)
        if number == TOMBSTONE_SCHEMA:
            return None
        row = self._codecs[number].load(value)
        if number == self._codec.schema.number:
            return row
        return {name: row.get(name) for name in self._codec.names}


def _batches(values: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the values in order, without tombstones, in batches of one schema each, with its number."""
    batch: list[bytes] = []
    of_batch, left = TOMBSTONE_SCHEMA, 0
    for value in values:
        number = schema_of(value)
        if number == TOMBSTONE_SCHEMA:
            continue
        if number != of_batch or left <= 0 or len(batch) == _BATCH_ROWS:
            if batch:
                yield of_batch, batch
            batch, of_batch, left = [], number, _BATCH_BYTES
        batch.append(value)
        left -= len(value)
    if batch:
        yield of_batch, batch


def _caught_up(shard: Any) -> bool:
    """Read the writer's latest data; return False if it deleted a file that this needs: then open again."""
    try:
        with rocksdb_errors("catching up"):
            shard.try_catch_up_with_primary()
    except SystemicError:
        return False
    return True
