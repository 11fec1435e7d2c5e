"""Recognizes processing time in `FOR SYSTEM_TIME AS OF …`: `PROCTIME()`, or a column declared as it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from streamjobs.dialect.lexer import Span, significant
from streamjobs.dialect.nodes import CreateTable, CreateView, Script
from streamjobs.dialect.references import TableReference, references

_PROCTIME = re.compile(r"PROCTIME\s*\(\s*\)", re.IGNORECASE)


def is_processing_time(
    script: Script,
    query: Span,
    reference: TableReference,
    declared: Mapping[str, CreateTable | CreateView],
) -> bool:
    """Return whether a reference is joined as of processing time, by the declared tables and views."""
    as_of = reference.as_of
    if as_of is None:
        return False
    if _PROCTIME.fullmatch(as_of.expr):
        return True
    column = significant(script.tokens_of(as_of.span))[-1].name
    left = None if as_of.left is None else declared.get(as_of.left)
    return _selects(script, query, column) if left is None else _has(script, left, column, declared, set())


def _has(
    script: Script,
    relation: CreateTable | CreateView,
    column: str,
    declared: Mapping[str, CreateTable | CreateView],
    seen: set[str],
) -> bool:
    if isinstance(relation, CreateTable):
        found = relation.column(column)
        return found is not None and found.computed is not None and bool(_PROCTIME.fullmatch(found.computed))
    if relation.name in seen:
        return False
    seen.add(relation.name)
    if _selects(script, relation.query_span, column):
        return True
    below = [declared.get(each.name) for each in references(script, relation.query_span).tables]
    return any(each is not None and _has(script, each, column, declared, seen) for each in below)


def _selects(script: Script, query: Span, column: str) -> bool:
    """Return whether the query has `PROCTIME() AS column`."""
    tokens = significant(script.tokens_of(query))
    for index, token in enumerate(tokens):
        if token.is_word("PROCTIME") and len(tokens) > index + 3:
            after = tokens[index + 3 : index + 5]
            after = after[1:] if after[0].is_word("AS") else after
            if after and after[0].is_name and after[0].name == column:
                return True
    return False
