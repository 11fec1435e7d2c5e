"""Column definitions in SQL, as CREATE and ALTER TABLE have them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from connectors.mysql import charsets
from connectors.mysql.errors import RefusedError
from connectors.mysql.sql_tokens import Cursor, Kind, Token, split
from connectors.mysql.table_changes import ColumnDefinition

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
_AS_BINARY: Final = {
    "char": "binary", "varchar": "varbinary", "tinytext": "tinyblob", "text": "blob", "mediumtext":
    "mediumblob", "longtext": "longblob",
}  # fmt: skip


@dataclass(frozen=True)
class ColumnSql:
    """A column definition, and what else it says.

    `place`: None at the end, "" first, else the name of the column that it stands behind.
    """

    column: ColumnDefinition
    primary_key: bool = False
    place: str | None = None


@dataclass(frozen=True)
class _Type:
    name: str
    arguments: tuple[Token, ...]
    national: bool = False


def read_column(tokens: list[Token], default_charset: str, *, mariadb: bool) -> ColumnSql:
    """Read `name type attributes`; `default_charset` is the table's, "" when it is not known.

    Raises: RefusedError for a definition that is not understood.
    """
    cursor = Cursor(tokens)
    name = cursor.name()
    kind = _type(cursor)
    text = _Text("utf8mb3" if kind.national else "", "")
    found = ColumnSql(_column(name, kind))
    while not cursor.done:
        token = cursor.next()
        if token.kind is Kind.WORD:
            word = token.text.upper()
            text = _text_attribute(word, cursor, text)
            found = replace(found, column=_column_attribute(word, cursor, found.column))
            found = _place(word, cursor, found)
        elif token.is_mark("("):
            cursor = Cursor([token, *cursor.rest])
            cursor.group()
    return _finished(found, text.charset, text.collation, default_charset, mariadb=mariadb)


@dataclass(frozen=True)
class _Text:
    charset: str
    collation: str


def _text_attribute(word: str, cursor: Cursor, text: _Text) -> _Text:
    match word:
        case "CHARACTER" | "CHARSET" | "CHAR":
            cursor.skip_any("SET")
            return replace(text, charset=cursor.next().text.lower())
        case "ASCII":
            return replace(text, charset="latin1")
        case "UNICODE":
            return replace(text, charset="ucs2")
        case "BYTE":
            return replace(text, charset="binary")
        case "COLLATE":
            cursor.skip_mark("=")
            return replace(text, collation=cursor.next().text.lower())
        case _:
            return text


def _column_attribute(word: str, cursor: Cursor, column: ColumnDefinition) -> ColumnDefinition:
    match word:
        case "UNSIGNED" | "ZEROFILL":
            native = f"{column.native_type} {word.lower()}"
            return replace(column, unsigned=True, native_type=native)
        case "NOT":
            cursor.skip_any("NULL")
            return replace(column, nullable=False)
        case "COMPRESSED":
            return replace(column, compressed=True)
        case "CHECK":
            checked = [token.text.lower() for token in cursor.group()[:2]]
            return replace(column, json_valid=column.json_valid or checked == ["json_valid", "("])
        case _:
            return column


def _place(word: str, cursor: Cursor, found: ColumnSql) -> ColumnSql:
    match word:
        case "UNIQUE":
            cursor.skip_any("KEY")
        case "PRIMARY" | "KEY":
            return replace(found, primary_key=True)
        case "FIRST":
            return replace(found, place="")
        case "AFTER":
            return replace(found, place=cursor.name())
        case "DEFAULT" | "COMMENT" | "REFERENCES":
            _skip_value(cursor)
    return found


def _skip_value(cursor: Cursor) -> None:
    """A value that may be a word that means something elsewhere: DEFAULT 'FIRST', COMMENT 'primary'."""
    if cursor.peek().is_mark("("):
        cursor.group()
    else:
        cursor.next()


def _type(cursor: Cursor) -> _Type:
    words = [cursor.name().lower()]
    national = words[0] in ("national", "nchar", "nvarchar")
    if words[0] == "national":
        words = [cursor.name().lower()]
    name = _SYNONYMS.get(words[0], words[0])
    if name == "double":
        cursor.skip_any("PRECISION")
    elif name == "char" and cursor.skip_any("VARYING"):
        name = "varchar"
    elif name == "char" and cursor.skip_any("BYTE"):
        name = "binary"
    elif name == "long":
        name = "mediumblob" if cursor.skip_any("VARBINARY", "BYTE") else "mediumtext"
        cursor.skip_any("VARCHAR", "VARYING")
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
        quoted = ",".join("'" + label.replace("'", "''") + "'" for label in labels)
        return ColumnDefinition(name, kind.name, f"{kind.name}({quoted})", labels=labels)
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
    if part[-1].kind is not Kind.STRING or part[0].is_word("X", "B"):
        message = f"a label that is no text: {' '.join(token.text for token in part)!r}"
        raise RefusedError(message)
    return part[-1].text.rstrip(" ")


def _finished(
    found: ColumnSql, charset: str, collation: str, default_charset: str, *, mariadb: bool
) -> ColumnSql:
    column = found.column
    if column.type == "json" and mariadb:
        column = replace(column, type="longtext", native_type="longtext", json_valid=True)
        charset = "utf8mb4"
    if found.primary_key:
        column = replace(column, nullable=False)
    if column.type in TEXTS:
        if not charset and collation:
            charset = _charset_of_collation(collation)
        column = with_charset(column, charset or default_charset)
    elif column.type == "blob" and column.length is not None:
        column = _sized(column, column.length, "blob")
    return replace(found, column=column)


def with_charset(column: ColumnDefinition, charset: str) -> ColumnDefinition:
    """A column of text in a character set; in `binary` it becomes one of bytes.

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


def _charset_of_collation(collation: str) -> str:
    try:
        return charsets.of_collation_name(collation).name
    except KeyError as exc:
        message = f"the collation {collation!r} is not known"
        raise RefusedError(message) from exc


def _sized(column: ColumnDefinition, size: int, family: str) -> ColumnDefinition:
    """TEXT(n) and BLOB(n) are the smallest of their kind that holds n."""
    prefix = next(prefix for prefix, limit in _SIZED if size < limit)
    return replace(column, type=prefix + family, native_type=prefix + family, length=None)


def primary_key(part: list[Token]) -> tuple[str, ...]:
    """The columns of `[CONSTRAINT name] PRIMARY KEY [USING …] (a, b(10) DESC)`; empty for other keys."""
    cursor = Cursor(part)
    if cursor.skip_any("CONSTRAINT") and not cursor.peek().is_word("PRIMARY"):
        cursor.next()
    if not cursor.skip("PRIMARY", "KEY"):
        return ()
    while not cursor.done and not cursor.peek().is_mark("("):
        cursor.next()
    return tuple(column[0].text for column in split(cursor.group()))


def table_charset(options: list[Token]) -> str:
    """The character set in table or database options; "" when they do not say."""
    cursor = Cursor(options)
    charset = collation = ""
    while not cursor.done:
        if cursor.skip("CHARACTER", "SET") or cursor.skip_any("CHARSET"):
            cursor.skip_mark("=")
            charset = cursor.next().text.lower()
        elif cursor.skip_any("COLLATE"):
            cursor.skip_mark("=")
            collation = cursor.next().text
        else:
            cursor.next()
    try:
        if charset:
            return charsets.charset(charset).name
        return charsets.of_collation_name(collation).name if collation else ""
    except KeyError as exc:
        message = f"the character set {charset or collation!r} is not known"
        raise RefusedError(message) from exc
