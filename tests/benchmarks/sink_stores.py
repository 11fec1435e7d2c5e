"""The stores of the sinks' benchmark, each with the best hand-written loop for its client.

A loop writes only the data that an analyst sees: no fence, no version, no check of a value. It gets the rows
as tuples of Python values, and waits for the store's answer to a batch before it sends the next.
"""

from __future__ import annotations

import hashlib
import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date, datetime
from pathlib import Path
from typing import Any, ClassVar

import happybase
import orjson
import pymysql
import redis
from elasticsearch import Elasticsearch
from rocksdict import Options, Rdict, WriteBatch, WriteOptions

from connectors.rocksdb import RocksDbTable
from streamjobs.local.environment import Environment
from streamjobs.local.mariadb import USER
from streamjobs.options.options import Secret
from tests.benchmarks.sink_rows import NAMES

Row = tuple[Any, ...]
_DATABASE = "bench"


class BenchStore(ABC):
    """One store: its services, empty tables, the hand-written loop, and the final content."""

    name: ClassVar[str]
    kind: ClassVar[str]
    batch: ClassVar[int]
    rows: ClassVar[float] = 1.0
    """Share of the rows that a run writes: less where a store is slow, more where a job ends too soon."""
    service: ClassVar[str] = ""
    """What of an Environment it needs."""

    def __init__(self, environment: Environment, directory: Path) -> None:
        self.environment = environment
        self.directory = directory

    @abstractmethod
    def options(self, table: str) -> dict[str, str | Secret]:
        """Prepare an empty table and return the options by which our sink writes it."""

    @abstractmethod
    def by_hand(self, table: str, batches: Iterable[Sequence[Row]]) -> None:
        """Write all rows; return when the store has them."""

    @abstractmethod
    def read(self, table: str) -> Iterator[object]:
        """Yield all content of the table, in any order."""

    def digest(self, table: str) -> tuple[int, str]:
        """Return the number of rows, and a text that is the same for the same rows."""
        found = sorted(hashlib.sha256(repr(each).encode()).digest() for each in self.read(table))
        return len(found), hashlib.sha256(b"".join(found)).hexdigest()


class RocksDb(BenchStore):
    """RocksDB in this process; each batch is durable."""

    name, kind, batch, rows = "RocksDB", "rocksdb", 5000, 2.0

    def options(self, table: str) -> dict[str, str | Secret]:
        del table
        return {"path": str(self.directory / "rocksdb")}

    def by_hand(self, table: str, batches: Iterable[Sequence[Row]]) -> None:
        options, durable = Options(raw_mode=True), WriteOptions()
        options.create_if_missing(True)
        durable.sync = True
        with closing(Rdict(str(self._path(table)), options)) as store:
            for rows in batches:
                batch = WriteBatch(raw_mode=True)
                for row in rows:
                    batch.put(struct.pack(">Q", row[0] + (1 << 63)), orjson.dumps(row, default=str))
                store.write(batch, durable)

    def read(self, table: str) -> Iterator[object]:
        if self._path(table).exists():
            with closing(Rdict(str(self._path(table)), Options(raw_mode=True))) as store:
                yield from (tuple(orjson.loads(value)) for value in store.values())
            return
        with RocksDbTable(self.directory / "rocksdb", table) as reader:
            for row in reader.scan():
                yield tuple(orjson.loads(orjson.dumps(tuple(row.values()), default=str)))

    def _path(self, table: str) -> Path:
        return self.directory / "by_hand" / table


class MySql(BenchStore):
    """MariaDB: multi-row INSERT … ON DUPLICATE KEY UPDATE, one transaction per batch."""

    name, kind, batch, service = "MySQL", "mysql", 5000, "mariadb"
    _TABLE = (
        "id BIGINT PRIMARY KEY, user_id BIGINT, item_id INT, price DECIMAL(12,2), score DOUBLE, "
        "seen_at DATETIME(3), seen_on DATE, city VARCHAR(40), title VARCHAR(80), bought BOOLEAN"
    )

    def options(self, table: str) -> dict[str, str | Secret]:
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE IF NOT EXISTS {_DATABASE} CHARACTER SET utf8mb4")
            cursor.execute(f"CREATE TABLE {_DATABASE}.{table} ({self._TABLE})")
        return {"url": f"mysql://127.0.0.1:{self.environment.mariadb.port}/{_DATABASE}", "userName": USER}

    def by_hand(self, table: str, batches: Iterable[Sequence[Row]]) -> None:
        values = ", ".join(["%s"] * len(NAMES))
        changes = ", ".join(f"{name} = VALUES({name})" for name in NAMES[1:])
        statement = (
            f"INSERT INTO {_DATABASE}.{table} ({', '.join(NAMES)}) VALUES ({values}) "
            f"ON DUPLICATE KEY UPDATE {changes}"
        )
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            for rows in batches:
                cursor.executemany(statement, rows)
                connection.commit()

    def read(self, table: str) -> Iterator[object]:
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {_DATABASE}.{table}")
            yield from cursor.fetchall()

    def _connect(self) -> Any:
        return pymysql.connect(
            host="127.0.0.1", port=self.environment.mariadb.port, user=USER, charset="utf8mb4"
        )


class Redis(BenchStore):
    """Redis: commands in pipelines."""

    kind, service = "redis", "redis"
    batch = 2000

    def options(self, table: str) -> dict[str, str | Secret]:
        return {"host": "127.0.0.1", "port": str(self.environment.redis.port), "keyPrefix": f"{table}:"}

    def by_hand(self, table: str, batches: Iterable[Sequence[Row]]) -> None:
        with self._client() as client:
            for rows in batches:
                with client.pipeline(transaction=False) as pipeline:
                    self._fill(pipeline, table, rows)
                    pipeline.execute()

    @abstractmethod
    def _fill(self, pipeline: Any, table: str, rows: Sequence[Row]) -> None:
        """Put the commands of these rows into the pipeline."""

    @abstractmethod
    def _values(self, client: Any, keys: Sequence[bytes]) -> list[object]:
        """Read these keys."""

    def read(self, table: str) -> Iterator[object]:
        with self._client() as client:
            keys = list(client.scan_iter(f"{table}:*", 5000))
            for start in range(0, len(keys), 5000):
                some = keys[start : start + 5000]
                names = [key.partition(b":")[2] for key in some]
                yield from zip(names, self._values(client, some), strict=True)

    def _client(self) -> Any:
        return redis.Redis(port=self.environment.redis.port)


class RedisTexts(Redis):
    """One JSON text per row."""

    name = "Redis, STRING"

    def _fill(self, pipeline: Any, table: str, rows: Sequence[Row]) -> None:
        for row in rows:
            text = orjson.dumps(dict(zip(NAMES, row, strict=True)), default=str)
            pipeline.set(f"{table}:{row[0]}", text)

    def _values(self, client: Any, keys: Sequence[bytes]) -> list[object]:
        found: list[object] = client.mget(keys)
        return found


class RedisHashes(Redis):
    """One hash per row."""

    name = "Redis, HASHMAP"

    def options(self, table: str) -> dict[str, str | Secret]:
        return {**super().options(table), "mode": "HASHMAP"}

    def _fill(self, pipeline: Any, table: str, rows: Sequence[Row]) -> None:
        for row in rows:
            id_, user, item, price, score, seen_at, seen_on, city, title, bought = row
            texts = (
                id_, user, item, str(price), score, seen_at.isoformat(), seen_on.isoformat(), city, title,
                "true" if bought else "false",
            )  # fmt: skip
            pipeline.hset(f"{table}:{id_}", mapping=dict(zip(NAMES, texts, strict=True)))

    def _values(self, client: Any, keys: Sequence[bytes]) -> list[object]:
        with client.pipeline(transaction=False) as pipeline:
            for key in keys:
                pipeline.hgetall(key)
            return [sorted(found.items()) for found in pipeline.execute()]


class ElasticsearchStore(BenchStore):
    """Elasticsearch: bulk requests of lines made by orjson, answers without the items."""

    name, kind, batch = "Elasticsearch", "elasticsearch", 5000
    service = "elasticsearch"
    _SETTINGS: ClassVar[Mapping[str, object]] = {"number_of_replicas": 0, "refresh_interval": "30s"}

    def options(self, table: str) -> dict[str, str | Secret]:
        settings = {f"settings.{name}": str(value) for name, value in self._SETTINGS.items()}
        return {"endPoint": self.environment.elasticsearch.url, "index": table, **settings}

    def by_hand(self, table: str, batches: Iterable[Sequence[Row]]) -> None:
        types = "long long integer double double date date keyword keyword boolean".split()
        properties = {name: {"type": type_} for name, type_ in zip(NAMES, types, strict=True)}
        with self._client() as client:
            client.indices.create(
                index=table, settings=self._SETTINGS, mappings={"dynamic": "strict", "properties": properties}
            )
            for rows in batches:
                lines = []
                for row in rows:
                    lines.append(b'{"index":{"_id":"%d"}}' % row[0])
                    lines.append(orjson.dumps(dict(zip(NAMES, row, strict=True)), default=str))
                lines.append(b"")
                body: Any = b"\n".join(lines)
                answer = client.bulk(index=table, body=body, filter_path="errors,items.*.error")
                assert not answer["errors"], answer

    def read(self, table: str) -> Iterator[object]:
        with self._client() as client:
            client.indices.refresh(index=table)
            page = client.search(index=table, scroll="1m", size=5000, sort=["_doc"])
            while page["hits"]["hits"]:
                yield from ((hit["_id"], sorted(hit["_source"].items())) for hit in page["hits"]["hits"])
                page = client.scroll(scroll_id=page["_scroll_id"], scroll="1m")

    def _client(self) -> Elasticsearch:
        return Elasticsearch(self.environment.elasticsearch.url, request_timeout=60)


class HBase(BenchStore):
    """HBase: batches of happybase, cells as Java's `Bytes.toBytes` writes them."""

    name, kind, batch, rows = "HBase", "hbase", 2000, 0.15
    service = "hbase"

    def options(self, table: str) -> dict[str, str | Secret]:
        with closing(self._connect()) as connection:
            connection.create_table(table, {"cf": {"max_versions": 1}})
        return {"endPoint": f"127.0.0.1:{self.environment.hbase.port}", "requestTimeout": "60 s"}

    def by_hand(self, table: str, batches: Iterable[Sequence[Row]]) -> None:
        columns = [f"cf:{name}".encode() for name in NAMES]
        with closing(self._connect()) as connection:
            target = connection.table(table)
            for rows in batches:
                with target.batch() as batch:
                    for row in rows:
                        key = struct.pack(">Q", row[0] + (1 << 63))
                        batch.put(key, dict(zip(columns, _cells(row), strict=True)))

    def read(self, table: str) -> Iterator[object]:
        with closing(self._connect()) as connection:
            for key, cells in connection.table(table).scan(batch_size=2000):
                yield key, sorted(cells.items())

    def _connect(self) -> Any:
        return happybase.Connection("127.0.0.1", self.environment.hbase.port, timeout=60_000)


_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001
_EPOCH_DAY = date(1970, 1, 1).toordinal()


def _cells(row: Row) -> tuple[bytes, ...]:
    id_, user, item, price, score, seen_at, seen_on, city, title, bought = row
    unscaled = int(price.scaleb(2))
    moment = seen_at - _EPOCH
    return (
        struct.pack(">q", id_), struct.pack(">q", user), struct.pack(">i", item),
        struct.pack(">i", 2) + unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True),
        struct.pack(">d", score),
        struct.pack(">q", (moment.days * 86_400 + moment.seconds) * 1000 + moment.microseconds // 1000),
        struct.pack(">i", seen_on.toordinal() - _EPOCH_DAY),
        city.encode(), title.encode(), b"\xff" if bought else b"\x00",
    )  # fmt: skip


STORES: Sequence[Sequence[type[BenchStore]]] = (
    (RocksDb, MySql, RedisTexts, RedisHashes),
    (ElasticsearchStore,),
    (HBase,),
)
"""The stores; each group's services run together, idle they cost little."""
