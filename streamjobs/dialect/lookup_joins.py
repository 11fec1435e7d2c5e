"""Reads and checks lookup joins: `JOIN d FOR SYSTEM_TIME AS OF PROCTIME() ON d.k = o.x`, `d` in a store."""

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
"""The stores that support lookups; `rds` and `cloudhbase` are other names of two of them."""

INTEGER_KEYS = ("TINYINT", "SMALLINT", "INT", "BIGINT")
TEXT_KEYS = ("STRING", "VARCHAR", "CHAR")
_COLUMNS = (*INTEGER_KEYS, *TEXT_KEYS, "BOOLEAN", "FLOAT", "DOUBLE", "DECIMAL", "BYTES", "VARBINARY",
            "BINARY", "DATE", "TIME", "TIMESTAMP")  # fmt: skip


@dataclass(frozen=True)
class LookupJoin:
    """One lookup join, as written.

    `keys` holds one text for each column of the table's primary key, in key order: the expression that the
    column is compared to. `span` is from the table's name to the end of the ON condition; `outer` is true for
    LEFT JOIN.
    """

    table: str
    alias: str
    outer: bool
    keys: tuple[str, ...]
    span: Span


def lookup_join(script: Script, query: Span, reference: TableReference, table: CreateTable) -> LookupJoin:
    """Read one lookup join of a query. Raises SqlError at a form that is not supported."""
    return _Reader(script, query, reference, table).read()


def lookup_table_findings(
    table: CreateTable, connector: StoreTable, reference: TableReference
) -> Iterator[Finding]:
    """Yield why the table cannot be looked up: its store, its options, its columns."""
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
                f"{table.name} cannot be looked up: in Redis that needs mode='STRING' or 'HASHMAP', and "
                "cache='NONE' or 'LRU'"
            )
            yield error("lookup-redis", message, reference.span)
    for column in table.physical_columns:
        root, _, digits = column.type.partition("(")
        root = root.split()[0]
        too_fine = digits.rstrip(")") in ("7", "8", "9") and root in ("TIME", "TIMESTAMP")
        if root not in _COLUMNS or too_fine:
            hint = ": declare TIMESTAMP(3) or (6), which is in UTC" if root.startswith("TIMESTAMP") else ""
            message = f"column {column.name} of {table.name}: a lookup join cannot return {column.type}{hint}"
            yield error("lookup-column", message, column.span)
        elif column.name in table.primary_key and root not in (*INTEGER_KEYS, *TEXT_KEYS):
            message = (
                f"the key column {column.name} of {table.name} is {column.type}: rows are looked up by "
                "integers and texts"
            )
            yield error("lookup-column", message, column.span)


class _Reader:
    """Reads what follows the name of a table that is looked up: alias and ON condition."""

    def __init__(self, script: Script, query: Span, reference: TableReference, table: CreateTable) -> None:
        self._script = script
        self._reference = reference
        self._table = table
        self._tokens = significant(script.tokens_of(query))

    def read(self) -> LookupJoin:
        """Read the join. Raises SqlError at a form that is not supported."""
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
        """Return the tokens of the ON condition."""
        as_of, tokens = self._reference.as_of, self._tokens
        if as_of is None:
            message = f"{self._reference.name} is not joined as of a time"
            raise AssertionError(message)
        index = next((i for i, t in enumerate(tokens) if t.start >= as_of.span.end), len(tokens))
        if index < len(tokens) and tokens[index].is_word("AS"):
            index += 1
        if index < len(tokens) and tokens[index].is_name and not tokens[index].is_word("ON"):
            index += 1
        if index >= len(tokens) or not tokens[index].is_word("ON"):
            raise self._error(self._wanted())
        start = index = index + 1
        depth = 0
        while index < len(tokens) and (depth or not self._ends(index)):
            depth += tokens[index].is_operator("(") - tokens[index].is_operator(")")
            index += 1
        if start == index:
            raise self._error(self._wanted())
        return tokens[start:index]

    def _ends(self, index: int) -> bool:
        token = self._tokens[index]
        if token.is_operator(",") or token.is_operator(")") or token.is_word(*FROM_ENDS, "JOIN"):
            return True
        while index < len(self._tokens) and self._tokens[index].is_word(*JOIN_WORDS):
            index += 1
        return token.is_word(*JOIN_WORDS) and self._tokens[index : index + 1] != [] and (
            self._tokens[index].is_word("JOIN")
        )  # fmt: skip

    def _comparison(self, tokens: Sequence[Token]) -> tuple[str, str]:
        """Return the column of `d.column = expression` and the expression's text. Raises SqlError."""
        while len(tokens) > 2 and _is_bracketed(tokens):
            tokens = tokens[1:-1]
        equals = [i for i, depth in _depths(tokens) if not depth and tokens[i].is_operator("=")]
        if len(equals) == 1:
            sides = (tokens[: equals[0]], tokens[equals[0] + 1 :])
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
        """Return whether the tokens name the table itself, or are no plain expression over the left side."""
        return any(self._is_own(tokens[index:]) for index in range(len(tokens))) or any(
            token.is_word("SELECT", "AND", "OR", "NOT", "BETWEEN", "IS", "IN", "LIKE")
            or any(token.is_operator(sign) for sign in ("<", ">", "<=", ">=", "<>", "!="))
            for token in tokens
        )

    def _wanted(self) -> str:
        name, alias = self._table.name, self._reference.alias
        keys = " AND ".join(f"{alias}.{column} = …" for column in self._table.primary_key)
        return (
            f"{name} is looked up by its whole primary key and nothing else: ON {keys}, each compared to an "
            "expression over the left side; other conditions belong in WHERE"
        )

    def _error(self, message: str, span: Span | None = None) -> SqlError:
        return self._script.error(message, span or self._reference.span)


def _depths(tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    depth = 0
    for index, token in enumerate(tokens):
        depth -= token.is_operator(")")
        yield index, depth
        depth += token.is_operator("(")


def _is_bracketed(tokens: Sequence[Token]) -> bool:
    outermost = [index for index, depth in _depths(tokens) if not depth]
    return tokens[0].is_operator("(") and outermost == [0, len(tokens) - 1]


def _split(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Split at each AND that is outside of all brackets."""
    start = 0
    for index, depth in _depths(tokens):
        if not depth and tokens[index].is_word("AND"):
            yield tokens[start:index]
            start = index + 1
    yield tokens[start:]
