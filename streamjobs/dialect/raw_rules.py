"""The one check of parsers by hand: what adds up their rows counts a row again with each of its changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from streamjobs.dialect.connectors import Connector, MetaqTable
from streamjobs.dialect.findings import Finding, warning
from streamjobs.dialect.lexer import Span, Token, TokenKind, significant
from streamjobs.dialect.nodes import CreateView, InsertInto, Script
from streamjobs.dialect.references import references

_AGGREGATES = ("SUM", "COUNT", "AVG", "LISTAGG", "COLLECT", "ARRAY_AGG", "STDDEV_POP", "STDDEV_SAMP",
               "VAR_POP", "VAR_SAMP", "VARIANCE")  # fmt: skip
"""Aggregates that count a row again; of MIN, MAX and DISTINCT values a row that comes twice is one."""
_KINDS = ("INSERT", "UPDATE", "DELETE", "SNAPSHOT")


def raw_findings(script: Script, connectors: Mapping[str, Connector]) -> Iterator[Finding]:
    """Warn of aggregates over all changes of a topic, which no ROW_NUMBER and no kind has chosen from."""
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
        if any(_chooses(token) for token in tokens):
            continue
        call = _aggregate(tokens)
        if call is not None:
            message = (
                f"{call.text.upper()} over all changes of a topic: a parser by hand returns a row for each "
                "INSERT, UPDATE, DELETE and snapshot, so a row that has changed counts again. Choose the "
                "latest row of each key first (ROW_NUMBER() … ORDER BY seq DESC = 1, without DELETE), or "
                "declare the table with 'ingest'='upsert'"
            )
            yield warning("raw-aggregate", message, Span(call.start, call.end))
        elif isinstance(query, CreateView):
            changes.add(query.name)


def _chooses(token: Token) -> bool:
    """Whether the query knows of versions (ROW_NUMBER) or kinds of changes ('DELETE')."""
    return token.is_word("ROW_NUMBER") or (token.kind is TokenKind.STRING and token.value.upper() in _KINDS)


def _aggregate(tokens: list[Token]) -> Token | None:
    for place, token in enumerate(tokens[:-2]):
        if token.is_word(*_AGGREGATES) and tokens[place + 1].is_operator("("):
            if not tokens[place + 2].is_word("DISTINCT"):
                return token
    return None
