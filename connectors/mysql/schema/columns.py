"""Reads column definitions in SQL, as in CREATE and ALTER TABLE."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from connectors.mysql.codec import charsets
from connectors.mysql.errors import RefusedError
from connectors.mysql.schema.column_attributes import skip_attribute
from connectors.mysql.schema.definitions import ColumnDefinition
from connectors.mysql.schema.enum_labels import doubtful_labels
from connectors.mysql.schema.keys import at_item_end
from connectors.mysql.schema.tokens import Cursor, Kind, Token, split

_SYNONYMS: Final = {
    "integer": "int", "int1": "tinyint", "int2": "smallint", "int3": "mediumint", "middleint": "mediumint",
    "int4": "int", "int8": "bigint", "dec": "decimal", "numeric": "decimal", "fixed": "decimal", "real":
    "double", "float8": "double", "float4": "float", "character": "char", "nchar": "char", "nvarchar":
    "varchar", "varcharacter": "varchar", "geomcollection": "geometrycollection",
}  # fmt: skip
_KNOWN: Final = frozenset(
    {
        "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "float", "double", "bit", "date",
        "time", "datetime", "timestamp", "year", "char", "varchar", "binary", "varbinary", "tinytext",
        "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob", "enum", "set",
        "json", "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring",
        "multipolygon", "geometrycollection", "vector", "uuid", "inet4", "inet6",
    }
)  # fmt: skip
TEXTS: Final = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"})
_SIZED: Final = (("tiny", 1 << 8), ("", 1 << 16), ("medium", 1 << 24), ("long", 1 << 33))
_TEXT_LIMITS: Final = {"tinytext": 0xFF, "text": 0xFFFF, "mediumtext": 0xFFFFFF}
_VARCHAR_BYTES: Final = 0xFFFF
_AS_BINARY: Final = {
    "char": "binary", "varchar": "varbinary", "tinytext": "tinyblob", "text": "blob", "mediumtext":
    "mediumblob", "longtext": "longblob",
}  # fmt: skip


@dataclass(frozen=True)
class ColumnSql:
    """A column definition and its position; `finished` adds the table's character set.

    `place`: None: at the end, "": first, else the name of the column before it. `charset` and `collation`
    are the column's own, "" if it names none.
    """

    column: ColumnDefinition
    primary_key: bool = False
    place: str | None = None
    charset: str = ""
    collation: str = ""


@dataclass(frozen=True)
class _Type:
    name: str
    arguments: tuple[Token, ...]
    national: bool = False


def read_column(cursor: Cursor) -> ColumnSql:
    """Read all of `name type attributes [FIRST | AFTER x]`.

    Raises: RefusedError for a definition with anything that is not understood.
    """
    name = cursor.qualified_name()
    kind = _type(cursor)
    found = ColumnSql(_column(name, kind), charset="utf8mb3" if kind.national else "")
    while not at_item_end(cursor):
        after = _read_attribute(cursor, found)
        if after is None:
            message = f"{cursor.peek().text!r} in the definition of column {name} is not understood"
            raise RefusedError(message)
        found = after
    return found


def _read_attribute(cursor: Cursor, found: ColumnSql) -> ColumnSql | None:
    """Read one attribute; return None and do not move if it is not a known one."""
    for read in (_text_attribute, _column_attribute, _placed):
        if (after := read(cursor, found)) is not None:
            return after
    return found if skip_attribute(cursor) else None


def _text_attribute(cursor: Cursor, found: ColumnSql) -> ColumnSql | None:
    if cursor.skip("CHARACTER", "SET") or cursor.skip("CHAR", "SET") or cursor.skip_any("CHARSET"):
        return replace(found, charset=_charset_word(cursor))
    if cursor.skip_any("ASCII"):
        return replace(found, charset="latin1")
    if cursor.skip_any("UNICODE"):
        return replace(found, charset="ucs2")
    if cursor.skip_any("BYTE"):
        return replace(found, charset="binary")
    if cursor.skip_any("COLLATE"):
        return replace(found, collation=_charset_word(cursor))
    return found if cursor.skip_any("BINARY") else None


def _charset_word(cursor: Cursor) -> str:
    """Read the name of a character set or collation, which may be quoted."""
    cursor.skip_mark("=")
    token = cursor.next()
    if not (token.is_name or token.kind is Kind.STRING):
        message = f"the name of a character set was expected, not {token.text!r}"
        raise RefusedError(message)
    return token.text.lower()


def _column_attribute(cursor: Cursor, found: ColumnSql) -> ColumnSql | None:
    column, word = found.column, cursor.peek().text
    if cursor.skip_any("UNSIGNED", "ZEROFILL"):
        native = f"{column.native_type} {word.lower()}"
        return replace(found, column=replace(column, unsigned=True, native_type=native))
    if cursor.skip("NOT", "NULL"):
        return replace(found, column=replace(column, nullable=False))
    if cursor.skip_any("COMPRESSED"):
        if cursor.skip_mark("="):
            cursor.next()
        return replace(found, column=replace(column, compressed=True))
    if cursor.skip_any("CHECK"):
        checked = [token.text.lower() for token in cursor.group()[:2]]
        json_valid = column.json_valid or checked == ["json_valid", "("]
        return replace(found, column=replace(column, json_valid=json_valid))
    if cursor.skip("PRIMARY", "KEY") or cursor.skip_any("KEY"):
        return replace(found, primary_key=True)
    if cursor.skip_any("AS"):
        cursor.group()
        return replace(found, column=replace(column, generated=True))
    return None


def _placed(cursor: Cursor, found: ColumnSql) -> ColumnSql | None:
    if cursor.skip_any("FIRST"):
        return replace(found, place="")
    return replace(found, place=cursor.name()) if cursor.skip_any("AFTER") else None


def _type(cursor: Cursor) -> _Type:
    words = [cursor.name().lower()]
    national = words[0] in ("national", "nchar", "nvarchar")
    if words[0] == "national":
        words = [cursor.name().lower()]
    name = _SYNONYMS.get(words[0], words[0])
    if name == "double":
        cursor.skip_any("PRECISION")
    elif name == "char" and cursor.skip_any("VARYING", *(("VARCHAR", "VARCHARACTER") if national else ())):
        name = "varchar"
    elif name == "char" and cursor.skip_any("BYTE"):
        name = "binary"
    elif name == "long":
        name = "mediumblob" if cursor.skip_any("VARBINARY", "BYTE") else "mediumtext"
        for more in (("CHAR", "VARYING"), ("CHARACTER", "VARYING"), ("VARCHAR",), ("VARCHARACTER",)):
            cursor.skip(*more)
    elif name in ("bool", "boolean"):
        return _Type("tinyint", (Token(Kind.NUMBER, "1"),))
    elif name == "serial":
        return _Type("serial", ())
    if name not in _KNOWN:
        message = f"type {name!r} is not known"
        raise RefusedError(message)
    arguments = tuple(cursor.group()) if cursor.peek().is_mark("(") else ()
    return _Type(name, arguments, national)


def _column(name: str, kind: _Type) -> ColumnDefinition:
    if kind.name == "serial":
        return ColumnDefinition(name, "bigint", "bigint unsigned", unsigned=True, nullable=False)
    if kind.name in ("enum", "set"):
        labels = tuple(_label(part) for part in split(list(kind.arguments)))
        return ColumnDefinition(name, kind.name, labelled_type(kind.name, labels), labels=labels)
    numbers = [int(part[0].text) for part in split(list(kind.arguments)) if part[0].text.isdigit()]
    native = kind.name + (f"({','.join(map(str, numbers))})" if numbers else "")
    length = numbers[0] if numbers else None
    scale = numbers[1] if len(numbers) > 1 else None
    if kind.name == "float" and scale is None:
        wide = length is not None and length > 24
        return ColumnDefinition(name, "double" if wide else "float", "double" if wide else "float")
    if kind.name == "decimal":
        length, scale = 10 if length is None else length, scale or 0
        native = f"decimal({length},{scale})"
    elif kind.name in ("char", "binary") and length is None:
        length, native = 1, f"{kind.name}(1)"
    elif kind.name == "bit" and length is None:
        length, native = 1, "bit(1)"
    return ColumnDefinition(name, kind.name, native, length, scale)


def _label(part: list[Token]) -> str:
    if len(part) != 1 or part[0].kind is not Kind.STRING:
        message = f"a label that is not a text: {' '.join(token.text for token in part)!r}"
        raise RefusedError(message)
    return part[0].text


def labelled_type(kind: str, labels: Iterable[str]) -> str:
    """Return the type text of ENUM or SET with its labels."""
    return f"{kind}({','.join(quoted_label(label) for label in labels)})"


def quoted_label(label: str) -> str:
    """Return a label in quotes, as the servers write it."""
    return "'" + label.replace("'", "''") + "'"


def finished(found: ColumnSql, default_charset: str, *, mariadb: bool) -> ColumnSql:
    """Return the column with its character set; `default_charset` is the table's, "" if not known.

    Raises: RefusedError for an unknown set or collation, and for a label that the set cannot encode.
    """
    column, charset = found.column, found.charset
    if column.type == "json" and mariadb:
        column = replace(column, type="longtext", native_type="longtext", json_valid=True)
        charset = "utf8mb4"
    if found.primary_key:
        column = replace(column, nullable=False)
    if column.type in TEXTS:
        charset = charset_of(charset, found.collation, default_charset)
        column = _with_labels(with_charset(column, charset))
    if column.type == "blob" and column.length is not None:
        column = _sized(column, column.length, "blob")
    return replace(found, column=_shortened(column))


def charset_of(charset: str, collation: str, context: str) -> str:
    """Return the name of the set that a charset and a collation ("" if absent) mean in a context.

    Returns "" when it depends on the context, and that is not known. Raises RefusedError for unknown names.
    """
    try:
        if charset:
            return charsets.charset(charset).name
        found = charsets.of_collation_name(collation, context) if collation else None
    except KeyError as exc:
        kind = "character set" if charset else "collation"
        message = f"the {kind} {charset or collation!r} is not known"
        raise RefusedError(message) from exc
    return found.name if found else context


def with_charset(column: ColumnDefinition, charset: str) -> ColumnDefinition:
    """Return a text column in a character set; `binary` makes it a column of bytes.

    Raises: RefusedError for a set that is not known.
    """
    if charset == "binary" and column.type in _AS_BINARY:
        kind = _AS_BINARY[column.type]
        return replace(
            column, type=kind, native_type=column.native_type.replace(column.type, kind, 1), charset=""
        )
    if not charset:
        return column
    try:
        known = charsets.charset(charset)
    except KeyError as exc:
        message = f"the character set {charset!r} is not known"
        raise RefusedError(message) from exc
    column = replace(column, charset=known.name)
    if column.type == "text" and column.length is not None:
        return _sized(column, column.length * known.max_bytes, "text")
    return column


def converted(column: ColumnDefinition, charset: str) -> ColumnDefinition:
    """Return a column after CONVERT TO CHARACTER SET: texts get the set, and a type for as many characters.

    Raises: RefusedError for an unknown set, and for a label that the set cannot encode.
    """
    if column.type not in TEXTS or column.charset == "binary" or not charset:
        return column
    if column.labels and not _same_labels(column, charset):
        message = (
            f"the labels of column {column.name} are converted from {column.charset or 'an unknown set'} to "
            f"{charset}, which turns them into other labels in MariaDB"
        )
        raise RefusedError(message)
    limit = _TEXT_LIMITS.get(column.type)
    after = with_charset(column, charset)
    if limit and column.charset and after.charset:
        characters = limit // charsets.charset(column.charset).max_bytes
        after = _sized(after, characters * charsets.charset(after.charset).max_bytes, "text")
    return _shortened(_with_labels(after))


def _same_labels(column: ColumnDefinition, charset: str) -> bool:
    """Return whether labels read the same in another set: MariaDB 10.11 keeps their bytes in a conversion."""
    if not column.charset or column.charset == charset:
        return column.charset == charset
    before, after = charsets.charset(column.charset), charsets.charset(charset)
    ascii_only = before.ascii and after.ascii and all(label.isascii() for label in column.labels)
    return ascii_only or (before.is_utf8 and after.is_utf8)


def _shortened(column: ColumnDefinition) -> ColumnDefinition:
    """Return VARCHAR and VARBINARY as TEXT and BLOB, as the server does, if they exceed a row."""
    if column.type not in ("varchar", "varbinary") or column.length is None:
        return column
    width = charsets.charset(column.charset).max_bytes if column.charset else 1
    if column.length * width <= _VARCHAR_BYTES:
        return column
    return _sized(column, column.length * width, "text" if column.type == "varchar" else "blob")


def _with_labels(column: ColumnDefinition) -> ColumnDefinition:
    """Return the column with labels as the server keeps them: without spaces at the end, except in binary."""
    if not column.labels:
        return column
    charset = column.charset or "utf8mb4"
    known = charsets.charset(charset)
    labels = column.labels if known.is_binary else tuple(label.rstrip(" ") for label in column.labels)
    for label in labels:
        if not charsets.can_encode(known, label):
            message = f"the label {label!r} of column {column.name} cannot be encoded in {charset}"
            raise RefusedError(message)
    lost = doubtful_labels(labels, "binary") if known.is_binary else column.lost_labels
    return replace(column, labels=labels, native_type=labelled_type(column.type, labels), lost_labels=lost)


def _sized(column: ColumnDefinition, size: int, family: str) -> ColumnDefinition:
    """Return TEXT(n) or BLOB(n) as the smallest type of its kind that holds n."""
    prefix = next(prefix for prefix, limit in _SIZED if size < limit or prefix == "long")
    return replace(column, type=prefix + family, native_type=prefix + family, length=None)
