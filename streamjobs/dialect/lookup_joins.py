"""Lookup joins: `JOIN d FOR SYSTEM_TIME AS OF PROCTIME() ON d.k = o.x` with a table in a store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from streamjobs.dialect.connectors import StoreTable
from streamjobs.dialect.findings import Finding, error
from streamjobs.dialect.lexer import Span, Token, significant
from streamjobs.dialect.nodes import CreateTable, Script
from streamjobs.dialect.references import FROM_ENDS, JOIN_WORDS, JoinKind, TableReference
from streamjobs.errors import SqlError

LOOKUP_KINDS = ("mysql", "redis", "hbase")
"""The stores that are looked up; `rds` and `cloudhbase` are other names of two of them."""

INTEGER_KEYS = ("TINYINT", "SMALLINT", "INT", "BIGINT")
TEXT_KEYS = ("STRING", "VARCHAR", "CHAR")
_COLUMNS = (*INTEGER_KEYS, *TEXT_KEYS, "BOOLEAN", "FLOAT", "DOUBLE", "DECIMAL", "BYTES", "VARBINARY",
            "BINARY", "DATE", "TIME", "TIMESTAMP")  # fmt: skip


@dataclass(frozen=True)
class LookupJoin:
    """One lookup join, as written.

    `keys` holds, for each column of the table's primary key in order, the text of the expression that it is
    compared to. `span` goes from the table's name to the end of the ON condition; `outer` is LEFT JOIN.
    """

    table: str
    alias: str
    outer: bool
    keys: tuple[str, ...]
    span: Span


def lookup_join(script: Script, query: Span, reference: TableReference, table: CreateTable) -> LookupJoin:
    """Read one lookup join of a query. Raises SqlError at a form that cannot be looked up."""
    return _Reader(script, query, reference, table).read()


def lookup_table_findings(
    table: CreateTable, connector: StoreTable, reference: TableReference
) -> Iterator[Finding]:
    """What keeps the table from being looked up: its store, its options, its columns."""
    if connector.kind not in LOOKUP_KINDS:
        message = (
            f"{table.name} cannot be looked up: a lookup join reads tables of type rds, mysql, redis, hbase "
            f"and cloudhbase, not {connector.kind}"
        )
        yield error("lookup-kind", message, reference.span)
        return
    if connector.kind == "redis":
        given = [str(connector.options.get(name, "")).upper() for name in ("mode", "cache")]
        if "SORTEDSET" in given or "ALL" in given:
            message = (
                f"{table.name} cannot be looked up: in Redis that takes mode='STRING' or 'HASHMAP', and "
                "cache='NONE' or 'LRU'"
            )
            yield error("lookup-redis", message, reference.span)
    for column in table.physical_columns:
        root, _, digits = column.type.partition("(")
        root = root.split()[0]
        too_fine = digits.rstrip(")") in ("7", "8", "9") and root in ("TIME", "TIMESTAMP")
        if root not in _COLUMNS or too_fine:
            hint = ": declare TIMESTAMP(3) or (6), which is in UTC" if root.startswith("TIMESTAMP") else ""
            message = f"column {column.name} of {table.name}: a lookup join gives no {column.type}{hint}"
            yield error("lookup-column", message, column.span)
        elif column.name in table.primary_key and root not in (*INTEGER_KEYS, *TEXT_KEYS):
            message = (
                f"the key column {column.name} of {table.name} is {column.type}: rows are looked up by "
                "integers and texts"
            )
            yield error("lookup-column", message, column.span)


class _Reader:
    """Reads what stands behind a table that is looked up: alias and ON condition."""

    def __init__(self, script: Script, query: Span, reference: TableReference, table: CreateTable) -> None:
        self._script = script
        self._reference = reference
        self._table = table
        self._tokens = significant(script.tokens_of(query))

    def read(self) -> LookupJoin:
        """Read it. Raises SqlError."""
        reference, table = self._reference, self._table
        if reference.join not in (JoinKind.INNER, JoinKind.LEFT):
            message = f"{table.name} is looked up by JOIN or LEFT JOIN only"
            raise self._error(message)
        condition = self._condition()
        compared: dict[str, str] = {}
        for part in _split(condition):
            column, text = self._comparison(part)
            if column in compared or column not in table.primary_key:
                break
            compared[column] = text
        else:
            if set(compared) == set(table.primary_key):
                keys = tuple(compared[name] for name in table.primary_key)
                span = Span(reference.span.start, condition[-1].end)
                return LookupJoin(table.name, reference.alias, reference.join is JoinKind.LEFT, keys, span)
        raise self._error(self._wanted())

    def _condition(self) -> list[Token]:
        """Give the tokens of the ON condition."""
        as_of, tokens = self._reference.as_of, self._tokens
        if as_of is None:
            message = f"{self._reference.name} is not joined as of a time"
            raise AssertionError(message)
        place = next((i for i, t in enumerate(tokens) if t.start >= as_of.span.end), len(tokens))
        if place < len(tokens) and tokens[place].is_word("AS"):
            place += 1
        if place < len(tokens) and tokens[place].is_name and not tokens[place].is_word("ON"):
            place += 1
        if place >= len(tokens) or not tokens[place].is_word("ON"):
            raise self._error(self._wanted())
        start = place = place + 1
        depth = 0
        while place < len(tokens) and (depth or not self._ends(place)):
            depth += tokens[place].is_operator("(") - tokens[place].is_operator(")")
            place += 1
        if start == place:
            raise self._error(self._wanted())
        return tokens[start:place]

    def _ends(self, place: int) -> bool:
        token = self._tokens[place]
        if token.is_operator(",") or token.is_operator(")") or token.is_word(*FROM_ENDS, "JOIN"):
            return True
        while place < len(self._tokens) and self._tokens[place].is_word(*JOIN_WORDS):
            place += 1
        return token.is_word(*JOIN_WORDS) and self._tokens[place : place + 1] != [] and (
            self._tokens[place].is_word("JOIN")
        )  # fmt: skip

    def _comparison(self, tokens: Sequence[Token]) -> tuple[str, str]:
        """Give the column of `d.column = expression` and the expression's text. Raises SqlError."""
        while len(tokens) > 2 and _is_bracketed(tokens):
            tokens = tokens[1:-1]
        places = [i for i, depth in _depths(tokens) if not depth and tokens[i].is_operator("=")]
        if len(places) == 1:
            sides = (tokens[: places[0]], tokens[places[0] + 1 :])
            for own, other in (sides, sides[::-1]):
                if self._is_own(own) and len(own) == 3 and other and not self._mentions(other):
                    return own[2].name, Span(other[0].start, other[-1].end).of(self._script.text)
        raise self._error(self._wanted(), Span(tokens[0].start, tokens[-1].end) if tokens else None)

    def _is_own(self, tokens: Sequence[Token]) -> bool:
        return (
            len(tokens) >= 3
            and tokens[0].is_name
            and tokens[0].name == self._reference.alias
            and tokens[1].is_operator(".")
            and tokens[2].is_name
        )

    def _mentions(self, tokens: Sequence[Token]) -> bool:
        """Whether the tokens name the table itself, or are more than an expression over its left side."""
        return any(self._is_own(tokens[place:]) for place in range(len(tokens))) or any(
            token.is_word("SELECT", "AND", "OR", "NOT", "BETWEEN", "IS", "IN", "LIKE")
            or any(token.is_operator(sign) for sign in ("<", ">", "<=", ">=", "<>", "!="))
            for token in tokens
        )

    def _wanted(self) -> str:
        name, alias = self._table.name, self._reference.alias
        keys = " AND ".join(f"{alias}.{column} = …" for column in self._table.primary_key)
        return (
            f"{name} is looked up by its whole primary key and nothing else: ON {keys}, each compared to an "
            "expression over the left side; other conditions belong into WHERE"
        )

    def _error(self, message: str, span: Span | None = None) -> SqlError:
        return self._script.error(message, span or self._reference.span)


def _depths(tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    depth = 0
    for place, token in enumerate(tokens):
        depth -= token.is_operator(")")
        yield place, depth
        depth += token.is_operator("(")


def _is_bracketed(tokens: Sequence[Token]) -> bool:
    outermost = [place for place, depth in _depths(tokens) if not depth]
    return tokens[0].is_operator("(") and outermost == [0, len(tokens) - 1]


def _split(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Split at each AND that stands in no brackets."""
    start = 0
    for place, depth in _depths(tokens):
        if not depth and tokens[place].is_word("AND"):
            yield tokens[start:place]
            start = place + 1
    yield tokens[start:]
