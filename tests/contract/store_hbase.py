"""The HBase sink under the contract, read by Apache Thrift's own library with hand-made messages."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.Thrift import TMessageType, TType
from thrift.transport.TSocket import TSocket
from thrift.transport.TTransport import TBufferedTransport

from connectors.hbase import HBaseSink
from streamjobs.local.environment import Environment
from streamjobs.local.hbase import HBaseCluster
from streamjobs.options.options import Secret
from streamjobs.sinks.contract import Sink, SinkColumn, SinkTable
from tests.contract.stores import COLUMNS, TEXT_KEYS, Row, Rows, ServerStore
from tests.patience import limit_s

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001
Value = tuple[int, Any]
"""A Thrift type and what it holds."""


class HBaseReader:
    """Calls the gateway by method name; structs are dicts of their fields by number.

    Source: https://github.com/apache/hbase/blob/rel/2.6.1/hbase-thrift/src/main/resources/org/apache/hadoop/hbase/thrift/Hbase.thrift
    """

    def __init__(self, port: int) -> None:
        socket = TSocket("127.0.0.1", port)
        socket.setTimeout(60_000)
        self._transport = TBufferedTransport(socket)
        self._protocol = TBinaryProtocol(self._transport)
        self._transport.open()

    def close(self) -> None:
        self._transport.close()

    def call(self, method: str, *arguments: Value) -> Any:
        """Give the result; fails on any error of the gateway."""
        protocol = self._protocol
        protocol.writeMessageBegin(method, TMessageType.CALL, 0)
        self._write_struct(dict(enumerate(arguments, start=1)))
        protocol.writeMessageEnd()
        self._transport.flush()
        _, kind, _ = protocol.readMessageBegin()
        answer = self._read(TType.STRUCT)
        protocol.readMessageEnd()
        assert kind == TMessageType.REPLY, answer
        assert not answer.keys() - {0}, answer
        return answer.get(0)

    def create_table(self, name: str, *families: str) -> None:
        """Make a table whose families keep one version."""
        columns = [{1: (TType.STRING, f"{family}:".encode()), 2: (TType.I32, 1)} for family in families]
        self.call("createTable", (TType.STRING, name.encode()), (TType.LIST, (TType.STRUCT, columns)))

    def scan(self, name: str) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
        """Give every row that a plain scan shows: its key, and its cells by column."""
        for key, cells in self.scan_cells(name):
            yield key, {column: value for column, (value, _) in cells.items()}

    def scan_cells(self, name: str) -> Iterator[tuple[bytes, dict[bytes, tuple[bytes, int]]]]:
        """Give every row that a plain scan shows, each cell with its time."""
        empty: tuple[int, Any] = (TType.MAP, (TType.STRING, TType.STRING, {}))
        scan = (TType.STRUCT, {5: (TType.I32, 1000)})
        number = self.call("scannerOpenWithScan", (TType.STRING, name.encode()), scan, empty)
        while rows := self.call("scannerGetList", (TType.I32, number), (TType.I32, 1000)):
            for row in rows:
                yield row[1], {column: (cell[1], cell[2]) for column, cell in row[2].items()}
        self.call("scannerClose", (TType.I32, number))

    def _write_struct(self, fields: Mapping[int, Value]) -> None:
        protocol = self._protocol
        for number, (kind, value) in fields.items():
            protocol.writeFieldBegin("", kind, number)
            self._write(kind, value)
        protocol.writeFieldStop()

    def _write(self, kind: int, value: Any) -> None:
        protocol = self._protocol
        if kind == TType.STRUCT:
            self._write_struct(value)
        elif kind == TType.LIST:
            of, items = value
            protocol.writeListBegin(of, len(items))
            for item in items:
                self._write(of, item)
        elif kind == TType.MAP:
            of_key, of_value, items = value
            protocol.writeMapBegin(of_key, of_value, len(items))
        elif kind == TType.STRING:
            protocol.writeBinary(value)
        else:
            protocol.writeI32(value)

    def _read(self, kind: int) -> Any:
        protocol = self._protocol
        if kind == TType.STRUCT:
            fields: dict[int, Any] = {}
            while True:
                _, of, number = protocol.readFieldBegin()
                if of == TType.STOP:
                    return fields
                fields[number] = self._read(of)
        if kind == TType.LIST:
            of, size = protocol.readListBegin()
            return [self._read(of) for _ in range(size)]
        if kind == TType.MAP:
            of_key, of_value, size = protocol.readMapBegin()
            return {self._read(of_key): self._read(of_value) for _ in range(size)}
        readers: dict[int, Callable[[], Any]] = {
            TType.BOOL: protocol.readBool, TType.I32: protocol.readI32, TType.I64: protocol.readI64,
            TType.STRING: protocol.readBinary,
        }  # fmt: skip
        return readers[kind]()


class HBase(ServerStore):
    """A table an HBase table, its columns in two families."""

    poison: ClassVar[Mapping[str, Any]] = {"big": 2**63}
    biggest_text = 10 * 1024 * 1024 - 65_536
    too_big_text = 10 * 1024 * 1024 - 65_535

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.environment = Environment(root, kafka=False, flink=False, hbase=True)

    def start(self) -> None:
        self.environment.start()

    def stop(self) -> None:
        self.environment.stop()

    @property
    def service(self) -> HBaseCluster:
        return self.environment.hbase

    def table(self, columns: Sequence[SinkColumn] = COLUMNS, key: tuple[str, ...] = ("id",)) -> SinkTable:
        name = self.next_name()
        options: dict[str, str | Secret] = {
            "endPoint": f"127.0.0.1:{self.service.port}",
            "columnFamily": "cf",
            "requestTimeout": f"{round(limit_s(2) * 1000)} ms",
        }
        if columns is COLUMNS:
            options["family.num"] = "price, big, share"
        self._create(name, "cf", "num")
        return SinkTable(name, tuple(columns), key, options)

    def sink(self, table: SinkTable) -> Sink:
        return HBaseSink(table)

    def rows(self, table: SinkTable) -> Rows:
        reader = HBaseReader(self.service.port)
        try:
            found = [_typed(table, cells) for _, cells in reader.scan(table.name)]
        finally:
            reader.close()
        rows = {tuple(row[name] for name in table.key): row for row in found}
        assert len(rows) == len(found)
        return rows

    def wrong_password(self, table: SinkTable) -> None:
        """The gateway knows no passwords."""

    def broken_targets(self) -> Mapping[str, SinkTable]:
        table = self.table()
        narrow = self.next_name()
        self._create(narrow, "cf")
        return {
            "there is no HBase table nowhere": replace(
                table, options={**table.options, "tableName": "nowhere"}
            ),
            f"HBase table {narrow} has no column family num; it has cf": replace(
                table, options={**table.options, "tableName": narrow}
            ),
        }

    def text_keys(self) -> Sequence[tuple[str, str]]:
        return [*TEXT_KEYS, ("a" * 9000, "")]

    def _create(self, name: str, *families: str) -> None:
        reader = HBaseReader(self.service.port)
        try:
            reader.create_table(name, *families)
        finally:
            reader.close()


def _typed(table: SinkTable, cells: Mapping[bytes, bytes]) -> Row:
    by_name = {column.partition(b":")[2].decode(): data for column, data in cells.items()}
    assert by_name.keys() <= {column.name for column in table.columns}
    return {
        column.name: _of_bytes(column.type, by_name[column.name]) if column.name in by_name else None
        for column in table.columns
    }


def _of_bytes(type_: str, data: bytes) -> Any:
    """Read a cell as Java's `Bytes` would."""
    readers: dict[str, Callable[[bytes], Any]] = {
        "BIGINT NOT NULL": lambda raw: struct.unpack(">q", raw)[0],
        "BIGINT": lambda raw: struct.unpack(">q", raw)[0],
        "DOUBLE": lambda raw: struct.unpack(">d", raw)[0],
        "BOOLEAN": lambda raw: {b"\xff": True, b"\x00": False}[raw],
        "STRING": bytes.decode,
        "BYTES": bytes,
        "DECIMAL(10, 2)": _decimal,
        "DATE": lambda raw: (EPOCH + timedelta(days=struct.unpack(">i", raw)[0])).date(),
        "TIME(3)": lambda raw: (EPOCH + timedelta(milliseconds=struct.unpack(">i", raw)[0])).time(),
        "TIMESTAMP(6)": lambda raw: EPOCH + timedelta(microseconds=struct.unpack(">q", raw)[0]),
        "TIMESTAMP_LTZ(3)": lambda raw: (EPOCH + timedelta(milliseconds=struct.unpack(">q", raw)[0])).replace(
            tzinfo=timezone.utc
        ),
    }
    return readers[type_](data)


def _decimal(data: bytes) -> Decimal:
    return Decimal(int.from_bytes(data[4:], "big", signed=True)).scaleb(-struct.unpack(">i", data[:4])[0])
