"""Lookups in Redis: one GET or HGETALL per key, all of a batch sent together to each server."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import orjson

from connectors.redis.connection import Nodes, call, error_of, redis_errors, slot_of
from connectors.redis.rows import RowForm
from streamjobs.errors import ConfigError, RetriableError, SystemicError
from streamjobs.options.store_options import REDIS_OPTIONS
from streamjobs.sinks.contract import SinkTable
from streamjobs.sinks.stored_types import ColumnType, UnfitValueError, column_type

Key = tuple[Any, ...]
Row = tuple[Any, ...]
Get = Callable[[Any], Any]


class RedisLookup:
    """Reads rows as RedisSink writes them; fulfils `streamjobs.lookups.contract.Lookup`.

    A field that is missing in a hash or a text is NULL; the key's columns come from the key.
    """

    def __init__(self, table: SinkTable) -> None:
        where = f"table {table.name}"
        options = REDIS_OPTIONS.parse(table.options, where)
        self._mode = options.text("mode")
        if self._mode == "SORTEDSET" or options.text("cache") == "ALL":
            message = (
                f"{where}: a lookup in Redis reads the modes STRING and HASHMAP, with 'cache'='NONE' or 'LRU'"
            )
            raise ConfigError(message)
        prefix = options.text_or_none("keyPrefix")
        self._table = table
        self._where = where
        self._form = RowForm(table, f"{table.name}:" if prefix is None else prefix)
        self._nodes = Nodes(options, where)
        reader = _of_text if self._mode == "HASHMAP" else _of_json
        self._columns = [(c.name, reader(column_type(c.type))) for c in table.columns]

    def open(self) -> None:
        """Connect."""
        self._nodes.connect()

    def fetch(self, keys: Sequence[Key]) -> Mapping[Key, Row]:
        """Read the rows of these keys; see the contract."""
        names: dict[Key, bytes] = {}
        for key in keys:
            try:
                names[key] = self._form.key(key)
            except UnfitValueError:
                continue  # an invalid key has no row
        try:
            if not self._nodes.connected:
                self._nodes.connect()
            return self._fetch(names)
        except RetriableError:
            self._nodes.close()  # an answer still on its way must not answer a later request
            raise

    def scan(self) -> Iterable[tuple[Key, Row]]:
        """Raise: the keys of a prefix cannot be listed without reading all keys of the server."""
        message = f"{self._where}: a Redis table cannot be read as a whole"
        raise AssertionError(message)

    def close(self) -> None:
        """Close the connection."""
        self._nodes.close()

    def _fetch(self, names: Mapping[Key, bytes]) -> Mapping[Key, Row]:
        found: dict[Key, Row] = {}
        verb, what = b"HGETALL" if self._mode == "HASHMAP" else b"GET", f"{self._where}: looking up rows"
        by_node: dict[int, list[tuple[Key, bytes]]] = {}
        for key, name in names.items():
            node = self._nodes.node(slot_of(name) if self._nodes.is_cluster else 0)
            by_node.setdefault(id(node), []).append((key, name))
        for node in self._nodes.primaries():
            own = by_node.get(id(node), [])
            if not own:
                continue
            with redis_errors(what):
                answers = call(node, [[verb, name] for _, name in own])
            for (key, name), answer in zip(own, answers, strict=True):
                if isinstance(answer, Exception):
                    raise error_of(answer, f"{what}: key {name!r}") from answer
                if answer:
                    found[key] = self._row(key, name, answer)
        return found

    def _row(self, key: Key, name: bytes, answer: Any) -> Row:
        values: dict[str, Any] = dict(zip(self._table.key, key, strict=True))
        try:
            stored = self._stored(answer)
            for column, get in self._columns:
                if column not in values:
                    value = stored.get(column)
                    values[column] = None if value is None else get(value)
        except (ValueError, ArithmeticError, TypeError, AttributeError, KeyError) as exc:
            message = f"{self._where}: key {name!r} holds no row of this table: {exc}"
            raise SystemicError(message) from exc
        return tuple(values[column] for column, _ in self._columns)

    def _stored(self, answer: Any) -> Mapping[str, Any]:
        if self._mode == "STRING":
            stored: Mapping[str, Any] = orjson.loads(answer)
            return stored
        pairs = answer.items() if isinstance(answer, dict) else zip(answer[::2], answer[1::2], strict=True)
        return {name.decode(): value for name, value in pairs}


def _of_json(kind: ColumnType) -> Get:
    """Return a decoder from the stored form to a value of the type."""
    load = kind.load

    def get(value: Any) -> Any:
        if kind.plain is bytes:
            return base64.b64decode(value, validate=True)
        loaded = value if load is None else load(value)
        kind.store(loaded)
        return loaded

    return get


def _of_text(kind: ColumnType) -> Get:
    """Return a decoder from the bytes in a hash to a value of the type."""
    if kind.plain is bytes:
        return bytes
    if kind.plain is bool:
        return lambda data: {b"true": True, b"false": False}[data]
    checked = _of_json(kind)
    if kind.plain is int:
        return lambda data: checked(int(data))
    return lambda data: checked(data.decode())
