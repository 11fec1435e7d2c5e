"""What stores hold of values, read by clients that are not ours, as one plain text a value.

The text of a value is the same whatever holds it: `true`, `-5`, `0.1`, `12.50`, `2024-02-29`,
`23:59:59.999000`, `2024-02-29T12:30:00.999999000` (UTC, nine digits), the text itself, bytes in hex.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import date, datetime, timedelta, timezone
from typing import Any

from streamjobs.changes.wire_values import shortest_float
from streamjobs.sinks.contract import SinkColumn, SinkTable
from tests.contract.store_elasticsearch import Elasticsearch
from tests.contract.store_hbase import HBase, HBaseReader
from tests.contract.store_redis import Redis, RedisHashes, RedisReader
from tests.contract.store_rocksdb import RocksDb
from tests.contract.stores import Store

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001
Held = dict[str, dict[str, str]]
"""Key of a row -> column -> text of its value; NULLs are left out."""


def text_of(type_: str, value: Any) -> str:
    """Return the text of a value as it was given to a sink."""
    root = type_.partition("(")[0]
    if root == "BOOLEAN":
        return "true" if value else "false"
    if root == "FLOAT":
        return repr(shortest_float(value))
    if root == "DECIMAL":
        return f"{value:f}"
    if root == "BYTES":
        return bytes(value).hex()
    if root == "DATE":
        return str(value.isoformat())
    if root == "TIME":
        return str(value.isoformat("microseconds"))
    if root in ("TIMESTAMP", "TIMESTAMP_LTZ"):
        zoned = value.astimezone(timezone.utc) if value.tzinfo else value
        nanos = int(getattr(value, "nanosecond", 0))
        return f"{zoned.replace(tzinfo=None).isoformat(timespec='microseconds')}{nanos:03}"
    return value if root == "STRING" else repr(value)


def of_json(type_: str, value: Any) -> str:
    """Return the text of what a JSON document holds."""
    root = type_.partition("(")[0]
    if root == "BOOLEAN":
        return {True: "true", False: "false"}[value]
    if root in ("FLOAT", "DOUBLE"):
        return repr(float(value))
    if root == "BYTES":
        return base64.b64decode(value, validate=True).hex()
    if root in ("TIMESTAMP", "TIMESTAMP_LTZ"):
        return _moment(value)
    if root in ("TINYINT", "SMALLINT", "INT", "BIGINT"):
        assert type(value) is int
        return repr(value)
    assert type(value) is str
    return value


def of_text(type_: str, data: bytes) -> str:
    """Return the text of a value that a store holds as one, as `stringWriteMode` of HBase does."""
    root, text = type_.partition("(")[0], data.decode()
    if root in ("FLOAT", "DOUBLE"):
        return repr(float(text))
    if root in ("TIMESTAMP", "TIMESTAMP_LTZ"):
        return _moment(text)
    return base64.b64decode(text, validate=True).hex() if root == "BYTES" else text


def of_java(type_: str, data: bytes) -> str:
    """Return the text of what Java's `Bytes` would read."""
    root, _, digits = type_.rstrip(")").partition("(")
    readers: Mapping[str, Callable[[bytes], str]] = {
        "BOOLEAN": lambda raw: {b"\xff": "true", b"\0": "false"}[raw],
        "TINYINT": lambda raw: repr(struct.unpack(">b", raw)[0]),
        "SMALLINT": lambda raw: repr(struct.unpack(">h", raw)[0]),
        "INT": lambda raw: repr(struct.unpack(">i", raw)[0]),
        "BIGINT": lambda raw: repr(struct.unpack(">q", raw)[0]),
        "FLOAT": lambda raw: repr(shortest_float(struct.unpack(">f", raw)[0])),
        "DOUBLE": lambda raw: repr(struct.unpack(">d", raw)[0]),
        "DECIMAL": _big_decimal,
        "STRING": bytes.decode,
        "BYTES": bytes.hex,
        "DATE": lambda raw: date.fromordinal(719_163 + struct.unpack(">i", raw)[0]).isoformat(),
        "TIME": lambda raw: _since(struct.unpack(">i", raw)[0] * 1000).time().isoformat("microseconds"),
    }
    if root not in readers:
        if digits == "9":
            return _moment(data.decode())
        unit = 1000 if int(digits) <= 3 else 1
        return f"{_since(struct.unpack('>q', data)[0] * unit).isoformat(timespec='microseconds')}000"
    return readers[root](data)


Read = Callable[[str, Any], str]
Raw = Iterator[tuple[Any, dict[str, Any]]]
"""Rows as their store has them: the key (its first column, in a JSON document), and values by column."""


def held(store: Store, table: SinkTable) -> Held:
    """Read all rows of a table whose key is its first column, a STRING."""
    types = {column.name: column.type for column in table.columns}
    read, rows = _raw(store, table)
    return {
        key: {name: read(types[name], value) for name, value in row.items() if value is not None}
        for key, row in rows
    }


def held_in(store: Store, table: SinkTable, column: SinkColumn) -> list[str]:
    """Read one column of all rows, whatever their key is."""
    read, rows = _raw(store, table)
    return [read(column.type, row[column.name]) for _, row in rows]


def _raw(store: Store, table: SinkTable) -> tuple[Read, Raw]:
    names = [column.name for column in table.columns]
    match store:
        case RocksDb():
            rows = (dict(zip(names, values, strict=True)) for values in store.raw(table))
            return of_json, ((row[names[0]], row) for row in rows)
        case Elasticsearch():
            return of_json, ((row[names[0]], row) for row in store.sources(table.name))
        case HBase():
            read = of_text if table.options.get("stringWriteMode") == "true" else of_java
            return read, _of_hbase(store, table)
        case RedisHashes():
            return _of_hash, _of_redis(store, table)
        case Redis():
            return of_json, _of_redis(store, table)
    raise AssertionError(store)


def _of_hbase(store: HBase, table: SinkTable) -> Raw:
    with closing(HBaseReader(store.service.port)) as reader:
        for key, cells in reader.scan(table.name):
            row = {column.partition(b":")[2].decode(): data for column, data in cells.items()}
            yield key.decode(errors="replace"), row


def _of_redis(store: Redis, table: SinkTable) -> Raw:
    prefix = f"{table.name}:".encode()
    with closing(RedisReader(store.service.port)) as reader:
        for key in reader.ask("KEYS", prefix + b"*"):
            if isinstance(store, RedisHashes):
                flat = reader.ask("HGETALL", key)
                row = dict(zip(map(bytes.decode, flat[::2]), flat[1::2], strict=True))
            else:
                row = json.loads(reader.ask("GET", key))
            yield key.removeprefix(prefix).decode(errors="replace"), row


def _of_hash(type_: str, data: bytes) -> str:
    return data.hex() if type_ == "BYTES" else of_text(type_, data)


def _moment(text: str) -> str:
    head, _, fraction = text.removesuffix("Z").partition(".")
    return f"{datetime.fromisoformat(head).isoformat()}.{fraction.ljust(9, '0')}"


def _since(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=micros)


def _big_decimal(raw: bytes) -> str:
    (scale,), unscaled = struct.unpack(">i", raw[:4]), int.from_bytes(raw[4:], "big", signed=True)
    if not scale:
        return str(unscaled)
    digits = str(abs(unscaled)).rjust(scale + 1, "0")
    return f"{'-' if unscaled < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"
