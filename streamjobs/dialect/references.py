"""Finds by tokens which tables and functions a query reads, and how it joins them; Flink checks the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from streamjobs.dialect.lexer import Span, Token, TokenKind, significant
from streamjobs.dialect.nodes import Script

FROM_ENDS = ("WHERE", "GROUP", "HAVING", "WINDOW", "QUALIFY", "ORDER", "LIMIT", "OFFSET", "FETCH",
              "UNION", "INTERSECT", "EXCEPT", "MINUS")  # fmt: skip
JOIN_WORDS = ("NATURAL", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "OUTER", "SEMI", "ANTI")
_NO_ALIAS = (*FROM_ENDS, *JOIN_WORDS, "JOIN", "ON", "USING", "WITH", "FOR", "MATCH_RECOGNIZE",
             "TABLESAMPLE", "LATERAL", "SET", "SELECT", "PARTITION")  # fmt: skip


class JoinKind(Enum):
    """How a FROM clause adds a table. CROSS is also the comma, ARGUMENT is `f(TABLE t, …)`."""

    FROM = "FROM"
    INNER = "INNER"
    LEFT = "LEFT"
    RIGHT = "RIGHT"
    FULL = "FULL"
    CROSS = "CROSS"
    ARGUMENT = "ARGUMENT"


@dataclass(frozen=True)
class AsOf:
    """`FOR SYSTEM_TIME AS OF expr`.

    `left` is the name of the table that the time comes from: that of the alias in `i.event_time`, or the only
    one to the left; None if that is a subquery or is not clear.
    """

    expr: str
    left: str | None
    span: Span


@dataclass(frozen=True)
class TableReference:
    """A table, view or common table expression that a query reads.

    `name` is the last part of the name as written; `cte` is true if the query itself defines it. `alias` is
    the alias, or the name if there is none.
    """

    name: str
    alias: str
    join: JoinKind
    as_of: AsOf | None
    cte: bool
    span: Span


@dataclass(frozen=True)
class FunctionReference:
    """A function in FROM: `LATERAL TABLE(f(x)) AS t (…)`. `alias` is "" if there is none."""

    name: str
    alias: str
    join: JoinKind
    arguments: Span
    span: Span


@dataclass(frozen=True)
class References:
    """What a query reads, in the order of its text, subqueries included."""

    tables: tuple[TableReference, ...]
    functions: tuple[FunctionReference, ...]


def references(script: Script, query: Span) -> References:
    """Find what the query reads. Raises SqlError at a bracket that is never closed or opened."""
    tokens = significant(script.tokens_of(query))
    scanner = _Scanner(script, tokens)
    scanner.scan(0, len(tokens), frozenset())
    scanner.tables.sort(key=lambda reference: reference.span.start)
    return References(tuple(scanner.tables), tuple(scanner.functions))


def matching_brackets(script: Script, tokens: list[Token]) -> dict[int, int]:
    """Map the index of each opening parenthesis to that of its closing one. Raises SqlError."""
    matches, open_ = dict[int, int](), list[int]()
    for index, token in enumerate(tokens):
        if token.is_operator("("):
            open_.append(index)
        elif token.is_operator(")"):
            if not open_:
                message = "this ) was never opened"
                raise script.error(message, token.span)
            matches[open_.pop()] = index
    if open_:
        message = "this ( is never closed"
        raise script.error(message, tokens[open_[-1]].span)
    return matches


@dataclass(frozen=True)
class _Item:
    """An earlier item of a FROM clause: its alias and its table (None for a subquery)."""

    alias: str
    table: str | None


@dataclass
class _From:
    """A FROM clause while it is read: the end of its brackets, its CTEs, the next join, its items."""

    stop: int
    ctes: frozenset[str]
    join: JoinKind
    items: list[_Item] = field(default_factory=list)


class _Scanner:
    def __init__(self, script: Script, tokens: list[Token]) -> None:
        self._script = script
        self._tokens = tokens
        self._close = matching_brackets(script, tokens)
        self.tables: list[TableReference] = []
        self.functions: list[FunctionReference] = []

    def _is(self, index: int, *words: str) -> bool:
        return 0 <= index < len(self._tokens) and self._tokens[index].is_word(*words)

    def _opens(self, index: int) -> bool:
        return index < len(self._tokens) and self._tokens[index].is_operator("(")

    def scan(self, start: int, stop: int, ctes: frozenset[str]) -> None:
        """Walk over a query, or over the content of brackets."""
        index, ctes = self._with_clause(start, stop, ctes)
        is_query = False  # `EXTRACT(DAY FROM x)` is not a query
        while index < stop:
            token = self._tokens[index]
            is_query = is_query or token.is_word("SELECT")
            if token.is_operator("("):
                self.scan(index + 1, self._close[index], ctes)
                index = self._close[index] + 1
            elif is_query and token.is_word("FROM") and not self._is(index - 1, "DISTINCT"):
                index = self._from_clause(index + 1, _From(stop, ctes, JoinKind.FROM))
            elif token.is_word("TABLE") and index + 1 < stop and self._tokens[index + 1].is_name:
                index = self._named(index + 1, _From(stop, ctes, JoinKind.ARGUMENT))
            else:
                index += 1

    def _with_clause(self, index: int, stop: int, ctes: frozenset[str]) -> tuple[int, frozenset[str]]:
        if not self._is(index, "WITH"):
            return index, ctes
        while index < stop:
            index += 2 if self._is(index + 1, "RECURSIVE") else 1
            name = self._tokens[index].name if index < stop else ""
            index += 1
            if self._opens(index):
                index = self._close[index] + 1
            if not self._is(index, "AS") or not self._opens(index + 1):
                break
            self.scan(index + 2, self._close[index + 1], ctes)
            index = self._close[index + 1] + 1
            ctes |= {name}
            if index >= stop or not self._tokens[index].is_operator(","):
                break
        return index, ctes

    def _from_clause(self, index: int, clause: _From) -> int:
        while index < clause.stop:
            index, continues = self._condition(self._primary(index, clause), clause)
            if not continues:
                break
        return index

    def _condition(self, index: int, clause: _From) -> tuple[int, bool]:
        """Walk over ON … to the next table (True) or to the end of the clause (False)."""
        while index < clause.stop:
            token = self._tokens[index]
            if token.is_operator("("):
                self.scan(index + 1, self._close[index], clause.ctes)
                index = self._close[index] + 1
            elif token.is_operator(","):
                clause.join = JoinKind.CROSS
                return index + 1, True
            elif token.is_word(*FROM_ENDS):
                return index, False
            elif (join := self._join(index)) is not None:
                clause.join, index = join
                return index, True
            else:
                index += 1
        return index, False

    def _join(self, index: int) -> tuple[JoinKind, int] | None:
        words = []
        while self._is(index, *JOIN_WORDS):
            words.append(self._tokens[index].text.upper())
            index += 1
        if not self._is(index, "JOIN"):
            return None
        kinds = [JoinKind[word] for word in words if word in JoinKind.__members__]
        return (kinds[0] if kinds else JoinKind.INNER), index + 1

    def _primary(self, index: int, clause: _From) -> int:
        """Read one table, function or bracket of a FROM clause, with its alias."""
        if self._is(index, "LATERAL"):
            index += 1
        if self._is(index, "TABLE") and self._opens(index + 1):
            close = self._close[index + 1]
            self._named(index + 2, clause, alias_at=close + 1)
            return self._alias(close + 1, clause.stop)[1]
        if self._opens(index):
            close = self._close[index]
            if self._is(index + 1, "SELECT", "WITH", "VALUES", "TABLE"):
                self.scan(index + 1, close, clause.ctes)
                alias, index = self._alias(close + 1, clause.stop)
                clause.items.append(_Item(alias, None))
                return index
            inner = _From(close, clause.ctes, clause.join, clause.items)
            self.scan(self._from_clause(index + 1, inner), close, clause.ctes)
            return self._alias(close + 1, clause.stop)[1]
        if index < clause.stop and self._tokens[index].is_name:
            return self._named(index, clause)
        return index + 1

    def _named(self, index: int, clause: _From, alias_at: int | None = None) -> int:
        """Read a table, or a function with its arguments (its alias is at `alias_at`)."""
        start = index
        while (
            index + 2 < clause.stop
            and self._tokens[index + 1].is_operator(".")
            and self._tokens[index + 2].is_name
        ):
            index += 2
        name, span = self._tokens[index].name, Span(self._tokens[start].start, self._tokens[index].end)
        index += 1
        if self._opens(index):
            close = self._close[index]
            self.scan(index + 1, close, clause.ctes)
            alias, after = self._alias(alias_at or close + 1, clause.stop)
            if not self._is(start, "UNNEST"):
                arguments = Span(self._tokens[index].end, self._tokens[close].start)
                self.functions.append(FunctionReference(name, alias, clause.join, arguments, span))
            clause.items.append(_Item(alias, None))
            return after
        alias, index = self._alias(index, clause.stop)
        as_of, index = self._as_of(index, clause)
        if not alias:
            alias, index = self._alias(index, clause.stop)
        cte = span == self._tokens[start].span and name in clause.ctes
        self.tables.append(TableReference(name, alias or name, clause.join, as_of, cte, span))
        clause.items.append(_Item(alias or name, name))
        return index

    def _as_of(self, index: int, clause: _From) -> tuple[AsOf | None, int]:
        words = ("FOR", "SYSTEM_TIME", "AS", "OF")
        if not all(self._is(index + ahead, word) for ahead, word in enumerate(words)):
            return None, index
        start = index = index + len(words)
        while index < clause.stop and self._tokens[index].is_name:
            index += 1
            if index >= clause.stop or not self._tokens[index].is_operator("."):
                break
            index += 1
        if index < clause.stop and self._opens(index):
            index = self._close[index] + 1
        if index == start:
            return None, index
        span = Span(self._tokens[start].start, self._tokens[index - 1].end)
        qualified = index - start > 1 and self._tokens[start + 1].is_operator(".")
        qualifier = self._tokens[start].name if qualified else None
        candidates = [item for item in clause.items if qualifier in (None, item.alias)]
        left = candidates[0].table if len(candidates) == 1 else None
        return AsOf(span.of(self._script.text), left, span), index

    def _alias(self, index: int, stop: int) -> tuple[str, int]:
        at = index + 1 if self._is(index, "AS") else index
        if at >= stop or not self._tokens[at].is_name or self._tokens[at].is_word(*_NO_ALIAS):
            return "", index
        after = at + 1
        if after < stop and self._opens(after):
            after = self._close[after] + 1
        return self._tokens[at].name, after


def hints(script: Script, query: Span) -> list[Token]:
    """Return the `/*+ … */` hints in the query."""
    return [token for token in script.tokens_of(query) if token.kind is TokenKind.HINT]
