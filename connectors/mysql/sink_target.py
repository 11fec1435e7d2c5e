"""The table in MySQL under a declared one: whether it fits, and how each column's values are spelled."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymysql.converters import escape_string

from connectors.mysql.sink_connection import NoTableError, SinkConnection, Target
from connectors.mysql.sink_literals import Literals, literals_of
from streamjobs.column_types import ColumnType, Reason, UnfitValueError, column_type
from streamjobs.errors import ConfigError
from streamjobs.sink import SinkColumn, SinkTable

_TEXTS = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext")
_INTEGERS = ("tinyint", "smallint", "mediumint", "int", "bigint", "decimal")
_HOLDS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INT", "BIGINT"), (*_INTEGERS, *_TEXTS)),
    "BOOLEAN": ("tinyint", "smallint", "int", "bigint", "bit"),
    "FLOAT": ("float", "double"),
    "DOUBLE": ("double",),
    "DECIMAL": ("decimal", *_TEXTS),  # and, without a scale, integers
    "STRING": (*_TEXTS, "enum", "set", "json", "uuid", "inet4", "inet6"),
    "BYTES": ("varbinary", "tinyblob", "blob", "mediumblob", "longblob", "binary"),
    "DATE": ("date",),
    "TIME": ("time",),
    "TIMESTAMP": ("datetime",),
    "TIMESTAMP_LTZ": ("timestamp", "datetime"),
}
"""SQL type -> the types of MySQL that keep each of its values as it is, or refuse it aloud."""
_COUNTER = re.compile(r" AUTO_INCREMENT=\d+(?= )")


@dataclass(frozen=True)
class _Found:
    """A column as information_schema has it."""

    name: str
    type: str
    precision: int | None
    scale: int | None
    fraction: int | None
    collation: str | None
    extra: str
    nullable: bool
    default: str | None


@dataclass(frozen=True)
class BoundColumn:
    """A declared column, its type and literals; `pads` where a text that ends in spaces is another's key."""

    name: str
    type: ColumnType
    literals: Literals
    nullable: bool
    is_key: bool = False
    pads: bool = False

    def spell(self, value: Any) -> str:
        """Give the literal. Raises UnfitValueError."""
        if value is None:
            if not self.nullable:
                raise UnfitValueError(Reason.NULL, f"column {self.name} is NOT NULL")
            return "NULL"
        try:
            return self.literals.one(self.type.store(value))
        except UnfitValueError as exc:
            raise UnfitValueError(exc.reason, f"column {self.name}: {exc}") from exc

    def spell_many(self, values: Sequence[Any]) -> Sequence[str] | None:
        """Give what `spell` (of a key: `spell_key`) gives of each, or None where one needs a closer look."""
        if self.pads:
            return None
        classes = set(map(type, values))
        has_null = type(None) in classes
        if (has_null and not self.nullable) or not classes <= {self.type.plain, type(None)}:
            return None
        if not has_null:
            return self.literals.many(values)
        known = [value for value in values if value is not None]
        spelled = self.literals.many(known) if known else []
        if spelled is None:
            return None
        next_one = iter(spelled)
        return ["NULL" if value is None else next(next_one) for value in values]

    def spell_key(self, value: Any) -> str:
        """Give the literal of a key's value. Raises UnfitValueError."""
        if value is None:
            raise UnfitValueError(Reason.NULL, f"key column {self.name} is NULL")
        if self.pads and isinstance(value, str) and value.endswith(" "):
            detail = f"key column {self.name}: its collation takes {value!r} for the text without the spaces"
            raise UnfitValueError(Reason.TYPE, detail)
        return self.spell(value)


def quoted(name: str) -> str:
    """Quote an identifier."""
    return "`" + name.replace("`", "``") + "`"


def bind(
    connection: SinkConnection, table: SinkTable, target: Target, *, loose_keys: bool
) -> list[BoundColumn]:
    """Look at the table and give its columns, as declared. Raises ConfigError with what does not fit."""
    found = _columns(connection, target)
    problems = [*_table_problems(connection, table, target)]
    columns = []
    for column in table.columns:
        known = found.get(column.name.lower())
        if known is None:
            problems.append(f"{target} has no column {column.name}; it has {', '.join(found)}")
            continue
        kind = column_type(column.type)
        problems += _type_problems(column, kind, known)
        is_key = column.name in table.key
        if is_key and not loose_keys:
            problems += _collation_problems(known)
        pads = is_key and known.collation is not None and _pads(known.collation)
        nullable = known.nullable and not is_key
        columns.append(BoundColumn(column.name, kind, literals_of(kind), nullable, is_key, pads))
    declared = {column.name.lower() for column in table.columns}
    problems += [
        f"column {each.name} of {target} is NOT NULL without a default, and the job does not give it"
        for each in found.values()
        if each.name.lower() not in declared
        and not each.nullable and each.default is None and not each.extra
    ]  # fmt: skip
    if problems:
        raise ConfigError("\n".join(f"table {table.name}: {problem}" for problem in problems))
    return columns


def definition(connection: SinkConnection, table: SinkTable, target: Target) -> str:
    """Give the table's definition, and hold it: while the open transaction lasts nobody can alter it.

    Raises ConfigError where there is no such table.
    """
    name = quoted(target.table)
    try:
        connection.run(f"SELECT 1 FROM {name} LIMIT 0", "holding the table's definition")
    except NoTableError as exc:
        message = f"table {table.name}: there is no table {target}; make it first"
        raise ConfigError(message) from exc
    rows = connection.run(f"SHOW CREATE TABLE {name}", "reading the table's definition")
    return _COUNTER.sub("", _text(rows[0][1]))


def _columns(connection: SinkConnection, target: Target) -> dict[str, _Found]:
    rows = connection.run(
        "SELECT column_name, data_type, numeric_precision, numeric_scale, datetime_precision, "
        "collation_name, extra, is_nullable, column_default FROM information_schema.columns "
        f"WHERE {_here(target)} ORDER BY ordinal_position",
        "reading the columns",
    )
    found = [
        _Found(_text(n), _text(t).lower(), _int(p), _int(s), _int(f), None if c is None else _text(c),
               _text(e).lower(), _text(null) == "YES", None if d is None else _text(d))
        for n, t, p, s, f, c, e, null, d in rows
    ]  # fmt: skip
    return {column.name.lower(): column for column in found}


def _table_problems(connection: SinkConnection, table: SinkTable, target: Target) -> list[str]:
    """Say what keeps upserts of this key from doing what they should: engine, key, other unique indexes."""
    rows = connection.run(
        f"SELECT table_type, engine FROM information_schema.tables WHERE {_here(target)}", "reading the table"
    )
    kind, engine = rows[0]
    if _text(kind) != "BASE TABLE" or _text(engine).lower() != "innodb":
        return [f"{target} is no InnoDB table ({_text(kind)}, {engine}): a batch is one transaction"]
    indexes: dict[str, list[str]] = {}
    for name, column in connection.run(
        "SELECT index_name, column_name FROM information_schema.statistics "
        f"WHERE {_here(target)} AND non_unique = 0 ORDER BY index_name, seq_in_index",
        "reading the indexes",
    ):
        indexes.setdefault(_text(name), []).append("" if column is None else _text(column).lower())
    key = {name.lower() for name in table.key}
    problems = []
    if not any(set(columns) == key for columns in indexes.values()):
        problems.append(f"{target} has no PRIMARY KEY or UNIQUE index over exactly {', '.join(table.key)}")
    declared = {column.name.lower() for column in table.columns}
    for name, columns in indexes.items():
        touched = {column for column in columns if column in declared or not column}  # "": an expression
        if touched and not set(columns) >= key:
            problems.append(
                f"the UNIQUE index {name} ({', '.join(columns)}) of {target} would turn a new row into a "
                "change of another one: make it a plain index"
            )
    return problems


def _type_problems(column: SinkColumn, kind: ColumnType, known: _Found) -> list[str]:
    root, _, arguments = kind.name.partition("(")
    digits = [int(digit) for digit in arguments.rstrip(")").split(",") if digit.strip()]
    holds = _HOLDS["BIGINT"] if root == "DECIMAL" and not digits[1] else _HOLDS[root]
    where = f"column {column.name} is {column.type}, and in MySQL {known.type}"
    if "generated" in known.extra:
        return [f"{where}, generated by the server"]
    if known.type not in holds:
        return [f"{where}, which does not keep all its values; it takes {', '.join(holds)}"]
    if root == "DECIMAL" and known.type == "decimal" and (known.scale or 0) < digits[1]:
        return [f"{where} with {known.scale} digits behind the point: the others would be rounded off"]
    if root.startswith("TIME") and (known.fraction or 0) < digits[0]:
        return [f"{where}({known.fraction}): its fraction would be rounded; CAST it or ALTER the column"]
    return []


def _collation_problems(known: _Found) -> list[str]:
    collation = known.collation
    if collation is None or collation.endswith("_bin"):
        return []
    return [
        f"the key column {known.name} has the collation {collation}, which takes different texts for one: "
        "use a binary one (utf8mb4_bin, utf8mb4_nopad_bin, utf8mb4_0900_bin), or say 'looseKeys'='true'"
    ]


def _pads(collation: str) -> bool:
    return "nopad" not in collation and "0900" not in collation


def _here(target: Target) -> str:
    database, table = escape_string(target.database), escape_string(target.table)
    return f"table_schema = '{database}' AND table_name = '{table}'"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _int(value: Any) -> int | None:
    return None if value is None else int(value)


def update_clause(columns: Sequence[str]) -> str:
    """Give what an upsert does to a row that is there."""
    changes = ", ".join(f"{quoted(name)} = VALUES({quoted(name)})" for name in columns)
    return f" ON DUPLICATE KEY UPDATE {changes}"
