"""Warns of aggregates over rows of a hand-written parser: they count a row again with each of its changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from streamjobs.dialect.connectors import Connector, MetaqTable
from streamjobs.dialect.findings import Finding, warning
from streamjobs.dialect.lexer import Span, Token, TokenKind, significant
from streamjobs.dialect.nodes import CreateView, InsertInto, Script
from streamjobs.dialect.references import references

_AGGREGATES = ("SUM", "COUNT", "AVG", "LISTAGG", "COLLECT", "ARRAY_AGG", "STDDEV_POP", "STDDEV_SAMP",
               "VAR_POP", "VAR_SAMP", "VARIANCE", "MIN", "MAX")  # fmt: skip
_ONCE = ("MIN", "MAX")
"""Aggregates that count a repeated value once, as DISTINCT does; an earlier value of a row still counts."""
_FIRST_KINDS = frozenset({"INSERT", "SNAPSHOT"})
"""The kinds of a row's first change; each row has exactly one of them."""
_KINDS = frozenset({"INSERT", "UPDATE", "DELETE", "SNAPSHOT"})


def raw_findings(script: Script, connectors: Mapping[str, Connector]) -> Iterator[Finding]:
    """Warn of aggregates over all changes of a topic that no ROW_NUMBER and no kind of change filters."""
    changes = {
        name for name, each in connectors.items() if isinstance(each, MetaqTable) and each.table is None
    }
    for query in script.statements:
        if not isinstance(query, CreateView | InsertInto):
            continue
        read = references(script, query.query_span).tables
        if not any(table.name in changes and not table.cte for table in read):
            continue
        tokens = significant(script.tokens_of(query.query_span))
        if _chooses(tokens):
            continue
        call = _aggregate(tokens)
        if call is not None:
            once = call.is_word(*_ONCE) or tokens[tokens.index(call) + 2].is_word("DISTINCT")
            wrong = (
                "a value that a row had before still counts"
                if once
                else "a row that has changed counts again"
            )
            message = (
                f"{call.text.upper()} over all changes of a topic: your parser returns a row for each "
                f"INSERT, UPDATE, DELETE and snapshot, so {wrong}. Choose the "
                "latest row of each key first (ROW_NUMBER() … ORDER BY seq DESC = 1, without DELETE), or "
                "declare the table with 'ingest'='upsert'"
            )
            yield warning("raw-aggregate", message, Span(call.start, call.end))
        elif isinstance(query, CreateView):
            changes.add(query.name)


def _chooses(tokens: Sequence[Token]) -> bool:
    """Return whether the query handles versions of a row or kinds of changes.

    It numbers versions (ROW_NUMBER), reads first rows only (`kind = 'INSERT'`), or distinguishes kinds
    (`CASE WHEN kind = 'DELETE' THEN …`). `kind <> 'DELETE'` alone leaves updates in.
    """
    if any(token.is_word("ROW_NUMBER") for token in tokens):
        return True
    named = {kind for index in range(len(tokens)) if (kind := _compared(tokens, index))}
    return bool(named) and (named <= _FIRST_KINDS or any(token.is_word("CASE") for token in tokens))


def _compared(tokens: Sequence[Token], index: int) -> str:
    """Return the kind of change that token `index` compares a column with, by `=` or IN; "" for none."""
    token = tokens[index]
    if token.kind is not TokenKind.STRING or token.value.upper() not in _KINDS:
        return ""
    before = index - 1
    while before > 0 and (tokens[before].is_operator(",") or tokens[before].kind is TokenKind.STRING):
        before -= 1
    listed = tokens[before].is_operator("(") and before > 0 and tokens[before - 1].is_word("IN")
    negated = listed and before > 1 and tokens[before - 2].is_word("NOT")
    after = tokens[index + 1 : index + 2]
    equal = tokens[index - 1].is_operator("=") or (bool(after) and after[0].is_operator("="))
    return token.value.upper() if equal or (listed and not negated) else ""


def _aggregate(tokens: Sequence[Token]) -> Token | None:
    for index, token in enumerate(tokens[:-2]):
        if token.is_word(*_AGGREGATES) and tokens[index + 1].is_operator("("):
            return token
    return None
