"""Random tables and rows in SQL: every type of MariaDB and MySQL, with the values at the edges of each."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

Literal = Callable[[random.Random], str]
TEXTS = ("", "a", "plain ascii", "ü", "日本語", "😀 \\ 'q' \" \n", " lead and trail ", "x" * 255)
NARROW = ("", "a", "é", "Müller", "ÿ þ", " x ")


def _choice(*literals: str) -> Literal:
    return lambda rng: rng.choice(literals)


def _integer(low: int, high: int) -> Literal:
    return lambda rng: str(rng.choice((low, high, 0, 1, low + 1, high - 1, rng.randint(low, high))))


def _decimal(precision: int, scale: int) -> Literal:
    def literal(rng: random.Random) -> str:
        digits = "".join(rng.choice("0099123") for _ in range(precision))
        text = f"{digits[: precision - scale] or '0'}.{digits[precision - scale :] or '0'}"
        return rng.choice(("", "-")) + text

    return literal


def _text(values: tuple[str, ...], limit: int) -> Literal:
    return lambda rng: f"_utf8mb4 x'{rng.choice(values)[:limit].encode().hex()}'"


def _bytes(limit: int) -> Literal:
    return lambda rng: (
        f"x'{rng.choice((b'', bytes(3), rng.randbytes(rng.randrange(limit + 1)), b'a'))[:limit].hex()}'"
    )


def _time(digits: int) -> Literal:
    def literal(rng: random.Random) -> str:
        micros = f"{rng.randrange(10**6):06}"[:digits]
        hours = rng.choice((0, 1, 23, 100, 837))
        fraction = f".{micros}" if digits else ""
        return f"'{rng.choice(('', '-'))}{hours:02}:{rng.randrange(60):02}:{rng.randrange(60):02}{fraction}'"

    return literal


def _datetime(digits: int, first: int, last: int, *odd: str) -> Literal:
    def literal(rng: random.Random) -> str:
        if odd and rng.random() < 0.3:
            return rng.choice(odd)
        fraction = f".{rng.randrange(10**6):06}"[: digits + 1] if digits else ""
        day = f"{rng.randint(first, last):04}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
        return f"'{day} {rng.randrange(24):02}:{rng.randrange(60):02}:{rng.randrange(60):02}{fraction}'"

    return literal


_BOTH: Mapping[str, Literal] = {
    "TINYINT": _integer(-128, 127),
    "TINYINT UNSIGNED": _integer(0, 255),
    "SMALLINT": _integer(-32768, 32767),
    "SMALLINT UNSIGNED ZEROFILL": _integer(0, 65535),
    "MEDIUMINT": _integer(-(2**23), 2**23 - 1),
    "MEDIUMINT UNSIGNED": _integer(0, 2**24 - 1),
    "INT": _integer(-(2**31), 2**31 - 1),
    "INT UNSIGNED": _integer(0, 2**32 - 1),
    "BIGINT": _integer(-(2**63), 2**63 - 1),
    "BIGINT UNSIGNED": _integer(0, 2**64 - 1),
    "DECIMAL(10,2)": _decimal(10, 2),
    "DECIMAL(65,30)": _decimal(65, 30),
    "DECIMAL(9,9)": _decimal(9, 9),
    "DECIMAL(20,0) UNSIGNED": _choice("0", "99999999999999999999", "12345678901234567890"),
    "FLOAT": _choice("0", "1.1", "-3.4e38", "16777217", "1e-30", "0.1", "123456.789", "-0.25"),
    "DOUBLE": _choice(
        "0", "0.1", "-1e308", "1e22", "5e-324", "123456789.123456789", "0.00006103515625", "1e16"
    ),
    "BIT(1)": _choice("b'0'", "b'1'"),
    "BIT(17)": _choice("b'0'", "b'10000000000000001'"),
    "BIT(64)": _choice("b'1'", "x'FFFFFFFFFFFFFFFF'"),
    "YEAR": _choice("0", "1901", "2155", "2024"),
    "DATE": _choice(
        "'2024-02-29'", "'0000-00-00'", "'2024-02-00'", "'2024-00-00'", "'0017-08-12'", "'9999-12-31'"
    ),
    "TIME": _time(0),
    "TIME(2)": _time(2),
    "TIME(3)": _time(3),
    "TIME(6)": _time(6),
    "DATETIME": _datetime(0, 1, 9999, "'0000-00-00 00:00:00'", "'2024-00-00 12:00:01'"),
    "DATETIME(3)": _datetime(3, 1, 9999),
    "DATETIME(6)": _datetime(6, 1, 9999, "'0000-00-00 00:00:00'"),
    "TIMESTAMP NULL": _datetime(0, 1971, 2037, "'0000-00-00 00:00:00'"),
    "TIMESTAMP(4) NULL": _datetime(4, 1971, 2037),
    "TIMESTAMP(6) NULL": _datetime(6, 1971, 2037),
    "CHAR(20)": _text(TEXTS, 20),
    "CHAR(10) CHARACTER SET latin1": _text(NARROW, 10),
    "CHAR(8) CHARACTER SET utf16": _text(("", "a", "añ日", " x"), 8),
    "VARCHAR(300)": _text(TEXTS, 300),
    "VARCHAR(50) CHARACTER SET latin1": _text(NARROW, 50),
    "VARCHAR(50) CHARACTER SET gbk": _text(("", "中文 abc", "测试"), 50),
    "VARCHAR(50) CHARACTER SET sjis": _text(("", "日本語 カナ", "ひび\\"), 50),
    "VARCHAR(50) CHARACTER SET utf32": _text(("", "日 😀"), 50),
    "TINYTEXT": _text(TEXTS, 50),
    "TEXT": _text((*TEXTS, "long " * 3000), 20_000),
    "LONGTEXT CHARACTER SET ucs2": _text(("", "añ日"), 50),
    "BINARY(8)": _bytes(8),
    "VARBINARY(300)": _bytes(300),
    "BLOB": _bytes(5_000),
    "ENUM('a','b,c','d''e','ü')": _choice("'a'", "'b,c'", "'d''e'", "'ü'", "''"),
    "ENUM('x','ä,ö') CHARACTER SET latin1": _choice("'x'", "'ä,ö'"),
    "SET('r','g''g','ü','4','5','6','7','8','9')": _choice("''", "'r'", "'ü,r'", "'9,4,g''g'"),
    "JSON": _choice("'null'", '\'{"a": [1, 2.50, "ü"]}\'', "'  [ ]'", "'\"x\"'"),
    "POINT": _choice("ST_GeomFromText('POINT(1.5 -2.25)')", "ST_GeomFromText('POINT(0 0)', 4326)"),
    "GEOMETRY": _choice(
        "ST_GeomFromText('LINESTRING(0 0,1 1)')", "ST_GeomFromText('POLYGON((0 0,4 0,4 4,0 0))')"
    ),
}
_MARIADB: Mapping[str, Literal] = {
    "VARCHAR(100) COMPRESSED": _text(TEXTS, 100),
    "BLOB COMPRESSED": _bytes(500),
    "UUID": _choice("'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000000'"),
    "INET4": _choice("'0.0.0.0'", "'255.255.255.0'"),
    "INET6": _choice("'::'", "'2001:db8:0:1:1:1:1:1'", "'::ffff:1.2.3.4'", "'fe80::1:0'"),
}


_MYSQL: Mapping[str, Literal] = {
    "JSON": _choice(
        "'null'",
        '\'{"b": [1, 2.50, "ü"], "a": {}}\'',
        "'[18446744073709551615, -32769, 1e300, 0.1, true, \"\\\\n\"]'",
        "JSON_ARRAY(CAST('2024-02-29' AS DATE), CAST(-1.50 AS DECIMAL(10,2)), x'cafe')",
        "JSON_OBJECT('t', CAST('-12:34:56.5' AS TIME(6)), 'd', CAST('2024-02-29 01:02:03.4' AS DATETIME(6)))",
        f"'{list(range(0, 40_000, 7))}'",
    ),
    "VECTOR(3)": _choice("STRING_TO_VECTOR('[1.5,-2,3e10]')", "STRING_TO_VECTOR('[0,0,0]')"),
    "VARCHAR(50) CHARACTER SET gb18030": _text(("", "中文 abc", "😀"), 50),
}


class RandomTable:
    """A table with an integer key, random columns, and now and then a generated one."""

    def __init__(self, rng: random.Random, name: str, *, mariadb: bool) -> None:
        self._rng = rng
        self._literals = {**_BOTH, **(_MARIADB if mariadb else _MYSQL)}
        self._types = rng.sample(list(self._literals), rng.randint(1, 12))
        columns = [f"c{place} {kind}" for place, kind in enumerate(self._types)]
        self._generated = rng.random() < 0.3
        if self._generated:
            columns.insert(0, f"g INT AS (id * 2) {rng.choice(('VIRTUAL', 'STORED'))}")
        self.create = f"CREATE TABLE {name} (id INT PRIMARY KEY, {', '.join(columns)})"

    def row(self, key: int) -> str:
        """A row of literals in parentheses, some of them NULL."""
        values = [
            "NULL" if self._rng.random() < 0.2 else self._literals[kind](self._rng) for kind in self._types
        ]
        return f"({', '.join([str(key), *(['DEFAULT'] if self._generated else []), *values])})"
