"""Encoding of a table's rows for RocksDB: sortable key bytes, and version + schema number + JSON array."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from streamjobs.errors import ConfigError
from streamjobs.sinks.contract import SinkColumn, SinkTable
from streamjobs.sinks.stored_types import Reason, UnfitValueError, column_type

MAX_KEY_BYTES = 1024 * 1024
MAX_ROW_BYTES = 64 * 1024 * 1024

_HEAD = struct.Struct(">QH")
TOMBSTONE_SCHEMA = 0


@dataclass(frozen=True)
class Schema:
    """The columns and key of a table, as one writer declared them; `number` counts from 1.

    Each row names its schema, so columns may be added and dropped between runs.
    """

    number: int
    columns: tuple[SinkColumn, ...]
    key: tuple[str, ...]

    @classmethod
    def of_table(cls, table: SinkTable, number: int) -> Schema:
        """Return the schema of a declared table. Raises ConfigError for an unknown type or key column."""
        columns = tuple(SinkColumn(c.name, column_type(c.type).name, c.nullable) for c in table.columns)
        names = [column.name for column in columns]
        missing = [name for name in table.key if name not in names]
        if missing or not table.key or len(set(names)) != len(names):
            message = f"table {table.name}: key {table.key} and columns {names} do not fit together"
            raise ConfigError(message)
        return cls(number, columns, table.key)

    def refuse_change_from(self, older: Schema, table: str) -> None:
        """Raise ConfigError unless rows of `older` can be read together with ours."""
        ours = {column.name: column.type for column in self.columns}
        theirs = {column.name: column.type for column in older.columns}
        changed = [f"{n}: {theirs[n]} -> {ours[n]}" for n in ours if n in theirs and ours[n] != theirs[n]]
        if self.key != older.key:
            changed.append(f"key: {older.key} -> {self.key}")
        if changed:
            message = (
                f"table {table} holds rows of another declaration ({'; '.join(changed)}); "
                "write to a new table name or delete the old directory"
            )
            raise ConfigError(message)


class RowCodec:
    """Turns records into bytes and back for one schema."""

    def __init__(self, schema: Schema) -> None:
        types = [column_type(column.type) for column in schema.columns]
        by_name = dict(zip((c.name for c in schema.columns), types, strict=True))
        self.schema = schema
        self.names = tuple(column.name for column in schema.columns)
        self._columns = [(c.name, t, c.nullable) for c, t in zip(schema.columns, types, strict=True)]
        self._loads = [(n, t.load) for n, t in by_name.items() if t.load is not None]
        self._key = [(name, by_name[name]) for name in schema.key]

    def key(self, values: Sequence[Any]) -> bytes:
        """Return the key bytes of key values in key order, or of the first few as a prefix.

        Raises: UnfitValueError for NULL, a wrong type, or a key beyond 1 MiB.
        """
        parts = []
        for value, (name, kind) in zip(values, self._key, strict=False):
            if value is None:
                raise UnfitValueError(Reason.NULL, f"key column {name} is NULL")
            parts.append(kind.key(kind.store(value)))
        key = b"".join(parts)
        if len(key) > MAX_KEY_BYTES:
            raise UnfitValueError(Reason.SIZE, f"the key has {len(key)} bytes, the limit is {MAX_KEY_BYTES}")
        return key

    def key_many(self, keys: Sequence[Sequence[Any]]) -> list[bytes] | None:
        """Return what `key` returns for many complete keys, or None if one of them must be handled alone."""
        columns = []
        for i, (_, kind) in enumerate(self._key):
            stored = kind.store_column([key[i] for key in keys], nullable=False)
            if stored is None:
                return None
            try:
                columns.append(list(map(kind.key, stored)))
            except UnfitValueError:
                return None
        whole = columns[0] if len(columns) == 1 else list(map(b"".join, zip(*columns, strict=True)))
        return None if max(map(len, whole), default=0) > MAX_KEY_BYTES else whole

    def store_many(self, columns: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]] | None:
        """Return what `store` returns for many complete rows, or None if one of them must be handled alone.

        `columns` are the rows' values, column by column in the order of `names`.
        """
        stored = []
        for values, (_, kind, nullable) in zip(columns, self._columns, strict=True):
            known = kind.store_column(values, nullable=nullable)
            if known is None:
                return None
            stored.append(known)
        return list(zip(*stored, strict=True))

    def store(self, values: Mapping[str, Any], previous: Mapping[str, Any] | None) -> tuple[Any, ...]:
        """Return JSON forms in column order; missing columns come from `previous`, else are NULL.

        `previous` holds JSON forms by column name. Raises: UnfitValueError that names the column.
        """
        stored: list[Any] = []
        for name, kind, nullable in self._columns:
            if name not in values:
                stored.append(None if previous is None else previous.get(name))
                continue
            value = values[name]
            if value is not None:
                try:
                    value = kind.store(value)
                except UnfitValueError as exc:
                    raise UnfitValueError(exc.reason, f"column {name}: {exc}") from exc
            elif not nullable:
                raise UnfitValueError(Reason.NULL, f"column {name} is NOT NULL")
            stored.append(value)
        return tuple(stored)

    def value(self, stored: tuple[Any, ...], version: int) -> bytes:
        """Return the value bytes. Raises UnfitValueError for invalid Unicode or a row beyond 64 MiB."""
        try:
            body = orjson.dumps(stored)
        except orjson.JSONEncodeError as exc:
            detail = f"the row holds text that is not valid Unicode: {exc}"
            raise UnfitValueError(Reason.ENCODING, detail) from exc
        if len(body) > MAX_ROW_BYTES:
            raise UnfitValueError(Reason.SIZE, f"the row has {len(body)} bytes, the limit is {MAX_ROW_BYTES}")
        return _HEAD.pack(version, self.schema.number) + body

    def values_many(self, rows: Sequence[tuple[Any, ...]], versions: Iterable[int]) -> list[bytes] | None:
        """Return what `value` returns of each, or None if one of them must be handled alone."""
        pack, dumps, number = _HEAD.pack, orjson.dumps, self.schema.number
        try:
            values = [pack(version, number) + dumps(row) for row, version in zip(rows, versions, strict=True)]
        except orjson.JSONEncodeError:
            return None
        return None if max(map(len, values), default=0) > MAX_ROW_BYTES + _HEAD.size else values

    def load(self, value: bytes) -> dict[str, Any]:
        """Return a row's Python values by column name from a value that is not a tombstone."""
        row = self.stored(value)
        for name, load in self._loads:
            stored = row[name]
            if stored is not None:
                row[name] = load(stored)
        return row

    def load_columns(self, values: Sequence[bytes], names: Iterable[str]) -> list[Sequence[Any]]:
        """Return the Python values of many rows, one column per name; a row has NULL in an unknown column.

        There is at least one value; all values are of this schema, and none is a tombstone.
        """
        rows = orjson.loads(b"[" + b",".join([value[_HEAD.size :] for value in values]) + b"]")
        known = dict(zip(self.names, zip(*rows, strict=True), strict=True))
        loads = dict(self._loads)
        return [_loaded(known.get(name), loads.get(name), len(values)) for name in names]

    def stored(self, value: bytes) -> dict[str, Any]:
        """Return a row's JSON forms by column name from a value that is not a tombstone."""
        return dict(zip(self.names, orjson.loads(value[_HEAD.size :]), strict=True))


def _loaded(stored: Sequence[Any] | None, load: Callable[[Any], Any] | None, count: int) -> Sequence[Any]:
    if stored is None:
        return [None] * count
    if load is None:
        return stored
    if None in stored:
        return [None if value is None else load(value) for value in stored]
    return list(map(load, stored))


def tombstone(version: int) -> bytes:
    """Return the value of a row that is deleted but may still be in another shard."""
    return _HEAD.pack(version, TOMBSTONE_SCHEMA)


def version_of(value: bytes) -> int:
    """Return the version of a value."""
    version: int = _HEAD.unpack_from(value)[0]
    return version


def schema_of(value: bytes) -> int:
    """Return the number of a value's schema; TOMBSTONE_SCHEMA for a tombstone."""
    number: int = _HEAD.unpack_from(value)[1]
    return number
