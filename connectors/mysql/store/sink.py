"""The MySQL sink: upserts and deletes of a batch in one transaction, under the fence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from connectors.mysql.store.connection import RefusedBatchError, SinkConnection, target_of
from connectors.mysql.store.fence import MySqlFence
from connectors.mysql.store.target import BoundColumn, bind, definition, quoted, update_clause
from streamjobs.errors import ConfigError, RetriableError, StreamjobsError, SystemicError
from streamjobs.options.options import Options
from streamjobs.options.store_options import MYSQL_OPTIONS
from streamjobs.sinks.contract import (
    Attempt,
    Record,
    RecordKind,
    Rejection,
    SinkTable,
    SinkTraits,
    WriteResult,
)
from streamjobs.sinks.stored_types import Reason, UnfitValueError
from streamjobs.sinks.upsert_batch import Upserts, columns_of, has_deletes

_STATEMENT_CHARS = 1024 * 1024
_UTF8_BYTES = 4
_OVERHEAD_BYTES = 64 * 1024
"""A generous size for what a packet contains besides the rows: column names, the rest of the statement."""
_DELETED_AT_ONCE = 200
"""Keys in one DELETE: a longer list of ORs costs the server more than another statement."""


class MySqlSink:
    """Writes one table's rows to a MySQL or MariaDB table; implements `streamjobs.sinks.contract.Sink`.

    Promise: a batch is one transaction that also holds the fence, so all of it is written, or nothing. The
    next write opens a new connection after the connection failed.
    """

    traits = SinkTraits(
        guarantee="Each key holds the last change made to it; a batch is written whole or not at all.",
        idempotence="Writing the same changes again gives the same rows.",
        deletes="A delete removes the row; nothing is left.",
        ordering="Changes of a key take effect in the order written; an older attempt never writes again.",
        rejects=(
            "Values that their declared type or the column cannot hold, or that the column would return "
            "changed (spaces at the end of a CHAR, too few bytes for a BINARY, a number for a label), NULL "
            "in a key, rows larger than max_allowed_packet, rows that a constraint or trigger refuses."
        ),
        max_batch_rows=5000,
        max_batch_bytes=4 * 1024 * 1024,
        operation=(
            "The writer needs SELECT, INSERT, UPDATE and DELETE on the table, and CREATE once, for the "
            "table of fences in the same database. A table that is altered while a job runs is checked "
            "again: the job continues if the table still fits, and stops if it would round or merge values. "
            "Values that a narrower column cannot hold are dead letters: sessions are strict whatever the "
            "server's sql_mode, and set everything else that could change a result. The start is refused "
            "for a column type that would return other values than were written, with the ALTER TABLE that "
            "cures it, and for a UNIQUE index that could find another row than the key's "
            "([decision 0070](decisions/0070-columns-that-return-other-values.md)). It is also refused for "
            "a BEFORE trigger that sets the job's columns, or that the writer may not read (GRANT TRIGGER). "
            "A SELECT of a FLOAT column shows six digits; `column * 1e0` shows all."
        ),
    )

    def __init__(self, table: SinkTable) -> None:
        where = f"table {table.name}"
        options = MYSQL_OPTIONS.parse(table.options, where)
        missing = [name for name in table.key if name not in {column.name for column in table.columns}]
        if missing or not table.key:
            message = f"{where}: the key {table.key} is not one of its columns"
            raise ConfigError(message)
        self._table = table
        self._options = options
        self._kept = _kept_columns(table, options)
        self._target = target_of(options, table.name)
        self._connection = SinkConnection(options, self._target, where)
        writer = options.text_or_none("writer")
        name = self._target.table if writer is None else f"{self._target.table}#{writer}"
        self._fence = MySqlFence(self._connection, table.name, name)
        self._columns: Mapping[str, BoundColumn] = {}
        self._definition = ""
        self._max_packet = 0

    def open(self, attempt: Attempt) -> None:
        """Connect, check that the table fits, become the writer of this subtask. Also raises ConfigError."""
        try:
            self._connection.connect()
            self._bind()
            rows = self._connection.run("SELECT @@max_allowed_packet", "reading max_allowed_packet")
            self._max_packet = int(rows[0][0])
            self._fence.take(attempt)
        except StreamjobsError:
            self._connection.close()
            raise

    def _bind(self) -> None:
        """Check the table as it is now, and hold it meanwhile. Raises ConfigError if it does not fit."""
        held = self._held()
        columns = bind(
            self._connection, self._table, self._target, loose_keys=self._options.flag("looseKeys")
        )
        self._columns, self._definition = {column.name: column for column in columns}, held
        self._connection.rollback()

    def _held(self) -> str:
        """Return the definition, held: a table that is not held is not even listed during an ALTER."""
        return definition(self._connection, self._table, self._target)

    def _check_definition(self) -> None:
        """Hold the table's definition for the open transaction; check the table again if it has changed.

        A server silently rounds values for which an altered column has too few digits, even in strict mode.
        Raises SystemicError if the table no longer fits, else RetriableError: the batch is then built again.
        """
        try:
            if self._held() == self._definition:
                return
            self._bind()
        except ConfigError as exc:
            message = f"the table was altered while the job runs: {exc}"
            raise SystemicError(message) from exc
        message = f"table {self._table.name}: {self._target} was altered while the job runs; it still fits"
        raise RetriableError(message)

    def write(self, batch: Sequence[Record]) -> WriteResult:
        """Write the batch in one transaction; see the contract."""
        rejected: list[Rejection] = []
        statements = list(self._statements(batch, rejected))
        if not statements:
            return WriteResult(tuple(rejected))
        what = f"writing {len(batch) - len(rejected)} rows"
        try:
            if not self._connection.is_open:
                self._connection.connect()
                self._fence.enter()
            self._fence.check()
            self._check_definition()
            for statement in statements:
                self._connection.run(statement, what)
            self._connection.commit(what)
        except RefusedBatchError as exc:
            self._connection.rollback()
            refused = {id(rejection.record) for rejection in rejected}
            others = [record for record in batch if id(record) not in refused]
            rejected += [Rejection(record, exc.reason, str(exc)) for record in others]
        return WriteResult(tuple(rejected))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _statements(self, batch: Sequence[Record], rejected: list[Rejection]) -> Iterator[bytes]:
        """Yield the batch's statements; add records without a literal to `rejected`."""
        deletes: list[str] = []
        for record in batch if has_deletes(batch) else ():
            if record.kind is RecordKind.DELETE:
                try:
                    deletes.append(self._condition(record))
                except UnfitValueError as exc:
                    rejected.append(Rejection(record, exc.reason.value, str(exc)))
        for names, records in _by_columns(batch).items():
            rows = self._rows(records, names)
            yield from self._inserts(
                names, self._one_by_one(records, names, rejected) if rows is None else rows
            )
        table = quoted(self._target.table)
        for start in range(0, len(deletes), _DELETED_AT_ONCE):
            keys = " OR ".join(deletes[start : start + _DELETED_AT_ONCE])
            yield f"DELETE FROM {table} WHERE {keys}".encode()

    def _rows(self, records: Sequence[Record], names: Sequence[str]) -> Sequence[str] | None:
        """Return the rows' literals, made column by column; None if a row must be checked alone."""
        if not set(self._table.key) <= set(names):
            return None
        columns = columns_of(records, names)
        if columns is None:
            return None
        spelled = []
        for name, values in zip(names, columns, strict=True):
            literals = self._columns[name].spell_many(values)
            if literals is None:
                return None
            spelled.append(literals)
        rows = [f"({','.join(row)})" for row in zip(*spelled, strict=True)]
        return None if max(map(len, rows)) * _UTF8_BYTES > self._max_packet - _OVERHEAD_BYTES else rows

    def _one_by_one(
        self, records: Sequence[Record], names: Sequence[str], rejected: list[Rejection]
    ) -> list[str]:
        rows = []
        for record in records:
            try:
                for name, value in zip(self._table.key, record.key, strict=True):
                    self._columns[name].spell_key(value)
                cells = [self._columns[name].spell(record.values[name]) for name in names]
                rows.append(self._fitting(f"({','.join(cells)})"))
            except UnfitValueError as exc:
                rejected.append(Rejection(record, exc.reason.value, str(exc)))
        return rows

    def _condition(self, record: Record) -> str:
        parts = [
            f"{quoted(name)}={self._columns[name].spell_key(value)}"
            for name, value in zip(self._table.key, record.key, strict=True)
        ]
        return self._fitting(f"({' AND '.join(parts)})")

    def _fitting(self, text: str) -> str:
        most = self._max_packet - _OVERHEAD_BYTES
        if len(text) * _UTF8_BYTES > most and (size := len(text.encode())) > most:
            detail = f"the row has {size} bytes; max_allowed_packet is {self._max_packet}"
            raise UnfitValueError(Reason.SIZE, detail)
        return text

    def _inserts(self, names: Sequence[str], rows: Sequence[str]) -> Iterator[bytes]:
        listed = ", ".join(map(quoted, names))
        head = f"INSERT INTO {quoted(self._target.table)} ({listed}) VALUES "
        changed = [name for name in names if name not in self._table.key and name not in self._kept]
        changed = changed or list(self._table.key[:1])
        held = [
            name for name, column in self._columns.items() if column.follows_updates and name not in changed
        ]
        tail = update_clause(changed, held)
        limit = min(_STATEMENT_CHARS, (self._max_packet - _OVERHEAD_BYTES) // _UTF8_BYTES)
        start = size = 0
        for i, row in enumerate(rows):
            if i > start and size + len(row) > limit:
                yield f"{head}{','.join(rows[start:i])}{tail}".encode()
                start, size = i, 0
            size += len(row) + 1
        if rows:
            yield f"{head}{','.join(rows[start:])}{tail}".encode()


def _by_columns(batch: Sequence[Record]) -> Mapping[tuple[str, ...], Sequence[Record]]:
    """Return the UPSERTs grouped by the columns that they set: each group needs its own statement."""
    if isinstance(batch, Upserts):
        return {batch.names: batch}
    found: dict[tuple[str, ...], list[Record]] = {}
    for record in batch:
        if record.kind is RecordKind.UPSERT:
            found.setdefault(tuple(record.values), []).append(record)
    return found


def _kept_columns(table: SinkTable, options: Options) -> frozenset[str]:
    listed = options.text_or_none("excludeUpdateColumns") or ""
    names = [name.strip().strip("`") for name in listed.split(",") if name.strip()]
    known = [column.name for column in table.columns]
    unknown = [name for name in names if name not in known]
    if unknown:
        message = (
            f"table {table.name}: 'excludeUpdateColumns' names {unknown[0]}; "
            f"the columns are {', '.join(known)}"
        )
        raise ConfigError(message)
    return frozenset(names)
