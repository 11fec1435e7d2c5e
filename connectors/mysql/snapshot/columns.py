"""What a snapshot selects, and how it turns the server's text into the canonical form of binlog rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from connectors.mysql.rows.column_codecs import text_converter
from connectors.mysql.rows.table_plan import declared_meaning
from connectors.mysql.schema.definitions import ColumnDefinition
from connectors.mysql.schema.enum_labels import enum_texts, lost_in_catalogue, read_alike, set_texts
from connectors.mysql.server.session import quoted
from streamjobs.changes.row_change import SqlType
from streamjobs.changes.wire_values import encode

Converter = Callable[[bytes], bytes]
_INTEGERS = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
_BINARIES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_CONVERTED_EXACTLY = frozenset({"utf8mb4", "utf8mb3", "utf8", "ascii", "latin1", "utf16", "utf16le", "utf32"})
"""Sets that the server converts to utf8mb4 without loss; unknown characters of others become '?'."""
_NUMBERED = frozenset({"enum", "set", "bit"})


@dataclass(frozen=True)
class SelectedColumn:
    """How one column is read: the expression, and the converter of its text (None: it is canonical)."""

    expression: str
    convert: Converter | None


def selected(column: ColumnDefinition, *, in_key: bool = False) -> SelectedColumn:
    """Return how to read a column so that its value equals that of the binlog for the same row."""
    name = quoted(column.name)
    kind = column.type
    if in_key and kind in ("enum", "set") and read_alike(column.labels, column.lost_labels):
        of_labels = enum_texts if kind == "enum" else set_texts
        texts = of_labels(column.labels, lost_in_catalogue(column), in_key=True)
        return SelectedColumn(f"{name} + 0", lambda number: texts[int(number)])
    if kind in _INTEGERS or kind == "decimal":
        return SelectedColumn(name, _unpadded if "zerofill" in column.native_type.lower() else None)
    if kind == "float":  # the server prints six digits; as a DOUBLE it prints all that are stored
        return SelectedColumn(f"{name} * 1e0", _float)
    if kind == "double":
        return SelectedColumn(name, _double)
    if kind in ("datetime", "timestamp", "time"):
        return SelectedColumn(name, _without_empty_fraction if column.length else None)
    if kind in _TEXTS and column.charset.lower() not in _CONVERTED_EXACTLY:
        charset = declared_meaning(column).charset
        if charset is not None:
            return SelectedColumn(f"CAST({name} AS BINARY)", text_converter(charset, strip=kind == "char"))
    if kind == "bit":
        return SelectedColumn(f"{name} + 0", None)
    return SelectedColumn(name, None)


def key_expression(column: ColumnDefinition) -> tuple[str, str]:
    """Return the expressions of a key column: the one for WHERE, the one for SELECT."""
    name = quoted(column.name)
    if column.type in _NUMBERED:
        return f"{name} + 0", f"{name} + 0"
    if column.type in _TEXTS or column.type in _BINARIES:
        return name, f"HEX({name})"
    return name, f"{name} * 1e0" if column.type == "float" else name


def key_literal(column: ColumnDefinition, value: bytes) -> str:
    """Return a key column's selected value as a literal that exactly equals `key_expression`."""
    text = value.decode("ascii")
    if column.type in _TEXTS:
        return f"_{column.charset} x'{text}'" if text else "''"
    if column.type in _BINARIES:
        return f"x'{text}'"
    if column.type in ("float", "double"):
        return text if "e" in text.lower() else f"{text}e0"
    if column.type in _INTEGERS or column.type in _NUMBERED or column.type in ("decimal", "year"):
        return text
    if not text.isprintable() or "'" in text or "\\" in text:
        message = f"{column.name} {column.native_type}: {text!r} cannot be the literal of a key"
        raise AssertionError(message)
    return f"'{text}'"


def _unpadded(text: bytes) -> bytes:
    whole, point, fraction = text.partition(b".")
    return (whole.lstrip(b"0") or b"0") + point + fraction


def _float(text: bytes) -> bytes:
    return encode(SqlType.FLOAT, float(text))


def _double(text: bytes) -> bytes:
    return encode(SqlType.DOUBLE, float(text))


def _without_empty_fraction(text: bytes) -> bytes:
    whole, point, fraction = text.partition(b".")
    return whole + point + fraction.ljust(6, b"0") if fraction.strip(b"0") else whole
