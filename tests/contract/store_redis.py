"""The Redis sink under the contract: texts and hashes, read by the plain protocol."""

from __future__ import annotations

import base64
import json
import re
import socket
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from connectors.redis import RedisSink
from streamjobs.local.environment import Environment
from streamjobs.local.redis import RedisOptions, RedisServer
from streamjobs.options.options import Secret
from streamjobs.sinks.contract import Sink, SinkColumn, SinkTable
from tests.contract.stores import COLUMNS, Row, Rows, ServerStore
from tests.patience import limit_s

PASSWORD = "right-password-7"  # noqa: S105
OWN = b"__streamjobs__:"


class RedisReader:
    """A client of nothing but a socket. Source: https://redis.io/docs/latest/develop/reference/protocol-spec/"""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 30)
        self._file: BinaryIO = self._socket.makefile("rb")
        self.ask("AUTH", PASSWORD)

    def ask(self, *words: str | bytes) -> Any:
        """Send one command and give its answer: bytes, int, None or a list."""
        raw = [word.encode() if isinstance(word, str) else word for word in words]
        parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in raw)
        self._socket.sendall(b"*%d\r\n" % len(raw) + parts)
        return self._answer()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _answer(self) -> Any:
        line = self._file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise AssertionError(rest)
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"*":
            return [self._answer() for _ in range(int(rest))]
        if int(rest) < 0:
            return None
        return self._file.read(int(rest) + 2)[:-2]


class Redis(ServerStore):
    """A table a key prefix, in a database that is behind a password."""

    poison: ClassVar[Mapping[str, Any]] = {"big": 2**63}
    biggest_text = 16 * 1024 * 1024 - 300
    too_big_text = 16 * 1024 * 1024
    mode: ClassVar[str]
    options: ClassVar[RedisOptions] = RedisOptions(password=PASSWORD)

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.environment = Environment(root, kafka=False, flink=False, redis=self.options)

    def start(self) -> None:
        self.environment.start()

    def stop(self) -> None:
        self.environment.stop()

    @property
    def service(self) -> RedisServer:
        return self.environment.redis

    def table(self, columns: Sequence[SinkColumn] = COLUMNS, key: tuple[str, ...] = ("id",)) -> SinkTable:
        options: dict[str, str | Secret] = {
            "host": "127.0.0.1",
            "port": str(self.service.port),
            "password": Secret(PASSWORD),
            "mode": self.mode,
            "requestTimeout": f"{round(limit_s(1) * 1000)} ms",
            "connectTimeout": f"{round(limit_s(1) * 1000)} ms",
        }
        return SinkTable(self.next_name(), tuple(columns), key, options)

    def sink(self, table: SinkTable) -> Sink:
        return RedisSink(table)

    def rows(self, table: SinkTable) -> Rows:
        reader = RedisReader(self.service.port)
        rows: Rows = {}
        for key in reader.ask("KEYS", f"{table.name}:*"):
            assert not key.startswith(OWN)
            row = self.row(reader, key, table)
            name = ":".join(str(row[each]).replace("\\", "\\\\").replace(":", "\\:") for each in table.key)
            text = name if len(table.key) > 1 else str(row[table.key[0]])
            assert key == f"{table.name}:{text}".encode()
            rows[tuple(row[each] for each in table.key)] = row
        reader.close()
        return rows

    @abstractmethod
    def row(self, reader: RedisReader, key: bytes, table: SinkTable) -> Row:
        """Read one row."""

    def wrong_password(self, table: SinkTable) -> SinkTable:
        return replace(table, options={**table.options, "password": Secret("wrong-password-7")})

    def broken_targets(self) -> Mapping[str, SinkTable]:
        table = self.table()
        away = {name: value for name, value in table.options.items() if name != "host"}
        return {
            "DB index is out of range": replace(table, options={**table.options, "dbNum": "99"}),
            "option 'host'": replace(table, options=away),
        }


class RedisTexts(Redis):
    mode = "STRING"

    def row(self, reader: RedisReader, key: bytes, table: SinkTable) -> Row:
        stored = json.loads(reader.ask("GET", key))
        assert list(stored) == [column.name for column in table.columns]
        return {name: _typed(name, value) for name, value in stored.items()}


class RedisHashes(Redis):
    mode = "HASHMAP"

    def row(self, reader: RedisReader, key: bytes, table: SinkTable) -> Row:
        flat = reader.ask("HGETALL", key)
        stored = dict(zip(flat[::2], flat[1::2], strict=True))
        names = [column.name for column in table.columns]
        assert {name.decode() for name in stored} <= set(names)
        return {name: _of_text(name, stored.get(name.encode())) for name in names}


class RedisCluster(RedisHashes):
    """Hashes on a cluster of one node: every rule of slots holds there."""

    options: ClassVar[RedisOptions] = RedisOptions(cluster=True, password=PASSWORD)

    def table(self, columns: Sequence[SinkColumn] = COLUMNS, key: tuple[str, ...] = ("id",)) -> SinkTable:
        table = super().table(columns, key)
        return replace(table, options={**table.options, "clusterMode": "true"})


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "price": Decimal,
    "at": lambda v: datetime.fromisoformat(v).replace(tzinfo=timezone.utc),
    "local_at": datetime.fromisoformat,
    "day": date.fromisoformat,
    "clock": time.fromisoformat,
}
_TEXT_READERS: Mapping[str, Callable[[Any], Any]] = {
    **_READERS,
    "id": int,
    "big": int,
    "share": float,
    "flag": lambda v: {"true": True, "false": False}[v],
}


def _typed(name: str, value: Any) -> Any:
    if name == "price" and value is not None:
        assert re.fullmatch(r"-?\d+\.\d\d", value)
    if value is None or name == "raw":
        return value if value is None else base64.b64decode(value)
    reader = _READERS.get(name)
    return value if reader is None else reader(value)


def _of_text(name: str, value: bytes | None) -> Any:
    if value is None or name == "raw":
        return value
    reader = _TEXT_READERS.get(name, str)
    return reader(value.decode())
