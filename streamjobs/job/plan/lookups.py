"""Lookup joins in the plan: the SQL that Flink runs for them, and which rows they must not be joined to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from streamjobs.dialect.connectors import Connector, StoreTable
from streamjobs.dialect.lexer import Span
from streamjobs.dialect.lookup_joins import INTEGER_KEYS, LookupJoin, lookup_join
from streamjobs.dialect.nodes import CreateTable, CreateView, InsertInto, Script
from streamjobs.dialect.references import references
from streamjobs.job.flink_plan.physical import Operator, operators
from streamjobs.job.plan.flink_ddl import function_of, quoted
from streamjobs.job.plan.row_transfer import NO_CONSTANT
from streamjobs.job.plan.written import Written, copied, joined, standing_for
from streamjobs.sinks.contract import SinkTable


@dataclass(frozen=True)
class RegisterLookup:
    """The function that looks up rows of one table; `kind` is the connector's name."""

    function: str
    kind: str
    table: SinkTable

    @property
    def input_types(self) -> list[str]:
        """Return the Flink types of its arguments: a number without meaning, then the key's columns.

        An integer is followed by a flag for NULL: pandas would turn a column with NULLs into floats.
        """
        return ["INT", *(type_ for column in self._key_types for type_ in column)]

    @property
    def result_type(self) -> str:
        """Return Flink's type of a row: all columns of the table."""
        columns = ", ".join(
            f"{quoted(column.name)} {column.type.removesuffix(' NOT NULL')}" for column in self.table.columns
        )
        return f"ROW<{columns}>"

    @property
    def _key_types(self) -> list[tuple[str, ...]]:
        types = {column.name: column.type for column in self.table.columns}
        return [("BIGINT", "BOOLEAN") if is_integer(types[name]) else ("STRING",) for name in self.table.key]


def is_integer(type_: str) -> bool:
    """Return whether a key of that type is passed as a number."""
    return type_.removesuffix(" NOT NULL") in INTEGER_KEYS


def function_name(table: str) -> str:
    """Return the name of the function that looks up rows of this table."""
    return function_of("lookup", table)


class Lookups:
    """The lookup joins of a file. Raises SqlError for a lookup join in a form that is not supported."""

    def __init__(self, script: Script, connectors: Mapping[str, Connector]) -> None:
        self._script = script
        self._tables = {table.name: table for table in script.tables}
        stores = {name for name, each in connectors.items() if isinstance(each, StoreTable)}
        self._joins: dict[Span, list[LookupJoin]] = {}
        for statement in script.statements:
            if isinstance(statement, CreateView | InsertInto):
                query = statement.query_span
                self._joins[query] = [
                    lookup_join(script, query, each, self._tables[each.name])
                    for each in references(script, query).tables
                    if each.as_of is not None and not each.cte and each.name in stores
                ]

    @property
    def joins(self) -> tuple[LookupJoin, ...]:
        """Return all of them, in the order of the file."""
        return tuple(join for joins in self._joins.values() for join in joins)

    def query(self, statement: CreateView | InsertInto) -> Written:
        """Return the statement's query, with its lookup joins in SQL that Flink runs."""
        text, start = self._script.text, statement.query_span.start
        parts = []
        for join in self._joins[statement.query_span]:
            parts += [
                copied(text[start : join.span.start], start),
                standing_for(self._sql(join), join.span.start),
            ]
            start = join.span.end
        return joined([*parts, copied(text[start : statement.query_span.end], start)])

    def _sql(self, join: LookupJoin) -> str:
        """Return one call that returns a ROW, as an array of one row: its fields keep the table's alias.

        For a key without a row the call returns a row of NULLs. An inner join drops it by its NULL key.
        """
        table = self._tables[join.table]
        columns = ", ".join(quoted(column.name) for column in table.physical_columns)
        call = f"{quoted(function_name(table.name))}({', '.join(self._arguments(table, join))})"
        first = f"{quoted(join.alias)}.{quoted(table.primary_key[0])}"
        condition = "TRUE" if join.outer else f"{first} IS NOT NULL"
        return f"UNNEST(ARRAY[{call}]) AS {quoted(join.alias)} ({columns}) ON {condition}"

    @staticmethod
    def _arguments(table: CreateTable, join: LookupJoin) -> Iterator[str]:
        yield NO_CONSTANT
        types = {column.name: column.type for column in table.columns}
        for name, text in zip(table.primary_key, join.keys, strict=True):
            if is_integer(types[name]):
                yield f"COALESCE({text}, CAST(0 AS BIGINT))"
                yield f"({text}) IS NULL"
            else:
                yield text


def updating_lookups(sinks: Iterable[Operator], tables: Iterable[str]) -> Iterator[str]:
    """Yield those of the tables that, by Flink's plan, are looked up for rows that are retracted later.

    The result of a lookup is not kept: a retraction would be looked up again, and might find another row.
    """
    functions = {function_name(table): table for table in tables}
    for sink in sinks:
        for operator in operators(sink):
            if not operator.inserts_only:
                yield from (functions[name] for name in sorted(operator.functions & functions.keys()))
