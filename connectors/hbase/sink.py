"""The HBase sink: a batch is one request to the Thrift gateway, and all its cells have the same time."""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator, Sequence

from connectors.hbase.cells import RowForm
from connectors.hbase.connection import Gateway, RefusedError
from connectors.hbase.fences import HBaseFence
from connectors.hbase.thrift_types import BatchMutation, ColumnDescriptor, Mutation
from streamjobs.errors import ConfigError, SystemicError
from streamjobs.options.options import Options
from streamjobs.options.store_options import HBASE_OPTIONS
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

_TTL = b"_ttl"
"""Attribute of a mutation: milliseconds its cells live. Source: HBase 2.6, Mutation.OP_ATTRIBUTE_TTL."""


class HBaseSink:
    """Writes one table's rows to HBase by its Thrift gateway; fulfils `streamjobs.sinks.contract.Sink`.

    Promise: an older attempt never overwrites a cell or a delete of a newer one: each batch has a time that
    no older attempt can have (see HBaseFence). Delete markers protect deleted rows until a major compaction
    purges them, which `hbase.hstore.time.to.purge.deletes` delays.
    """

    traits = SinkTraits(
        guarantee="Each row holds the last change of its key; a batch is not written in one step.",
        idempotence="Cells have the time of their batch, which only grows; a repeated batch keeps its time.",
        deletes="A delete hides all cells of the row, and a major compaction removes them.",
        ordering="Changes of a key take effect in order; an older attempt never overtakes a newer one.",
        rejects=(
            "Values that their declared type cannot hold, NULL in a key, empty row keys and those > 32767 "
            "bytes, cells > 9.9 MiB."
        ),
        max_batch_rows=2000,
        max_batch_bytes=8 * 1024 * 1024,
        operation=(
            "Set `hbase.hstore.time.to.purge.deletes` on the region servers to 3600000 (an hour) or more. "
            "HBase's own delete marker is what prevents a late request of an older attempt from writing a "
            "deleted row again. With the default of 0 the next major compaction purges the marker, so an "
            "attempt that is frozen through the delete and the compaction would write the row again. The "
            "value is long enough if no worker can be frozen for so long. Column families should keep one "
            "version (`VERSIONS => 1`), as they do by default."
        ),
    )

    def __init__(self, table: SinkTable) -> None:
        where = f"table {table.name}"
        options = HBASE_OPTIONS.parse(table.options, where)
        self._table = table
        self._name = (options.text_or_none("tableName") or table.name).encode()
        self._form = RowForm(
            table,
            options.text("columnFamily"),
            families_of(options, where),
            text=options.flag("stringWriteMode"),
            salt_buckets=options.number("saltBuckets"),
        )
        self._create = options.flag("createTable")
        ttl_ms = options.number_or_none("ttl")
        self._attributes = {} if ttl_ms is None else {_TTL: struct.pack(">q", ttl_ms)}
        self._gateway = Gateway(options, where)
        writer = options.text_or_none("writer")
        target = self._name.decode() if writer is None else f"{self._name.decode()} {writer}"
        self._fence = HBaseFence(self._gateway, table.name, target)
        self._sent: tuple[Sequence[Record], int] | None = None

    def open(self, attempt: Attempt) -> None:
        """Connect, check table and families, become the writer. Raises ConfigError too."""
        self._sent = None
        self._gateway.connect()
        self._check_table()
        self._fence.take(attempt)

    def write(self, batch: Sequence[Record]) -> WriteResult:
        """Write the batch; see the contract."""
        if not self._gateway.connected:
            self._gateway.connect()
        rejected: list[Rejection] = []
        rows = self._spelled_at_once(batch) or list(self._spelled_one_by_one(batch, rejected))
        if self._sent is not None and self._sent[0] is batch:
            self._fence.check()
        else:
            self._sent = (batch, self._fence.next_time_ms())
        moment = self._sent[1]
        if rows:
            what = f"writing {len(rows)} rows to {self._name.decode()}"
            try:
                self._gateway.call(
                    what, lambda client: client.mutateRowsTs(self._name, rows, moment, self._attributes)
                )
            except RefusedError as exc:
                return WriteResult(tuple(Rejection(record, "refused", str(exc)) for record in batch))
        return WriteResult(tuple(rejected))

    def close(self) -> None:
        """Close the connection."""
        self._gateway.close()

    def _spelled_at_once(self, batch: Sequence[Record]) -> list[BatchMutation] | None:
        """Encode complete UPSERTs a column at a time; None if one of them must be handled alone."""
        columns = None if has_deletes(batch) else columns_of(batch, self._form.names)
        keys = None if columns is None else self._form.keys_many(keys_of(batch))
        rows = None if columns is None or keys is None else self._form.rows_many(columns)
        if keys is None or rows is None:
            return None
        names = self._form.columns
        return [
            BatchMutation(row=key, mutations=list(map(_mutation, names, cells)))
            for key, cells in zip(keys, rows, strict=True)
        ]

    def _spelled_one_by_one(
        self, batch: Sequence[Record], rejected: list[Rejection]
    ) -> Iterator[BatchMutation]:
        for record in batch:
            try:
                yield BatchMutation(row=self._form.key(record.key), mutations=self._mutations(record))
            except UnfitValueError as exc:
                rejected.append(Rejection(record, exc.reason.value, str(exc)))

    def _mutations(self, record: Record) -> list[Mutation]:
        if record.kind is RecordKind.DELETE:
            return [Mutation(isDelete=True, column=family) for family in self._form.families]
        return [_mutation(*cell) for cell in self._form.row(record.key, record.values)]

    def _check_table(self) -> None:
        name, what = self._name.decode(), f"looking at table {self._name.decode()}"
        if self._name not in self._gateway.call(what, lambda client: client.getTableNames()):
            if not self._create:
                message = (
                    f"{self._gateway.where}: there is no HBase table {name}: create it with the column "
                    f"families {self._family_names()}, or set 'createTable'"
                )
                raise SystemicError(message)
            self._create_table()
        found = self._gateway.call(what, lambda client: client.getColumnDescriptors(self._name))
        missing = [family for family in self._form.families if family + b":" not in found]
        if missing:
            have = ", ".join(sorted(key.decode().rstrip(":") for key in found))
            message = (
                f"{self._gateway.where}: HBase table {name} has no column family {missing[0].decode()}; "
                f"it has {have}"
            )
            raise SystemicError(message)
        if not self._gateway.call(what, lambda client: client.isTableEnabled(self._name)):
            message = f"{self._gateway.where}: HBase table {name} is disabled"
            raise SystemicError(message)

    def _create_table(self) -> None:
        families = [ColumnDescriptor(name=family + b":", maxVersions=1) for family in self._form.families]
        what = f"creating table {self._name.decode()}"
        try:
            self._gateway.call(what, lambda client: client.createTable(self._name, families))
        except RefusedError as exc:
            if self._name not in self._gateway.call(what, lambda client: client.getTableNames()):
                raise ConfigError(str(exc)) from exc

    def _family_names(self) -> str:
        return ", ".join(family.decode() for family in self._form.families)


def _mutation(column: bytes, value: bytes | None) -> Mutation:
    return Mutation(value is None, column, value)


def families_of(options: Options, where: str) -> dict[str, str]:
    """Return the family of each column that a `family.…` option names. Raises ConfigError."""
    families: dict[str, str] = {}
    for family, columns in options.prefixed("family.").items():
        for column in filter(None, (part.strip() for part in str(columns).split(","))):
            if column in families:
                message = f"{where}: column {column} is in the families {families[column]} and {family}"
                raise ConfigError(message)
            families[column] = family
    return families
