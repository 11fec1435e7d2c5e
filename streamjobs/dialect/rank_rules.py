"""The one check of ROW_NUMBER() = 1, which Flink turns into a deduplication."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from streamjobs.dialect.findings import Finding, error
from streamjobs.dialect.lexer import Span, Token, significant
from streamjobs.dialect.nodes import CreateView, InsertInto, Script
from streamjobs.dialect.references import matching_brackets

_FIRST = {("=", "1"), ("<=", "1"), ("<", "2")}
_MIRRORED = {"=": "=", ">=": "<=", ">": "<"}


def rank_findings(script: Script) -> Iterator[Finding]:
    """Refuse `ROW_NUMBER() … = 1` that is not ordered by exactly one descending column.

    Otherwise Flink plans it as insert-only: updates come without their retraction, deletes vanish and every
    aggregate behind it is wrong. Deduplication inside of windows is exempt: it emits final rows.
    """
    queries = [
        significant(script.tokens_of(statement.query_span))
        for statement in script.statements
        if isinstance(statement, CreateView | InsertInto)
    ]
    first_names = {name for query in queries for name in _names_kept_at_first(query)}
    for query in queries:
        yield from _query_findings(script, query, first_names)


def _query_findings(script: Script, query: list[Token], first_names: set[str]) -> Iterator[Finding]:
    close = matching_brackets(script, query)
    for index, token in enumerate(query):
        if not token.is_word("ROW_NUMBER") or (over := close.get(index + 1)) is None:
            continue
        if over + 2 not in close or not query[over + 1].is_word("OVER"):
            continue
        end = close[over + 2]
        behind = query[end + 1 : end + 3]
        if behind and behind[0].is_word("AS"):
            behind = query[end + 2 : end + 4]
        named = bool(behind) and behind[0].is_name and behind[0].name in first_names
        compared = len(behind) == 2 and (behind[0].text, behind[1].text) in _FIRST
        problem = _order_problem(query[over + 3 : end]) if named or compared else None
        if problem is not None:
            message = (
                f"ROW_NUMBER() … = 1 {problem}: Flink would plan it as insert-only, so updates and deletes "
                "are lost. Order by exactly one column, descending"
            )
            yield error("row-number", message, Span(token.start, query[end].end))


def _order_problem(window: list[Token]) -> str | None:
    """What is wrong with `PARTITION BY … ORDER BY …`, None when nothing is."""
    order = next((index for index, token in enumerate(window) if token.is_word("ORDER")), len(window))
    partition = {token.name.lower() for token in window[:order]}
    if {"window_start", "window_end"} <= partition:
        return None
    columns: list[list[Token]] = [[]]
    depth = 0
    for token in window[order + 2 :]:
        depth += token.is_operator("(") - token.is_operator(")")
        if depth == 0 and token.is_operator(","):
            columns.append([])
        else:
            columns[-1].append(token)
    if not columns[0]:
        return "has no order"
    if len(columns) > 1:
        return f"is ordered by {len(columns)} columns"
    return None if any(token.is_word("DESC") for token in columns[0]) else "is ordered ascending"


def _names_kept_at_first(query: list[Token]) -> Iterator[str]:
    """Names that the query compares so that only 1 passes: `rn = 1`, `1 = rn`, `rn <= 1`, `rn < 2`."""
    for place, (left, operator) in enumerate(pairwise(query)):
        right = query[place + 2 : place + 3]
        if left.is_name and right and (operator.text, right[0].text) in _FIRST:
            yield left.name
        if (_MIRRORED.get(operator.text), left.text) in _FIRST:
            end = place + 2
            while end + 2 < len(query) and query[end + 1].is_operator("."):
                end += 2
            yield from (token.name for token in query[end : end + 1] if token.is_name)
