"""Lookup joins in the plan: the SQL that Flink runs in their place, and what it must not stand behind."""

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
        """Flink types of its arguments: a number that says nothing, then the key's columns.

        An integer has its NULLs beside it: pandas would make a float of a column with NULLs.
        """
        return ["INT", *(type_ for column in self._key_types for type_ in column)]

    @property
    def result_type(self) -> str:
        """Flink's type of a row: all columns of the table."""
        columns = ", ".join(
            f"{quoted(column.name)} {column.type.removesuffix(' NOT NULL')}" for column in self.table.columns
        )
        return f"ROW<{columns}>"

    @property
    def _key_types(self) -> list[tuple[str, ...]]:
        types = {column.name: column.type for column in self.table.columns}
        return [("BIGINT", "BOOLEAN") if is_integer(types[name]) else ("STRING",) for name in self.table.key]


def is_integer(type_: str) -> bool:
    """Whether a key of that type travels as a number."""
    return type_.removesuffix(" NOT NULL") in INTEGER_KEYS


def function_name(table: str) -> str:
    """Give the name of the function that looks up rows of this table."""
    return function_of("lookup", table)


class Lookups:
    """The lookup joins of a file. Raises SqlError for those that have a form that cannot be looked up."""

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
        """All of them, in the order of the file."""
        return tuple(join for joins in self._joins.values() for join in joins)

    def query(self, statement: CreateView | InsertInto) -> Written:
        """Give the statement's query with its lookup joins spelled for Flink."""
        text, place = self._script.text, statement.query_span.start
        parts = []
        for join in self._joins[statement.query_span]:
            parts += [
                copied(text[place : join.span.start], place),
                standing_for(self._spelled(join), join.span.start),
            ]
            place = join.span.end
        return joined([*parts, copied(text[place : statement.query_span.end], place)])

    def _spelled(self, join: LookupJoin) -> str:
        """One call that gives a ROW, as an array of one row: its fields keep the table's alias.

        A key without a row gives a row of NULLs, which an inner join drops: a found row has its key.
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
    """Give those of the tables that, by Flink's plan, are looked up for rows that are taken back later.

    What a row found is not kept: a retraction would be looked up once more, and find something else.
    """
    functions = {function_name(table): table for table in tables}
    for sink in sinks:
        for operator in operators(sink):
            if not operator.inserts_only:
                yield from (functions[name] for name in sorted(operator.functions & functions.keys()))
