"""A table's columns and unique indexes, read from information_schema for the sink."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pymysql.converters import escape_string

from connectors.mysql.schema.tokens import Kind, tokens
from connectors.mysql.store.connection import SinkConnection, Target

_WORDS = re.compile(r"[a-z_]+")


@dataclass(frozen=True)
class Found:
    """A column: `type` is the bare type (`decimal`), `declared` the full type (`decimal(10,2) unsigned`).

    `scale` of a float or double is None unless it was declared with one. `length` counts characters, for
    binary types bytes; `octets` counts bytes. `default` is None if there is no default, or if it is NULL.
    """

    name: str
    type: str
    declared: str
    scale: int | None
    fraction: int | None
    length: int
    octets: int
    charset: str
    collation: str
    extra: str
    nullable: bool
    default: str | None

    @property
    def is_generated(self) -> bool:
        """Return whether the server computes it; MySQL marks a default expression as DEFAULT_GENERATED."""
        return "generated" in self._words

    @property
    def is_counter(self) -> bool:
        """Return whether the server assigns the next number when no value is given."""
        return "auto_increment" in self._words

    @property
    def follows_updates(self) -> bool:
        """Return whether an update sets it to the current time unless the update sets it itself."""
        return "on update" in self.extra

    @property
    def _words(self) -> list[str]:
        """The words of `extra`: MariaDB separates them by commas, MySQL only by spaces."""
        return _WORDS.findall(self.extra)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of an ENUM or SET."""
        return tuple(token.text for token in tokens(self.declared) if token.kind is Kind.STRING)


@dataclass(frozen=True)
class UniqueIndex:
    """A unique index: its parts in lower case, "" for an expression; of the `cut` ones only a prefix."""

    name: str
    parts: tuple[str, ...]
    cut: frozenset[str]


def read_columns(connection: SinkConnection, target: Target) -> dict[str, Found]:
    """Read the columns; the keys are their names in lower case."""
    rows = connection.run(
        "SELECT column_name, data_type, column_type, numeric_scale, datetime_precision, "
        "character_maximum_length, character_octet_length, character_set_name, collation_name, extra, "
        "is_nullable, column_default, VERSION() "
        f"FROM information_schema.columns WHERE {here(target)} ORDER BY ordinal_position",
        "reading the columns",
    )
    found = [
        Found(text(n), text(t).lower(), text(d), _number(s), _number(f), _number(le) or 0, _number(o) or 0,
              _known(cs), _known(co), text(e).lower(), text(null) == "YES", _default(default, text(version)))
        for n, t, d, s, f, le, o, cs, co, e, null, default, version in rows
    ]  # fmt: skip
    return {column.name.lower(): column for column in found}


def read_unique_indexes(connection: SinkConnection, target: Target) -> list[UniqueIndex]:
    """Read the unique indexes, including the primary key."""
    rows = connection.run(
        "SELECT index_name, column_name, sub_part FROM information_schema.statistics "
        f"WHERE {here(target)} AND non_unique = 0 ORDER BY index_name, seq_in_index",
        "reading the indexes",
    )
    parts: dict[str, list[tuple[str, bool]]] = {}
    for name, column, prefix in rows:
        parts.setdefault(text(name), []).append((_known(column).lower(), prefix is not None))
    return [
        UniqueIndex(name, tuple(c for c, _ in found), frozenset(c for c, is_cut in found if is_cut))
        for name, found in parts.items()
    ]


def here(target: Target, schema: str = "table_schema", name: str = "table_name") -> str:
    """Return the condition on these columns that finds the table in information_schema."""
    database, table = escape_string(target.database), escape_string(target.table)
    return f"{schema} = '{database}' AND {name} = '{table}'"


def text(value: Any) -> str:
    """Return as text a name or word of the server, which may arrive as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


def _known(value: Any) -> str:
    return "" if value is None else text(value)


def _number(value: Any) -> int | None:
    return None if value is None else int(value)


def _default(value: Any, version: str) -> str | None:
    """Return the default: MariaDB shows it as SQL, so NULL is not a text; MySQL shows the bare value."""
    if value is None or (text(value) == "NULL" and "MariaDB" in version):
        return None
    return text(value)
