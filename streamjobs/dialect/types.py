"""Reads column types in Blink's and Flink's forms into Flink's full form."""

from __future__ import annotations

from streamjobs.dialect.cursor import Cursor
from streamjobs.dialect.lexer import TokenKind

# Flink's manual, "Data Types" (2.3): synonyms and default precisions. VARCHAR and VARBINARY without a length
# are unlimited, as in Blink.
_PLAIN = {
    "BOOLEAN": "BOOLEAN",
    "TINYINT": "TINYINT",
    "SMALLINT": "SMALLINT",
    "INT": "INT",
    "INTEGER": "INT",
    "BIGINT": "BIGINT",
    "FLOAT": "FLOAT",
    "DATE": "DATE",
    "STRING": "STRING",
    "BYTES": "BYTES",
}
_WITH_LENGTH = {
    "CHAR": ("CHAR", "CHAR(1)"),
    "CHARACTER": ("CHAR", "CHAR(1)"),
    "VARCHAR": ("VARCHAR", "STRING"),
    "BINARY": ("BINARY", "BINARY(1)"),
    "VARBINARY": ("VARBINARY", "BYTES"),
    "DECIMAL": ("DECIMAL", "DECIMAL(10, 0)"),
    "DEC": ("DECIMAL", "DECIMAL(10, 0)"),
    "NUMERIC": ("DECIMAL", "DECIMAL(10, 0)"),
    "TIME": ("TIME", "TIME(0)"),
    "TIMESTAMP": ("TIMESTAMP", "TIMESTAMP(6)"),
    "TIMESTAMP_LTZ": ("TIMESTAMP_LTZ", "TIMESTAMP_LTZ(6)"),
}
_VARYING = {"CHAR": "VARCHAR", "CHARACTER": "VARCHAR", "BINARY": "VARBINARY"}
_NESTED = ("ARRAY", "MULTISET", "MAP", "ROW")
_REFUSED = ("INTERVAL", "RAW", "NULL", "VARIANT", "BITMAP", "DESCRIPTOR", "REAL", "ANY", "STRUCTURED")
"""Types that Flink's parser accepts, but no source or sink of streamjobs."""
_MOST_ARGUMENTS = {"DECIMAL": 2}
_LONGEST = "2147483647"


def take_type(cursor: Cursor) -> str:
    """Take a type and return Flink's full form of it: `VARCHAR` becomes `STRING`.

    Shape: upper case, one space after each comma: `DECIMAL(10, 2)`, `ROW<a INT, b ARRAY<STRING>>`.
    It does not take the column's own NOT NULL. Raises SqlError at a type that Flink does not have.
    """
    word = cursor.peek().text.upper() if cursor.peek().kind is TokenKind.WORD else ""
    if word in _PLAIN:
        cursor.take()
        written = _PLAIN[word]
    elif word == "DOUBLE":
        cursor.take()
        cursor.accept("PRECISION")
        written = "DOUBLE"
    elif word in _WITH_LENGTH:
        cursor.take()
        if word in _VARYING and cursor.accept("VARYING"):
            word = _VARYING[word]
        written = _zone(cursor, _length(cursor, *_WITH_LENGTH[word]))
    elif word in _NESTED:
        cursor.take()
        written = _nested(cursor, word)
    else:
        legal = ", ".join([*_PLAIN, "DOUBLE", *_WITH_LENGTH, *_NESTED])
        known = "the type {}, which no column of a job can have" if word in _REFUSED else "unknown type {}"
        cursor.fail(f"{known.format(cursor.peek().text)}; the types are {legal}")
    while cursor.comes("ARRAY") or cursor.comes("MULTISET"):
        written = f"{cursor.take().text.upper()}<{written}>"
    return written


def _length(cursor: Cursor, name: str, bare: str) -> str:
    if not cursor.accept_operator("("):
        return bare
    arguments = [_number(cursor)]
    while len(arguments) < _MOST_ARGUMENTS.get(name, 1) and cursor.accept_operator(","):
        arguments.append(_number(cursor))
    cursor.expect_operator(")")
    if name == "DECIMAL" and len(arguments) == 1:
        arguments.append("0")
    if arguments == [_LONGEST] and bare in ("STRING", "BYTES"):
        return bare
    return f"{name}({', '.join(arguments)})"


def _number(cursor: Cursor) -> str:
    if not cursor.peek().text.isdigit():
        cursor.expected("a number")
    return cursor.take().text


def _zone(cursor: Cursor, written: str) -> str:
    if not written.startswith("TIME"):
        return written
    if cursor.accept("WITHOUT"):
        cursor.expect("TIME", "ZONE")
    elif written.startswith("TIMESTAMP(") and cursor.accept("WITH"):
        cursor.expect("LOCAL", "TIME", "ZONE")
        return written.replace("TIMESTAMP", "TIMESTAMP_LTZ")
    return written


def _nested(cursor: Cursor, word: str) -> str:
    close = ")" if cursor.peek().is_operator("(") and word == "ROW" else ">"
    cursor.expect_operator("(" if close == ")" else "<")
    parts = [_part(cursor, word)]
    while cursor.accept_operator(","):
        parts.append(_part(cursor, word))
    cursor.expect_operator(close)
    wanted = {"ROW": len(parts), "MAP": 2}.get(word, 1)
    if len(parts) != wanted:
        cursor.fail(f"{word} needs {wanted} type(s), not {len(parts)}")
    return f"{word}<{', '.join(parts)}>"


def _part(cursor: Cursor, word: str) -> str:
    if word != "ROW":
        return take_type(cursor) + _not_null(cursor)
    if not cursor.peek().is_name:
        cursor.expected("a field name")
    field = cursor.take()
    part = f"{field.text} {take_type(cursor)}{_not_null(cursor)}"
    if cursor.peek().kind is TokenKind.STRING:
        cursor.take()
    return part


def _not_null(cursor: Cursor) -> str:
    if cursor.accept("NOT", "NULL"):
        return " NOT NULL"
    cursor.accept("NULL")
    return ""
