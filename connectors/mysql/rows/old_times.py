"""TIME, DATETIME and TIMESTAMP with a fraction as MariaDB 5.3 stores them (`mysql56_temporal_format = OFF`).

The log has the type numbers of times without a fraction, but not how many digits a fraction has: only the
table's definition has that. Source: the server's sql/field.cc (`Field_time_hires` and similar) and
sql-common/my_time.c (`pack_time`, `sec_part_shift`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from connectors.mysql.codec import values
from connectors.mysql.errors import RefusedError
from connectors.mysql.rows.table_map import Stored, TableMap
from connectors.mysql.schema.definitions import TableDefinition
from streamjobs.changes.row_change import TableId

OLD_TIMES: Final = frozenset({Stored.TIME, Stored.DATETIME, Stored.TIMESTAMP})
_BYTES: Final[Mapping[Stored, tuple[int, ...]]] = {
    Stored.TIME: (3, 4, 4, 5, 5, 5, 6),
    Stored.DATETIME: (5, 6, 6, 7, 7, 7, 8),
    Stored.TIMESTAMP: (4, 5, 5, 6, 6, 7, 7),
}
"""The length of a value in bytes, by the digits of its fraction."""
_SECOND: Final = 1_000_000
_ZERO_TIME_S: Final = 838 * 3600 + 59 * 60 + 60
"""The seconds added to each stored TIME so that none is negative."""


def with_digits(stored: TableMap, definition: TableDefinition | None) -> TableMap:
    """Return the table with the digits of its old times, if a definition declares them.

    For logs of MariaDB only: MySQL has no fractions in this storage.
    """
    if definition is None or not any(column.type in OLD_TIMES for column in stored.columns):
        return stored
    digits = [column.length or 0 for column in definition.columns]
    digits += [0] * (len(stored.columns) - len(digits))
    columns = tuple(
        replace(column, size=size) if column.type in OLD_TIMES else column
        for column, size in zip(stored.columns, digits, strict=False)
    )
    return replace(stored, columns=columns)


def undefined_digits(stored: TableMap) -> str:
    """Return the columns that cannot be read without a definition that fits, "" if there are none."""
    names = [
        column.name or f"number {number}"
        for number, column in enumerate(stored.columns, start=1)
        if column.type in OLD_TIMES
    ]
    return ", ".join(names)


def cure_of(table: TableId) -> str:
    """Return the statements that give a table the storage whose digits are in the log."""
    name = f"`{table.database}`.`{table.table}`"
    return f"SET GLOBAL mysql56_temporal_format = ON, and in a new session ALTER TABLE {name} FORCE"


def old_time_decoder(kind: Stored, digits: int) -> tuple[int, Callable[[bytes], bytes]]:
    """Return how many bytes a value with `digits` of fraction has, and the function that makes its text.

    Raises: RefusedError for an impossible number of digits.
    """
    if not 0 < digits <= 6:
        message = f"{kind.name} with {digits} digits of fraction"
        raise RefusedError(message)
    unit_us = 10 ** (6 - digits)
    if kind is Stored.TIME:
        return _BYTES[kind][digits], lambda data: _time(int.from_bytes(data, "big") * unit_us)
    if kind is Stored.DATETIME:
        return _BYTES[kind][digits], lambda data: _datetime(int.from_bytes(data, "big") * unit_us)
    return _BYTES[kind][digits], lambda data: _timestamp(data, unit_us)


def _time(biased_us: int) -> bytes:
    us = biased_us - _ZERO_TIME_S * _SECOND
    seconds, micros = divmod(abs(us), _SECOND)
    if seconds >= _ZERO_TIME_S:
        message = f"{us} microseconds are not a TIME"
        raise ValueError(message)
    sign = b"-" if us < 0 else b""
    clock = b"%02d:%02d:%02d" % (seconds // 3600, seconds // 60 % 60, seconds % 60)
    return sign + clock + values.fraction(micros)


def _datetime(packed_us: int) -> bytes:
    seconds, micros = divmod(packed_us, _SECOND)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    months, day = divmod(days, 32)
    date = values.date_text(months // 13, months % 13, day)
    return date + values.clock_text(hour, minute, second) + values.fraction(micros)


def _timestamp(data: bytes, unit_us: int) -> bytes:
    return values.timestamp(int.from_bytes(data[:4], "big"), int.from_bytes(data[4:], "big") * unit_us)
