"""The MySQL table of a declared table: checks that it fits, and makes the literals of its columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.mysql.store.columns import Found, here, read_columns, read_unique_indexes, text
from connectors.mysql.store.connection import NoTableError, SinkConnection, Target
from connectors.mysql.store.guards import Guard
from connectors.mysql.store.indexes import index_problems
from connectors.mysql.store.literals import Literals
from connectors.mysql.store.triggers import trigger_problems
from connectors.mysql.store.type_fits import Fit, MisfitError, fit
from streamjobs.errors import ConfigError
from streamjobs.sinks.contract import SinkColumn, SinkTable
from streamjobs.sinks.stored_types import ColumnType, Reason, UnfitValueError, column_type

_COUNTER = re.compile(r" AUTO_INCREMENT=\d+(?= )")


@dataclass(frozen=True)
class BoundColumn:
    """A declared column, its type and literals; `pads`: a key ignores spaces at the end of a text.

    `guard` finds values that the column would return changed. `follows_updates`: see `Found`.
    """

    name: str
    type: ColumnType
    literals: Literals
    nullable: bool
    is_key: bool = False
    pads: bool = False
    guard: Guard | None = None
    follows_updates: bool = False

    def spell(self, value: Any) -> str:
        """Return the literal. Raises UnfitValueError."""
        if value is None:
            if not self.nullable:
                raise UnfitValueError(Reason.NULL, f"column {self.name} is NOT NULL")
            return "NULL"
        try:
            stored = self.type.store(value)
            if self.guard is not None:
                self.guard.one(value)
            return self.literals.one(stored)
        except UnfitValueError as exc:
            raise UnfitValueError(exc.reason, f"column {self.name}: {exc}") from exc

    def spell_many(self, values: Sequence[Any]) -> Sequence[str] | None:
        """Return the literal of each value, as `spell` or `spell_key`; None if one must be checked alone."""
        if self.pads:
            return None
        classes = set(map(type, values))
        has_null = type(None) in classes
        if (has_null and not self.nullable) or not classes <= {self.type.plain, type(None)}:
            return None
        known = [value for value in values if value is not None] if has_null else values
        if known and self.guard is not None and not self.guard.many(known):
            return None
        spelled = self.literals.many(known) if known else []
        if spelled is None or not has_null:
            return spelled
        next_one = iter(spelled)
        return ["NULL" if value is None else next(next_one) for value in values]

    def spell_key(self, value: Any) -> str:
        """Return the literal of a key's value. Raises UnfitValueError."""
        if value is None:
            raise UnfitValueError(Reason.NULL, f"key column {self.name} is NULL")
        if self.pads and isinstance(value, str) and value.endswith(" "):
            detail = f"key column {self.name}: its collation ignores the spaces at the end of {value!r}"
            raise UnfitValueError(Reason.TYPE, detail)
        return self.spell(value)


def quoted(name: str) -> str:
    """Quote an identifier."""
    return "`" + name.replace("`", "``") + "`"


def bind(
    connection: SinkConnection, table: SinkTable, target: Target, *, loose_keys: bool
) -> list[BoundColumn]:
    """Check the table and return its columns, as declared. Raises ConfigError with what does not fit."""
    found = read_columns(connection, target)
    problems = [*_table_problems(connection, table, target, found)]
    columns = []
    for column in table.columns:
        known = found.get(column.name.lower())
        if known is None:
            problems.append(f"{target} has no column {column.name}; it has {', '.join(found)}")
            continue
        kind, is_key = column_type(column.type), column.name in table.key
        fitting = _fit(column, kind, known, target, problems)
        if is_key and not loose_keys:
            problems += _collation_problems(known, target)
        if fitting is not None:
            pads = is_key and known.collation != "" and _pads(known.collation)
            nullable = known.nullable and not is_key
            columns.append(
                BoundColumn(column.name, kind, fitting.literals, nullable, is_key, pads, fitting.guard,
                            known.follows_updates)
            )  # fmt: skip
    if problems:
        raise ConfigError("\n".join(f"table {table.name}: {problem}" for problem in problems))
    return columns


def definition(connection: SinkConnection, table: SinkTable, target: Target) -> str:
    """Return the table's definition, and hold it: no one can alter it while the transaction is open.

    Raises ConfigError if there is no such table.
    """
    name = quoted(target.table)
    try:
        connection.run(f"SELECT 1 FROM {name} LIMIT 0", "holding the table's definition")
    except NoTableError as exc:
        message = f"table {table.name}: there is no table {target}; create it first"
        raise ConfigError(message) from exc
    rows = connection.run(f"SHOW CREATE TABLE {name}", "reading the table's definition")
    return _COUNTER.sub("", text(rows[0][1]))


def _table_problems(
    connection: SinkConnection, table: SinkTable, target: Target, found: Mapping[str, Found]
) -> Iterator[str]:
    """Yield what prevents correct upserts by this key, one sentence each."""
    rows = connection.run(
        f"SELECT table_type, engine FROM information_schema.tables WHERE {here(target)}", "reading the table"
    )
    kind, engine = rows[0]
    if text(kind) != "BASE TABLE" or text(engine).lower() != "innodb":
        yield f"{target} is not an InnoDB table ({text(kind)}, {engine}): a batch needs a transaction"
        return
    given = {column.name.lower() for column in table.columns}
    yield from index_problems(read_unique_indexes(connection, target), found, table.key, given, target)
    yield from trigger_problems(connection, target, given)
    for name, column in found.items():
        filled = column.nullable or column.default is not None or column.is_generated or column.is_counter
        if name not in given and not filled:
            where = f"column {column.name} of {target}"
            yield f"{where} is NOT NULL without a default, and the job does not write it"


def _fit(
    column: SinkColumn, kind: ColumnType, known: Found, target: Target, problems: list[str]
) -> Fit | None:
    try:
        return fit(kind, known)
    except MisfitError as exc:
        cure = f"; {_alter(known, exc.cure, target)}" if exc.cure else ""
        problems.append(f"column {column.name} is {column.type}, but in MySQL {known.declared}{exc}{cure}")
        return None


def _alter(known: Found, type_: str, target: Target) -> str:
    null = "" if known.nullable else " NOT NULL"
    return f"ALTER TABLE {quoted(target.table)} MODIFY {quoted(known.name)} {type_}{null}"


def _collation_problems(known: Found, target: Target) -> list[str]:
    collation = known.collation
    if not collation or collation.endswith("_bin"):
        return []
    binary = f"{known.declared} CHARACTER SET {known.charset} COLLATE {known.charset}_bin"
    return [
        f"the key column {known.name} has the collation {collation}, for which different texts can be equal: "
        f"use a binary one ({_alter(known, binary, target)}), or set 'looseKeys'='true'"
    ]


def _pads(collation: str) -> bool:
    return "nopad" not in collation and "0900" not in collation


def update_clause(columns: Sequence[str], kept: Sequence[str] = ()) -> str:
    """Return what an upsert does to an existing row; `kept` columns do not change by themselves."""
    sets = [f"{quoted(name)} = VALUES({quoted(name)})" for name in columns]
    changes = ", ".join([*sets, *(f"{quoted(name)} = {quoted(name)}" for name in kept)])
    return f" ON DUPLICATE KEY UPDATE {changes}"
