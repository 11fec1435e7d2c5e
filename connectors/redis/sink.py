"""The Redis sink: a row is a JSON text, a hash or a member of a sorted set."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import redis

from connectors.redis.connection import Nodes, call, error_of, redis_errors, slot_of
from connectors.redis.fences import RedisFence
from connectors.redis.rows import OWN_PREFIX, RowForm, score_text
from connectors.redis.scripts import FENCED, WRITE_HASHES, WRITE_MEMBERS, WRITE_TEXTS
from streamjobs.errors import ConfigError, RetriableError, StreamjobsError
from streamjobs.options.store_options import REDIS_OPTIONS
from streamjobs.sinks.contract import (
    Attempt,
    Record,
    RecordKind,
    Rejection,
    SinkTable,
    SinkTraits,
    WriteResult,
)
from streamjobs.sinks.stored_types import UnfitValueError
from streamjobs.sinks.upsert_batch import columns_of, has_deletes, keys_of

logger = logging.getLogger(__name__)

_SCRIPT_ROWS = 500
"""Rows of one script call: the server does nothing else meanwhile (about 5 ms)."""
_SCRIPT_BYTES = 4 * 1024 * 1024
_SCRIPTS = {"STRING": WRITE_TEXTS, "HASHMAP": WRITE_HASHES, "SORTEDSET": WRITE_MEMBERS}


class _Written(NamedTuple):
    """A record as arguments of a script: its index in the batch, its Redis key, and the arguments."""

    place: int
    key: bytes
    arguments: tuple[bytes, ...]

    @property
    def size(self) -> int:
        return len(self.key) + sum(map(len, self.arguments))


class RedisSink:
    """Writes one table's rows to Redis; fulfils `streamjobs.sinks.contract.Sink`.

    Promise: each script checks the fence and writes its rows in one step: an older attempt never writes
    after a newer one has opened. Keys that a script wrote before the server died are written again.
    """

    traits = SinkTraits(
        guarantee="Each key holds the last change made to it, as durable as appendfsync makes it.",
        idempotence="Writing the same changes again gives the same rows; only a time to live starts again.",
        deletes="A delete removes the key, the fields or the member; nothing is left.",
        ordering="Changes of a key take effect in the order written; an older attempt never writes again.",
        rejects=(
            "Values that their declared type cannot hold, NULL in a key, keys > 1 MiB, rows > 16 MiB, keys "
            "that hold another kind of value, scores that a double cannot hold exactly."
        ),
        max_batch_rows=2000,
        max_batch_bytes=8 * 1024 * 1024,
        operation=(
            "Use `maxmemory-policy noeviction`, or rows may vanish, and `appendonly yes` with "
            "`appendfsync always`: with `everysec` a machine that fails, or a server killed while its "
            "disk is busy, may lose the last two seconds of acknowledged writes. In a HASHMAP a column "
            "that is NULL has no field, so HGET answers nil and HEXISTS 0, while an empty text is a field "
            "with zero bytes; the key columns always have a field, so EXISTS is 1 for a row of NULLs and 0 "
            "for no row. In a STRING a NULL is null in the JSON text. In addition to its rows a table has a "
            "key `__streamjobs__:fence:` followed by its keyPrefix, in a cluster one such key for each of "
            "the 16384 slots: `SCAN 0 MATCH 'item:*'` shows only rows, `KEYS *` shows both. A job stops when "
            "its fence is deleted ([decision 0073](decisions/0073-where-fences-of-redis-are.md))."
        ),
    )

    def __init__(self, table: SinkTable) -> None:
        where = f"table {table.name}"
        options = REDIS_OPTIONS.parse(table.options, where)
        prefix = options.text_or_none("keyPrefix")
        self._table = table
        self._mode = options.text("mode")
        self._ttl = b"%d" % (options.number_or_none("ttl") or 0)
        self._form = RowForm(table, f"{table.name}:" if prefix is None else prefix)
        _refuse_prefix_of_fences(self._form.prefix, where)
        self._score = _score_column(table, options.text_or_none("scoreColumn")) if self._is_set else ""
        writer = options.text_or_none("writer")
        self._shared = writer is not None
        self._nodes = Nodes(options, where)
        self._fence = RedisFence(self._nodes, table.name, f"{self._form.prefix.decode()}{writer or ''}")
        script = _SCRIPTS[self._mode]
        self._script = script
        self._sha = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest().encode()
        names = [name.encode() for name in self._form.names] if self._mode == "HASHMAP" else []
        self._columns = [b"%d" % len(names), *names] if names else []

    @property
    def _is_set(self) -> bool:
        return self._mode == "SORTEDSET"

    def open(self, attempt: Attempt) -> None:
        """Connect and become the writer of this subtask. Raises as the contract says, and ConfigError."""
        self._connect()
        self._warn_of_eviction()
        try:
            self._fence.take(attempt)
        except RetriableError:
            self._nodes.close()
            raise

    def write(self, batch: Sequence[Record]) -> WriteResult:
        """Write the batch; see the contract."""
        if not self._nodes.connected:
            self._connect()
        try:
            rejected: list[Rejection] = []
            calls = list(self._calls(self._spelled(batch, rejected)))
            rejected += self._send(batch, calls)  # all together: a wait for each costs more than the script
        except RetriableError:
            self._nodes.close()  # an answer still on its way must not answer a later request
            raise
        return WriteResult(tuple(rejected))

    def close(self) -> None:
        """Close the connection."""
        self._nodes.close()

    def _connect(self) -> None:
        try:
            self._nodes.connect()
            with redis_errors(f"table {self._table.name}: loading the script"):
                for node in self._nodes.primaries():
                    node.script_load(self._script)
        except StreamjobsError:
            self._nodes.close()
            raise

    def _warn_of_eviction(self) -> None:
        for node in self._nodes.primaries():
            try:
                policy = str(node.info("memory").get("maxmemory_policy", ""))
            except redis.ResponseError:  # an ACL user may have no right to read it
                continue
            except (redis.RedisError, OSError) as exc:
                self._nodes.close()
                raise error_of(exc, f"table {self._table.name}: asking for the memory policy") from exc
            if policy.startswith("allkeys"):
                logger.warning(
                    "table %s: Redis may evict any row (maxmemory-policy %s); use noeviction to keep them",
                    self._table.name,
                    policy,
                )

    def _spelled(self, batch: Sequence[Record], rejected: list[Rejection]) -> Sequence[_Written]:
        many = None if self._is_set or has_deletes(batch) else self._spelled_at_once(batch)
        return list(self._spelled_one_by_one(batch, rejected)) if many is None else many

    def _spelled_at_once(self, batch: Sequence[Record]) -> Sequence[_Written] | None:
        """Encode complete UPSERTs a column at a time; None if one of them must be handled alone."""
        keys = self._form.keys_many(keys_of(batch))
        columns = None if keys is None else columns_of(batch, self._form.names)
        if keys is None or columns is None:
            return None
        arguments: list[tuple[bytes, ...]] | None
        if self._mode == "HASHMAP":
            fields = self._form.fields_many(columns)
            arguments = None if fields is None else [(mask.encode(), *texts) for mask, texts in fields]
        else:
            texts = self._form.texts_many(columns)
            arguments = None if texts is None else [(text,) for text in texts]
        return None if arguments is None else list(map(_Written, range(len(keys)), keys, arguments))

    def _spelled_one_by_one(self, batch: Sequence[Record], rejected: list[Rejection]) -> Iterator[_Written]:
        previous = self._previous(batch)
        for place, record in enumerate(batch):
            try:
                yield _Written(place, *self._spell(record, previous))
            except UnfitValueError as exc:
                rejected.append(Rejection(record, exc.reason.value, str(exc)))

    def _spell(
        self, record: Record, previous: Mapping[tuple[Any, ...], bytes | None]
    ) -> tuple[bytes, tuple[bytes, ...]]:
        deletes = record.kind is RecordKind.DELETE
        if self._is_set:
            width = len(record.key) - 1
            key = self._form.key(record.key, width) if width else self._form.prefix.rstrip(b":")
            score = b""
            if not deletes:
                value = record.values.get(self._score)
                score = score_text(self._score, value, is_float=self._form.is_float(self._score))
            return key, (score, self._form.key_part(record.key, width))
        key = self._form.key(record.key)
        if self._mode == "HASHMAP":
            if deletes:
                return key, (b"d" if self._shared else b"",)
            mask, texts = self._form.fields(record.values)
            return key, (mask.encode(), *texts)
        if deletes:
            return key, (b"",)
        return key, (self._form.text(record.values, previous.get(record.key)),)

    def _previous(self, batch: Sequence[Record]) -> Mapping[tuple[Any, ...], bytes | None]:
        """Return the stored texts of the UPSERTs with ABSENT columns; none in other modes."""
        if self._mode != "STRING":
            return {}
        partial: dict[tuple[Any, ...], bytes] = {}
        for record in batch:
            if record.kind is RecordKind.UPSERT and not self._form.is_whole(record.values):
                try:
                    partial[record.key] = self._form.key(record.key)
                except UnfitValueError:
                    continue  # will be rejected when it is encoded
        with redis_errors(f"table {self._table.name}: reading rows to be completed"):
            return {
                key: self._nodes.node(slot_of(name) if self._nodes.is_cluster else 0).get(name)
                for key, name in partial.items()
            }

    def _calls(self, written: Iterable[_Written]) -> Iterator[tuple[int, list[_Written]]]:
        """Yield script calls: each with its slot and rows, few enough that others are served between two."""
        calls: dict[int, list[_Written]] = {}
        rows = size = 0
        for each in written:
            if rows and (rows >= _SCRIPT_ROWS or size + each.size > _SCRIPT_BYTES):
                yield from calls.items()
                calls, rows, size = {}, 0, 0
            calls.setdefault(slot_of(each.key) if self._nodes.is_cluster else 0, []).append(each)
            rows, size = rows + 1, size + each.size
        yield from calls.items()

    def _send(
        self, batch: Sequence[Record], calls: Sequence[tuple[int, Sequence[_Written]]]
    ) -> list[Rejection]:
        rejected: list[Rejection] = []
        for node in self._nodes.primaries():
            own = [call for call in calls if self._nodes.node(call[0]) is node]
            if not own:
                continue
            head, token = [b"EVALSHA", self._sha], [self._fence.field, self._fence.token, self._ttl]
            commands = [
                [
                    *head, b"%d" % (1 + len(rows)), self._fence.key(slot), *[row.key for row in rows],
                    *token, *self._columns, *[argument for row in rows for argument in row.arguments],
                ]
                for slot, rows in own
            ]  # fmt: skip
            what = f"table {self._table.name}: writing {sum(len(rows) for _, rows in own)} rows"
            with redis_errors(what):
                answers = call(node, commands)
            for (_, rows), answer in zip(own, answers, strict=True):
                rejected += self._judged(answer, batch, rows, what)
        return rejected

    def _judged(
        self, answer: Any, batch: Sequence[Record], rows: Sequence[_Written], what: str
    ) -> Iterator[Rejection]:
        if isinstance(answer, Exception):
            if FENCED in str(answer):
                with redis_errors(f"table {self._table.name}: reading the fence"):
                    lost = self._fence.lost()
                raise lost
            raise error_of(answer, what) from answer
        for place, message in zip(answer[::2], answer[1::2], strict=True):
            text = message.decode("utf-8", "replace")
            row = rows[int(place) - 1]
            if not text.startswith("WRONGTYPE"):
                raise error_of(redis.ResponseError(text), what)
            yield Rejection(batch[row.place], "wrongtype", f"key {row.key!r}: {text}")


def _refuse_prefix_of_fences(prefix: bytes, where: str) -> None:
    """Refuse a prefix by which a SCAN of the table's rows finds fences, too. Raises ConfigError."""
    if OWN_PREFIX.startswith(prefix) or prefix.startswith(OWN_PREFIX):
        message = (
            f"{where}: 'keyPrefix'='{prefix.decode()}' also finds the framework's own keys, which start "
            f"with {OWN_PREFIX.decode()}: choose another"
        )
        raise ConfigError(message)


def _score_column(table: SinkTable, given: str | None) -> str:
    others = [column for column in table.columns if column.name not in table.key]
    if given is None and len(others) == 1:
        given = others[0].name
    types = {column.name: column.type for column in others}
    if given is None or given not in types or len(others) != 1:
        message = (
            f"table {table.name}: a SORTEDSET has the columns of its key, the last of which is the member, "
            f"and one score; beside the key there are {', '.join(types) or 'none'}"
        )
        raise ConfigError(message)
    root = types[given].partition("(")[0].split()[0]
    if root not in ("TINYINT", "SMALLINT", "INT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE"):
        message = (
            f"table {table.name}: the score {given} is {types[given]}; Redis keeps scores as DOUBLE: cast it"
        )
        raise ConfigError(message)
    return given
