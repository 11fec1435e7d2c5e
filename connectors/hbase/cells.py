"""Encoding of a row as an HBase row: the bytes of its key and of its cells.

Row key: the key columns' bytes one after the other, so that rows sort as their keys do and no two keys
share a row. BOOLEAN 1 byte; integers 8 bytes big-endian with the sign bit flipped; FLOAT and DOUBLE 8
bytes in the order of the numbers; DECIMAL 16 bytes, the unscaled value + 2^127; DATE, TIME and TIMESTAMP
their ISO text (fixed width); texts in UTF-8 and BYTES with 00 written as 00 FF and 00 01 at the end, but
unchanged if they are the last column. With `saltBuckets` one byte comes first: CRC-32 of the rest, modulo
the number of buckets; rows then sort within their bucket.

Cells, as Java's `Bytes.toBytes` writes them: BOOLEAN FF or 00; integers and IEEE floats big-endian in
their own width; DECIMAL 4 bytes of scale, then the unscaled value as a BigInteger; texts in UTF-8; BYTES
unchanged; DATE 4 bytes of days since 1970; TIME(0-3) 4 bytes of milliseconds, TIME(4-6) 8 bytes of
microseconds; TIMESTAMP(0-3) 8 bytes of milliseconds since 1970 (LTZ: UTC), (4-6) of microseconds, (7-9)
ISO text. With `stringWriteMode` every cell is text: the stored form of `streamjobs.sinks.stored_types`.
NULL has no cell; the key columns always have cells too, so a row of NULLs exists.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

from streamjobs.changes.wire_values import shortest_float
from streamjobs.errors import ConfigError
from streamjobs.sinks.contract import SinkTable
from streamjobs.sinks.stored_types import ColumnType, Reason, UnfitValueError, column_type

MAX_KEY_BYTES = 32_767
"""Source: HConstants.MAX_ROW_LENGTH, HBase 2.6."""
MAX_CELL_BYTES = 10 * 1024 * 1024 - 65_536
"""Below hbase.client.keyvalue.maxsize, which counts row key and column too."""
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - stored forms are naive UTC
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_INTEGERS = {"TINYINT": ">b", "SMALLINT": ">h", "INT": ">i", "BIGINT": ">q"}

Put = Callable[[Any], bytes]


@dataclass(frozen=True)
class Cell:
    """A column of the table: its cell `family:qualifier`, and how its values are encoded.

    `pack` encodes the stored form of the type and raises UnfitValueError. `get` decodes the bytes.
    """

    name: str
    column: bytes
    kind: ColumnType
    nullable: bool
    pack: Put
    get: Callable[[bytes], Any]

    def put(self, value: Any) -> bytes:
        """Encode a value that is not NULL. Raises UnfitValueError."""
        data = _part(self.name, self.kind, self.pack, value)
        if len(data) > MAX_CELL_BYTES:
            detail = f"column {self.name} has {len(data)} bytes, the limit is {MAX_CELL_BYTES}"
            raise UnfitValueError(Reason.SIZE, detail)
        return data

    def put_many(self, values: Sequence[Any]) -> list[bytes | None] | None:
        """Encode a column's values, NULLs as None; None if one of them must be handled alone."""
        stored = self.kind.store_column(values, nullable=self.nullable)
        if stored is None:
            return None
        pack = self.pack
        try:
            data = [None if value is None else pack(value) for value in stored]
        except UnfitValueError:
            return None
        return None if any(cell is not None and len(cell) > MAX_CELL_BYTES for cell in data) else data


class RowForm:
    """The cells of one table, and its row keys. Raises ConfigError for a table that cannot exist.

    `families` holds the family of a column by its name, `family` is that of all others.
    """

    def __init__(
        self, table: SinkTable, family: str, families: Mapping[str, str], *, text: bool, salt_buckets: int
    ) -> None:
        types = {column.name: column_type(column.type) for column in table.columns}
        missing = [name for name in (*table.key, *families) if name not in types]
        if missing or not table.key or len(types) != len(table.columns):
            message = f"table {table.name}: key {table.key} and columns {tuple(types)} do not fit together"
            if missing:
                message += f"; there is no column {missing[0]}"
            raise ConfigError(message)
        if not 0 <= salt_buckets <= 256:
            message = f"table {table.name}: 'saltBuckets' is 0 to 256, not {salt_buckets}"
            raise ConfigError(message)
        self.cells = tuple(
            _cell(c.name, families.get(c.name, family), types[c.name], nullable=c.nullable, text=text)
            for c in table.columns
        )
        self.families = sorted({cell.column.partition(b":")[0] for cell in self.cells})
        self.names = tuple(types)
        self._by_name = {cell.name: cell for cell in self.cells}
        self._salt_buckets = salt_buckets
        self._key = [
            (name, types[name], _key_part(types[name], last=name == table.key[-1])) for name in table.key
        ]
        self.columns = tuple(cell.column for cell in self.cells)

    def key(self, values: Sequence[Any]) -> bytes:
        """Return the row key. Raises UnfitValueError for NULL, a wrong type, an empty or too long key."""
        parts = []
        for value, (name, kind, put) in zip(values, self._key, strict=True):
            if value is None:
                raise UnfitValueError(Reason.NULL, f"key column {name} is NULL")
            parts.append(_part(name, kind, put, value))
        key = b"".join(parts)
        if not key or len(key) > MAX_KEY_BYTES:
            raise UnfitValueError(
                Reason.SIZE, f"the row key has {len(key)} bytes, legal are 1 to {MAX_KEY_BYTES}"
            )
        if not self._salt_buckets:
            return key
        return bytes((binascii.crc32(key) % self._salt_buckets,)) + key

    def keys_many(self, keys: Sequence[Sequence[Any]]) -> list[bytes] | None:
        """Return what `key` returns of each, or None if one of them must be handled alone."""
        columns = []
        for place, (_, kind, put) in enumerate(self._key):
            stored = kind.store_column([key[place] for key in keys], nullable=False)
            if stored is None:
                return None
            try:
                columns.append(list(map(put, stored)))
            except UnfitValueError:
                return None
        whole = list(map(b"".join, zip(*columns, strict=True)))
        lengths = list(map(len, whole))
        if min(lengths, default=1) < 1 or max(lengths, default=1) > MAX_KEY_BYTES:
            return None
        if not self._salt_buckets:
            return whole
        return [bytes((binascii.crc32(key) % self._salt_buckets,)) + key for key in whole]

    def rows_many(self, columns: Sequence[Sequence[Any]]) -> list[tuple[bytes | None, ...]] | None:
        """Return the cells of many complete rows; input and result are columns, in the order of `cells`.

        None if one of them must be handled alone.
        """
        spelled = []
        for cell, values in zip(self.cells, columns, strict=True):
            data = cell.put_many(values)
            if data is None:
                return None
            spelled.append(data)
        return list(zip(*spelled, strict=True))

    def row(self, key: Sequence[Any], values: Mapping[str, Any]) -> list[tuple[bytes, bytes | None]]:
        """Return the cells of an UPSERT: column and value, None to delete it; without ABSENT columns.

        Raises UnfitValueError.
        """
        whole = {**dict(zip(self._key_names, key, strict=True)), **values}
        found: list[tuple[bytes, bytes | None]] = []
        for name, value in whole.items():
            cell = self._by_name[name]
            if value is None:
                if not cell.nullable:
                    raise UnfitValueError(Reason.NULL, f"column {name} is NOT NULL")
                found.append((cell.column, None))
                continue
            found.append((cell.column, cell.put(value)))
        return found

    def load(self, cells: Mapping[bytes, bytes]) -> dict[str, Any]:
        """Return a row's Python values by column name; a column without a cell is None."""
        return {
            cell.name: cell.get(cells[cell.column]) if cell.column in cells else None for cell in self.cells
        }

    @property
    def _key_names(self) -> list[str]:
        return [name for name, _, _ in self._key]


def _part(name: str, kind: ColumnType, put: Put, value: Any) -> bytes:
    try:
        return put(kind.store(value))
    except UnfitValueError as exc:
        raise UnfitValueError(exc.reason, f"column {name}: {exc}") from exc


def _cell(name: str, family: str, kind: ColumnType, *, nullable: bool, text: bool) -> Cell:
    column = f"{family}:{name}".encode()
    pack, get = _as_text(kind) if text else _as_bytes(kind)
    return Cell(name, column, kind, nullable, pack, get)


def _key_part(kind: ColumnType, *, last: bool) -> Put:
    if last and kind.plain is str:
        return _utf8
    if last and kind.plain is bytes:
        return base64.b64decode
    return kind.key


def _utf8(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError as exc:
        raise UnfitValueError(Reason.ENCODING, f"{value!r} is not valid Unicode text: {exc}") from exc


def _as_text(kind: ColumnType) -> tuple[Put, Callable[[bytes], Any]]:
    def pack(stored: Any) -> bytes:
        match stored:
            case str():
                return _utf8(stored)
            case bool():
                return b"true" if stored else b"false"
            case datetime() | date():
                return stored.isoformat().encode()
            case _:
                return repr(stored).encode()

    load = kind.load

    def get(data: bytes) -> Any:
        text = data.decode()
        if kind.plain is bool:
            return text == "true"
        if kind.plain is int:
            return int(text)
        return text if load is None else load(text)

    return pack, get


def _as_bytes(kind: ColumnType) -> tuple[Put, Callable[[bytes], Any]]:
    root, _, parameters = kind.name.partition("(")
    digits = int(parameters.partition(",")[0].rstrip(")") or 0) if parameters else 0
    if root in _INTEGERS:
        number = struct.Struct(_INTEGERS[root])
        return number.pack, lambda data: number.unpack(data)[0]
    if root in ("FLOAT", "DOUBLE"):
        return _float(kind, struct.Struct(">f" if root == "FLOAT" else ">d"))
    if root == "BOOLEAN":
        return lambda stored: b"\xff" if stored else b"\x00", lambda data: data != b"\x00"
    if root == "DECIMAL":
        return _decimal, _decimal_of
    if root == "STRING":
        return _utf8, bytes.decode
    if root == "BYTES":
        return base64.b64decode, bytes
    if root == "DATE":
        return (
            lambda stored: struct.pack(">i", stored.toordinal() - _EPOCH_DAY),
            lambda data: date.fromordinal(struct.unpack(">i", data)[0] + _EPOCH_DAY),
        )
    if root == "TIME":
        return _time(kind, digits)
    if digits > 6:
        return _utf8, bytes.decode
    return _timestamp(kind, digits)


def _float(kind: ColumnType, form: struct.Struct) -> tuple[Put, Callable[[bytes], Any]]:
    """Return the codec of IEEE numbers; a FLOAT is stored as the double of its shortest text."""
    is_float = kind.name == "FLOAT"

    def get(data: bytes) -> float:
        number: float = form.unpack(data)[0]
        return shortest_float(number) if is_float else number

    return lambda stored: form.pack(float(stored)), get


def _decimal(stored: str) -> bytes:
    scale = len(stored.partition(".")[2])
    unscaled = int(stored.replace(".", ""))
    size = (unscaled if unscaled >= 0 else ~unscaled).bit_length() // 8 + 1
    return struct.pack(">i", scale) + unscaled.to_bytes(size, "big", signed=True)


def _decimal_of(data: bytes) -> Any:
    (scale,) = struct.unpack_from(">i", data)
    unscaled = int.from_bytes(data[4:], "big", signed=True)
    # Not by arithmetic: the default context rounds to 28 digits.
    return Decimal((unscaled < 0, tuple(map(int, str(abs(unscaled)))), -scale))


def _time(kind: ColumnType, digits: int) -> tuple[Put, Callable[[bytes], Any]]:
    unit, form = (1000, struct.Struct(">i")) if digits <= 3 else (1, struct.Struct(">q"))

    def pack(stored: Any) -> bytes:
        value = time.fromisoformat(stored)
        micros = ((value.hour * 60 + value.minute) * 60 + value.second) * 1_000_000 + value.microsecond
        return form.pack(_whole(micros, unit, value, kind))

    def get(data: bytes) -> time:
        return (_EPOCH + timedelta(microseconds=form.unpack(data)[0] * unit)).time()

    return pack, get


def _timestamp(kind: ColumnType, digits: int) -> tuple[Put, Callable[[bytes], Any]]:
    unit, form = 1000 if digits <= 3 else 1, struct.Struct(">q")
    zoned = kind.name.startswith("TIMESTAMP_LTZ")

    def pack(stored: Any) -> bytes:
        passed = stored - _EPOCH
        micros = (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
        return form.pack(_whole(micros, unit, stored, kind))

    def get(data: bytes) -> datetime:
        moment = _EPOCH + timedelta(microseconds=form.unpack(data)[0] * unit)
        return moment.replace(tzinfo=timezone.utc) if zoned else moment

    return pack, get


def _whole(micros: int, unit: int, value: object, kind: ColumnType) -> int:
    count, rest = divmod(micros, unit)
    if rest:
        raise UnfitValueError(Reason.RANGE, f"{value} has more fraction digits than {kind.name}")
    return count
