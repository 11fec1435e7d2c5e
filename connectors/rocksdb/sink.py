"""The RocksDB sink: an embedded table on this host, one shard per subtask, readable while it is written."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rocksdict import WriteBatch, WriteOptions

from connectors.rocksdb.claims import Claim, Claims, Standing, standing
from connectors.rocksdb.layout import TableDirectory
from connectors.rocksdb.reader import RocksDbTable
from connectors.rocksdb.rows import (
    TOMBSTONE_SCHEMA,
    RowCodec,
    Schema,
    schema_of,
    tombstone,
    version_of,
)
from connectors.rocksdb.shard import open_writer, rocksdb_errors
from streamjobs.errors import SystemicError
from streamjobs.options.store_options import ROCKSDB_OPTIONS
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
from streamjobs.sinks.upsert_batch import columns_of, has_deletes, keys_of, versions_of

logger = logging.getLogger(__name__)

DEFAULT_PATH = ".streamjobs/rocksdb"
_COUNTER_MASK = (1 << 33) - 1
_POLL_S = 0.05

_open_here: dict[Path, RocksDbSink] = {}
"""The shards that this process holds. Module state on purpose: a RocksDB LOCK belongs to the process, so a
restarted attempt in the same process can only take over from a handle that it knows."""
_open_here_guard = threading.Lock()


class RocksDbSink:
    """Writes one table's rows to this subtask's shard; fulfils `streamjobs.sinks.contract.Sink`.

    Promise: `open` takes over from all older attempts, if necessary by SIGKILL: a zombie never writes again.
    While a run of another job is alive it waits `takeover_wait_s` for it to end, then refuses. Versions in
    the store contain an epoch, which every `open` increases, in the high bits, and the record's counter.
    """

    traits = SinkTraits(
        guarantee="Each key holds the last change made to it; a batch is written completely or not at all.",
        idempotence="Writing the same changes again gives the same rows.",
        deletes="A delete removes the row; after a change of parallelism it leaves a hidden marker.",
        ordering="Changes of a key take effect in the order written; an older attempt never writes again.",
        rejects="Values that their declared type cannot hold, NULL in a key, keys > 1 MiB, rows > 64 MiB.",
        max_batch_rows=5000,
        max_batch_bytes=8 * 1024 * 1024,
    )

    def __init__(self, table: SinkTable, *, takeover_wait_s: float = 30.0) -> None:
        options = ROCKSDB_OPTIONS.parse(table.options, f"table {table.name}")
        Schema.of_table(table, 0)
        self._path = Path(options.text("path")).resolve()
        self._table = table
        self._directory = TableDirectory(self._path, table.name)
        self._claims = Claims(self._directory.attempts)
        self._takeover_wait_s = takeover_wait_s
        self._claim: Claim | None = None
        self._lock = threading.Lock()
        self._db: Any = None
        self._write_options = WriteOptions()
        self._write_options.sync = options.flag("sync")

    def open(self, attempt: Attempt) -> None:
        """Claim the shard, remove older writers, open it.

        Raises: ConfigError (the table has another declaration), SystemicError (another run or a newer
        attempt of this subtask writes it), LockedError.
        """
        self._schemas = self._directory.declare(self._table)
        self._codec = RowCodec(self._schemas[max(self._schemas)])
        self._names = frozenset(self._codec.names)
        self._spread = self._directory.spread(attempt)
        self._claim = self._claims.take(attempt)
        self._epoch_bits = self._claim.epoch << 33
        self._foreign: RocksDbTable | None = None
        self._evict(self._claim)
        self._shard = self._directory.shard(attempt.subtask)
        with _open_here_guard:
            older = _open_here.get(self._shard)
            if older is not None:
                older.let_go()
            self._db = open_writer(self._shard, self._takeover_wait_s)
            _open_here[self._shard] = self
        self._refuse_if_newer(self._claim)
        logger.info("table %s: %s opened", self._table.name, self._claim)

    def write(self, batch: Sequence[Record]) -> WriteResult:
        """Write the batch in one atomic step; see the contract."""
        rejected: list[Rejection] = []
        changes = WriteBatch(raw_mode=True)
        if not self._put_at_once(batch, changes):
            for record in batch:
                try:
                    self._put(record, changes)
                except UnfitValueError as exc:
                    rejected.append(Rejection(record, exc.reason.value, str(exc)))
        with self._lock, rocksdb_errors(f"writing {len(batch)} rows to {self._shard}"):
            if self._db is None:
                message = f"table {self._table.name}: a newer attempt has taken over from {self._claim}"
                raise SystemicError(message)
            self._db.write(changes, self._write_options)
        return WriteResult(tuple(rejected))

    def close(self) -> None:
        """Release the shard and the claim."""
        self.let_go()
        if self._claim is not None:
            self._claims.close(self._claim)
            self._claim = None

    def let_go(self) -> None:
        """Close the shard; later writes raise SystemicError. Wait for a write of another thread."""
        with self._lock:
            if self._db is None:
                return
            with rocksdb_errors(f"closing {self._shard}"):
                self._db.close()
            self._db = None
            if self._foreign is not None:
                self._foreign.close()
            if _open_here.get(self._shard) is self:
                del _open_here[self._shard]

    def _put_at_once(self, batch: Sequence[Record], changes: WriteBatch) -> bool:
        """Encode and put complete UPSERTs a column at a time.

        False, with nothing put, if one of them must be handled alone.
        """
        columns = None if has_deletes(batch) else columns_of(batch, self._codec.names)
        keys = None if columns is None else self._codec.key_many(keys_of(batch))
        rows = None if columns is None or keys is None else self._codec.store_many(columns)
        if keys is None or rows is None:
            return False
        epoch = self._epoch_bits
        versions = [epoch | (version & _COUNTER_MASK) for version in versions_of(batch)]
        values = self._codec.values_many(rows, versions)
        if values is None:
            return False
        for key, value in zip(keys, values, strict=True):
            changes.put(key, value)
        return True

    def _put(self, record: Record, changes: WriteBatch) -> None:
        """Encode one record. Raises UnfitValueError."""
        version = self._epoch_bits | (record.version & _COUNTER_MASK)
        key = self._codec.key(record.key)
        if record.kind is RecordKind.UPSERT:
            row = self._codec.store(record.values, self._previous(record, key))
            changes.put(key, self._codec.value(row, version))
        elif self._spread:
            changes.put(key, tombstone(version))
        else:
            changes.delete(key)

    def _previous(self, record: Record, key: bytes) -> Mapping[str, Any] | None:
        """Return the stored row into which an UPSERT with ABSENT columns is merged; None if it has all."""
        if record.values.keys() >= self._names:
            return None
        with rocksdb_errors(f"reading {self._shard}"):
            found = [self._db.get(key)]
        if self._spread:
            if self._foreign is None:
                self._foreign = RocksDbTable(self._path, self._table.name, without=self._shard)
            found.append(self._foreign.newest(key))
        value = max((v for v in found if v is not None), key=version_of, default=None)
        if value is None or schema_of(value) == TOMBSTONE_SCHEMA:
            return None
        return RowCodec(self._schemas[schema_of(value)]).stored(value)

    def _evict(self, own: Claim) -> None:
        """Remove every writer that may no longer write; wait for those that are about to end."""
        deadline = time.monotonic() + self._takeover_wait_s
        waiting = self._claims.others(own)
        while waiting:
            blocking = [other for other in waiting if self._blocks(other, own)]
            if blocking and time.monotonic() > deadline:
                self._refuse(own, blocking[0])
            if blocking:
                time.sleep(_POLL_S)
            waiting = [self._claims.reread(other) for other in blocking]

    def _blocks(self, other: Claim, own: Claim) -> bool:
        match standing(other, own):
            case Standing.GONE:
                self._claims.forget(other)
            case Standing.SIBLING:
                pass
            case Standing.REPLACED:
                self._replace(own, other)
                self._claims.forget(other)
            case Standing.NEWER:
                self._refuse(own, other)
            case Standing.FOREIGN:
                return True
        return False

    def _replace(self, own: Claim, other: Claim) -> None:
        if other.process == own.process:
            older = _open_here.get(self._directory.shard(other.attempt.subtask))
            if older is not None:
                older.let_go()
        elif other.process.kill():
            logger.warning("table %s: killed the zombie of %s", self._table.name, other)

    def _refuse(self, own: Claim, other: Claim) -> None:
        self._claims.close(own)
        kind = "another run" if other.attempt.run_id != own.attempt.run_id else "a newer attempt"
        message = f"table {self._table.name}: {kind} writes it ({other}); stop it first"
        raise SystemicError(message)

    def _refuse_if_newer(self, own: Claim) -> None:
        for other in self._claims.others(own):
            if other.epoch > own.epoch and standing(other, own) is Standing.NEWER:
                self.let_go()
                self._refuse(own, other)
