"""Finds in a job's file what Flink's plan shows without a position: operators have no line or column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from streamjobs.dialect.lexer import Span, Token, significant
from streamjobs.dialect.nodes import CreateView, InsertInto, Script
from streamjobs.dialect.references import references
from streamjobs.dialect.statements import parse_script
from streamjobs.job.plan.job_plan import JobPlan

Match = Callable[[Sequence[Token]], bool]
"""Returns whether the tokens begin with what is searched."""


def call_of(function: str) -> Match:
    """Return a Match for calls of a function by its name, in any case."""
    return lambda tokens: tokens[0].is_name and tokens[0].name.upper() == function.upper()


def place_of(plan: JobPlan, sink: str, *matches: Match) -> int:
    """Return the offset of the first match in the INSERTs of a sink, then in their views, then in all tables.

    Tables are included for their computed columns. The first of `matches` that is found anywhere wins; if
    none is found, return the offset of the INSERT itself.
    """
    script = parse_script(plan.text, plan.path)
    queries = list(_queries(script, sink))
    spans = [query.query_span for query in queries]
    spans += [Span(table.span.start, table.options_span.start) for table in script.tables]
    for match in matches:
        for span in spans:
            tokens = significant(script.tokens_of(span))
            found = next((t for index, t in enumerate(tokens) if match(tokens[index:])), None)
            if found is not None:
                return found.start
    return next((each.target_span.start for each in queries if isinstance(each, InsertInto)), 0)


def _queries(script: Script, sink: str) -> Iterator[InsertInto | CreateView]:
    views = {view.name: view for view in script.views}
    todo: list[InsertInto | CreateView] = [each for each in script.inserts if each.target == sink]
    seen: set[str] = set()
    while todo:
        query = todo.pop(0)
        yield query
        for table in references(script, query.query_span).tables:
            if table.name in views and table.name not in seen:
                seen.add(table.name)
                todo.append(views[table.name])
