"""The values at the edges of each SQL type, and the columns that a MySQL table may have for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any

from streamjobs.changes.moments import OutOfRange
from streamjobs.changes.wire_values import binary32


def _integers(bits: int) -> Sequence[int]:
    high = (1 << (bits - 1)) - 1
    return (-high - 1, high, -1, 0, 1, 2, 5, 100)


_MOMENTS = tuple(
    map(
        datetime.fromisoformat,
        (
            "0001-01-01 00:00:00", "9999-12-31 23:59:59", "1969-12-31 23:59:59", "1970-01-01 00:00:00",
            "1970-01-01 00:00:01", "2024-02-29 12:30:00", "2024-03-31 02:30:00", "2038-01-19 03:14:07",
            "2038-01-19 03:14:08",
        ),
    )
)  # fmt: skip


def _moments(digits: int, *, zoned: bool = False) -> Sequence[Any]:
    micros = {0: 0, 3: 999_000, 6: 999_999, 9: 999_999}[digits]
    zone = timezone.utc if zoned else None
    return (
        *(at.replace(microsecond=micros, tzinfo=zone) for at in _MOMENTS),
        OutOfRange("10000-01-01 00:00:00"),
    )


EDGES: Mapping[str, Sequence[Any]] = {
    "TINYINT": _integers(8),
    "SMALLINT": _integers(16),
    "INT": _integers(32),
    "BIGINT": _integers(64),
    "BOOLEAN": (True, False),
    "FLOAT": tuple(
        map(binary32, (0.0, -0.0, 0.1, 1 / 3, 16777216.0, 3.4028234e38, -3.4e38, 1e-45, 1.17549435e-38,
        12.3456))
    ),
    "DOUBLE": (
        0.0, -0.0, 0.1, 1 / 3, 12.3456, 1e22, 5e-324, -1.7976931348623157e308, 123456789.12345679,
        float("nan"), float("inf"),
    ),
    "DECIMAL(10, 2)": tuple(map(Decimal, ("0.00", "-0.01", "99999999.99", "-99999999.99", "5.00", "12.35"))),
    "DECIMAL(20, 0)": tuple(map(Decimal, ("0", "-1", "5", "18446744073709551615", "99999999999999999999"))),
    "DECIMAL(20, 2)": tuple(map(Decimal, ("123456789012345678.92", "123456789012345678.91"))),
    "DECIMAL(38, 18)": (Decimal("0.000000000000000001"), Decimal("-99999999999999999999.999999999999999999")),
    "STRING": (
        "", " ", "a", "A", "b", "c", "a ", "tea  ", "  lead", "0", "1", "2", "3", "5", "05", "-1",
        "1e1", "a,c",
        "c,a", "a,a", "a,", "red", "RED", "green", "grün", "1,2", "é", "e\u0301", "ß", "ss", "¥", "‾", "～",
        "\\", "~", "\u00a0", "\ufeff", "日本", "😀", "\0", "\t", "x\n", "'\"\\%_", "NULL", "abc", "abc  ",
        "abcd",
        "x" * 255, "x" * 256, "x" * 252 + "    ", "é" * 127 + "  ", "x" * 65_535, "x" * 65_534 + "   ",
        "123e4567-e89b-12d3-a456-426655440000", "123E4567-E89B-12D3-A456-426655440000",
        "123e4567e89b12d3a456426655440000", "1.2.3.4", "01.2.3.4", "1.2.3.4 ", "::1", "::", "::ffff:1.2.3.4",
        "::FFFF:1.2.3.4", "::1.2.3.4", "2001:db8::1", "2001:DB8::1", "2001:db8:0:0:1::1",
        "2001:db8:0:1:1:1:1:1",
        "1:0:0:2::3", "2001:db8::1:1:1:1:1", "1::2:0:0:3:4", "1:0:0:2::3:4", "1::2:0:3:4:5",
        "::1:2:3:4:5:6:7",
        "1:2:3:4:5:6:7::", '{"a": 1}', '{"a":1,"a":2}', "[1.50, 1e400]", "2024-01-01", "12:00:00",
    ),
    "BYTES": (
        b"", b"\0", b"\x01", b"\x01\x02", b"\t", b"\t\0", b"8 bytes!", b"8 byte\0\0", b"8 byte  ",
        b"nine byte",
        b" ", b"a  ", bytes(range(256)), b"x" * 65_535, b"x" * 65_535 + b"\0",
    ),
    "DATE": (
        date(1, 1, 1), date(9999, 12, 31), date(1582, 10, 10), date(2024, 2, 29), OutOfRange("10000-01-01"),
    ),
    "TIME(0)": (time(0, 0), time(23, 59, 59)),
    "TIME(3)": (time(0, 0), time(23, 59, 59, 999_000), time(0, 0, 0, 1000)),
    "TIMESTAMP(0)": _moments(0),
    "TIMESTAMP(3)": _moments(3),
    "TIMESTAMP(6)": _moments(6),
    "TIMESTAMP(9)": _moments(9),
    "TIMESTAMP_LTZ(0)": _moments(0, zoned=True),
    "TIMESTAMP_LTZ(3)": _moments(3, zoned=True),
    "TIMESTAMP_LTZ(6)": _moments(6, zoned=True),
}  # fmt: skip
"""SQL type -> values as they reach a sink."""

CHARSETS = (
    "utf8mb4", "utf8mb3", "ucs2", "utf16", "utf16le", "utf32", "latin1", "ascii", "gbk", "sjis", "swe7",
)  # fmt: skip
TARGETS = (
    "TINYINT", "TINYINT UNSIGNED", "TINYINT(1)", "SMALLINT", "SMALLINT(3) UNSIGNED ZEROFILL",
    "MEDIUMINT", "INT",
    "INT UNSIGNED", "BIGINT", "BIGINT UNSIGNED", "DECIMAL(10,2)", "DECIMAL(10,1)", "DECIMAL(20,0)",
    "DECIMAL(65,30)",
    "DECIMAL(38,18) UNSIGNED", "DECIMAL(12,4) ZEROFILL", "FLOAT", "FLOAT(7,3)", "FLOAT UNSIGNED", "DOUBLE",
    "DOUBLE(10,2)", "DOUBLE UNSIGNED", "BIT(1)", "BIT(8)", "BIT(64)", "YEAR", "DATE", "TIME",
    "TIME(3)", "TIME(6)",
    "DATETIME", "DATETIME(3)", "DATETIME(6)", "TIMESTAMP NULL", "TIMESTAMP(3) NULL", "TIMESTAMP(6) NULL",
    "CHAR(10)", "CHAR(255) CHARACTER SET latin1", "VARCHAR(3)", "VARCHAR(20) COMPRESSED", "TINYTEXT", "TEXT",
    "TEXT CHARACTER SET latin1", "MEDIUMTEXT", "LONGTEXT", "TINYTEXT CHARACTER SET utf16",
    *(f"VARCHAR(255) CHARACTER SET {name}" for name in CHARSETS), "JSON",
    "ENUM('0','1','2')", "ENUM('red','grün')", "ENUM('','a','b c','d''e','f\\\\g')", "SET('a','b','c')",
    "SET('1','2','4','5')", "BINARY(8)", "BINARY(1)", "VARBINARY(3)", "VARBINARY(300)", "TINYBLOB", "BLOB",
    "LONGBLOB", "UUID", "INET4", "INET6", "GEOMETRY", "INT AS (id + 1) STORED",
)  # fmt: skip
"""Types of MariaDB's columns."""
