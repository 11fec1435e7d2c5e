"""Lookups in HBase: one request to the Thrift gateway for all keys of a batch."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from connectors.hbase.cells import RowForm
from connectors.hbase.connection import Gateway
from connectors.hbase.sink import families_of
from streamjobs.errors import RetriableError, SystemicError
from streamjobs.options.store_options import HBASE_OPTIONS
from streamjobs.sinks.contract import SinkTable
from streamjobs.sinks.stored_types import UnfitValueError

Key = tuple[Any, ...]
Row = tuple[Any, ...]

_SCANNED_AT_ONCE = 1000


class HBaseLookup:
    """Reads rows as HBaseSink writes them; fulfils `streamjobs.lookups.contract.Lookup`.

    A row exists if it has a cell of a declared column; a column without a cell is NULL, and the key's columns
    come from the key. A scan reads the key from its cells, which HBaseSink always writes; it is no snapshot.
    """

    def __init__(self, table: SinkTable) -> None:
        self._where = f"table {table.name}"
        options = HBASE_OPTIONS.parse(table.options, self._where)
        self._table = table
        self._name = (options.text_or_none("tableName") or table.name).encode()
        self._form = RowForm(
            table,
            options.text("columnFamily"),
            families_of(options, self._where),
            text=options.flag("stringWriteMode"),
            salt_buckets=options.number("saltBuckets"),
        )
        self._columns = [cell.column for cell in self._form.cells]
        self._gateway = Gateway(options, self._where)

    def open(self) -> None:
        """Connect, and check that the table and its families exist."""
        self._gateway.connect()
        name, what = self._name.decode(), f"looking at table {self._name.decode()}"
        if self._name not in self._gateway.call(what, lambda client: client.getTableNames()):
            message = f"{self._where}: there is no HBase table {name}"
            raise SystemicError(message)
        found = self._gateway.call(what, lambda client: client.getColumnDescriptors(self._name))
        missing = [family for family in self._form.families if family + b":" not in found]
        if missing:
            message = f"{self._where}: HBase table {name} has no column family {missing[0].decode()}"
            raise SystemicError(message)

    def fetch(self, keys: Sequence[Key]) -> Mapping[Key, Row]:
        """Read the rows of these keys; see the contract."""
        by_row: dict[bytes, Key] = {}
        for key in keys:
            try:
                by_row[self._form.key(key)] = key
            except UnfitValueError:
                continue  # a key that is not a valid row key has no row
        if not by_row:
            return {}
        names = list(by_row)
        found = self._call(lambda client: client.getRowsWithColumns(self._name, names, self._columns, {}))
        return {
            by_row[each.row]: self._row(each, dict(zip(self._table.key, by_row[each.row], strict=True)))
            for each in found
            if each.columns
        }

    def scan(self) -> Iterable[tuple[Key, Row]]:
        """Read the whole table."""
        scanner = self._call(lambda client: client.scannerOpen(self._name, b"", self._columns, {}))
        found = list(self._scanned(scanner))
        self._call(lambda client: client.scannerClose(scanner))
        return found

    def close(self) -> None:
        """Close the connection."""
        self._gateway.close()

    def _scanned(self, scanner: int) -> Iterator[tuple[Key, Row]]:
        names = [cell.name for cell in self._form.cells]
        while rows := self._call(lambda client: client.scannerGetList(scanner, _SCANNED_AT_ONCE)):
            for each in rows:
                row = self._row(each, {})
                key = tuple(row[names.index(name)] for name in self._table.key)
                if None in key:
                    message = f"{self._where}: the row {each.row!r} has no cells of its key's columns"
                    raise SystemicError(message)
                yield key, row

    def _row(self, found: Any, key: Mapping[str, Any]) -> Row:
        try:
            values = self._form.load({name: cell.value for name, cell in found.columns.items()})
        except (ValueError, ArithmeticError, struct.error) as exc:
            message = f"{self._where}: the row {found.row!r} holds a cell of another type: {exc}"
            raise SystemicError(message) from exc
        values.update(key)
        return tuple(values[cell.name] for cell in self._form.cells)

    def _call(self, action: Any) -> Any:
        try:
            if not self._gateway.connected:
                self._gateway.connect()
            return self._gateway.call(f"looking up rows of {self._name.decode()}", action)
        except RetriableError:
            self._gateway.close()
            raise
