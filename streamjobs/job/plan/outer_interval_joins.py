"""Checks outer interval joins: no operator after them may work on event time (docs/decisions/0009).

Flink emits the unmatched rows of an outer interval join, padded with NULLs, when the watermark after the join
may already have passed their time. A sink accepts them; a window, or any other operator on event time, drops
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from streamjobs.dialect.lexer import Span, Token, significant
from streamjobs.dialect.nodes import CreateView, InsertInto, Script
from streamjobs.dialect.references import references
from streamjobs.job.flink_plan.physical import Operator
from streamjobs.job.plan.flink_ddl import WORKED_ON

_OUTER = ("LEFT", "RIGHT", "FULL")
_CLAUSE_ENDS = (*_OUTER, "JOIN", "INNER", "CROSS", "WHERE", "GROUP", "ORDER", "UNION", "SELECT")
_TIMELESS = ("Join", "MultiJoin", "DeltaJoin")
"""Operators that do not emit rows by time, and whose output has no time attribute."""


@dataclass(frozen=True)
class OuterJoin:
    """An outer join that the file writes, and that Flink may turn into an interval join.

    `kind` is LEFT, RIGHT or FULL. `targets` are the tables that its rows reach. `names` are the names in its
    condition, in lower case.
    """

    kind: str
    offset: int
    targets: frozenset[str]
    names: frozenset[str]


@dataclass(frozen=True)
class Padded:
    """An outer interval join of a plan, and the operator after it that works on event time, before `sink`."""

    join: Operator
    behind: Operator
    sink: str


def outer_joins(script: Script) -> tuple[OuterJoin, ...]:
    """Find a file's outer joins that are not joins as of a time. Raises SqlError at unmatched brackets."""
    queries = [each for each in script.statements if isinstance(each, CreateView | InsertInto)]
    read = {
        each.span: {table.name for table in references(script, each.query_span).tables} for each in queries
    }
    targets: dict[str, set[str]] = {}
    for query in reversed(queries):  # a view is declared before its readers
        reached = {query.target} if isinstance(query, InsertInto) else targets.get(query.name, set())
        for name in read[query.span]:
            targets[name] = targets.get(name, set()) | reached
    found: list[OuterJoin] = []
    for query in queries:
        reached = {query.target} if isinstance(query, InsertInto) else targets.get(query.name, set())
        for word, tokens in _joins(script, query.query_span):
            names = frozenset(token.name.lower() for token in tokens if token.is_name)
            found.append(OuterJoin(word.text.upper(), word.start, frozenset(reached), names))
    return tuple(found)


def padded_too_late(sinks: Iterable[Operator]) -> Iterator[Padded]:
    """Find in Flink's plan every outer interval join that is followed by an operator on event time."""
    for sink in sinks:
        hits: list[tuple[Operator, Operator]] = []
        _padded_times(sink, hits)
        name = sink.table.removeprefix(WORKED_ON)
        yield from (Padded(join, behind, name) for join, behind in hits)


def refusal(padded: Padded, joins: Sequence[OuterJoin]) -> tuple[str, int]:
    """Return an error text with what to write instead, and the offset in the file of the most likely join."""
    condition = padded.join.condition
    columns = padded.join.input_fields
    words = {_plain(columns[index].name) for index in (condition.uses if condition else ())}

    def likeness(join: OuterJoin) -> tuple[bool, bool, int]:
        names = {_plain(name) for name in join.names}
        return (padded.sink in join.targets, join.kind == padded.join.join, len(names & words))

    join = max(joins, key=likeness)
    message = (
        f"this {join.kind} JOIN within a span of event time is followed by {_named(padded.behind)}, on the "
        f"way to {padded.sink}. Flink emits the rows without a match too late for that, and they would be "
        "dropped silently. Write the rows to be kept, with NULLs for the other side, UNION ALL an inner "
        "JOIN on the same condition, as sql/jobs/ctr_samples.sql does (docs/decisions/0009)"
    )
    return message, join.offset


def _joins(script: Script, query: Span) -> Iterator[tuple[Token, list[Token]]]:
    """Yield each outer join of a query: its first word, and the words of its condition."""
    as_of = {table.span.start for table in references(script, query).tables if table.as_of is not None}
    tokens = significant(script.tokens_of(query))
    for index, token in enumerate(tokens):
        if not token.is_word(*_OUTER):
            continue
        after = index + 1 + (index + 1 < len(tokens) and tokens[index + 1].is_word("OUTER"))
        if after + 1 >= len(tokens) or not tokens[after].is_word("JOIN"):
            continue
        if tokens[after + 1].start in as_of or tokens[after + 1].is_word("LATERAL", "UNNEST"):
            continue
        on = next((n for n in range(after, len(tokens)) if tokens[n].is_word("ON", "USING")), len(tokens))
        end = next((n for n in range(on, len(tokens)) if tokens[n].is_word(*_CLAUSE_ENDS)), len(tokens))
        yield token, tokens[on + 1 : end]


def _plain(name: str) -> str:
    """Return a column's name without the number that the planner appends to a name that occurs twice."""
    return name.lower().rstrip("0123456789")


def _padded_times(operator: Operator, hits: list[tuple[Operator, Operator]]) -> dict[int, Operator]:
    """Return the columns of an operator that are times of padded rows, each with its join; add to `hits`."""
    late = _late_inputs(operator, hits)
    if operator.kind == "IntervalJoin" and operator.on_event_time:
        hits += [(join, operator) for join in _once(late.values())]
        return dict.fromkeys(_own_times(operator), operator) if operator.join in _OUTER else {}
    used = set(late) if operator.kind == "TemporalJoin" else set(operator.times) & set(late)
    given = _given(operator, late)
    if used and operator.kind == "WindowTableFunction" and not operator.by_session:
        join = late[min(used)]  # it only assigns windows to rows; later operators may drop rows
        windows = range(len(operator.input_fields), len(operator.fields))
        return given | dict.fromkeys(windows, join)
    hits += [(join, operator) for join in _once(late[column] for column in sorted(used))]
    return given


def _late_inputs(operator: Operator, hits: list[tuple[Operator, Operator]]) -> dict[int, Operator]:
    found: dict[int, Operator] = {}
    start = 0
    for each in operator.inputs:
        found |= {start + index: join for index, join in _padded_times(each, hits).items()}
        start += len(each.fields)
    return found


def _once(joins: Iterable[Operator]) -> list[Operator]:
    return list({id(join): join for join in joins}.values())


def _own_times(join: Operator) -> Iterator[int]:
    """Return the columns of an interval join that are the times of its two sides."""
    return (index for index, field in enumerate(join.fields) if field.copy_of in join.times)


def _given(operator: Operator, late: dict[int, Operator]) -> dict[int, Operator]:
    """Return the columns that are still those times: copies, and in a union those of any part."""
    if operator.kind in _TIMELESS or operator.kind.endswith("GroupAggregate"):
        return {}
    found: dict[int, Operator] = {}
    for index, field in enumerate(operator.fields):
        sources = field.uses if operator.kind == "Union" else {field.copy_of}
        joins = [late[source] for source in sources if source in late]
        if joins:
            found[index] = joins[0]
    return found


def _named(operator: Operator) -> str:
    names = operator.input_fields
    column = ", ".join(dict.fromkeys(names[index].name for index in operator.times))
    match operator.kind:
        case "IntervalJoin":
            return "another interval join"
        case "TemporalJoin":
            return "a join as of event time"
        case "Match":
            return f"MATCH_RECOGNIZE on {column}"
        case "TemporalSort":
            return f"ORDER BY {column}"
        case "OverAggregate" | "PythonOverAggregate":
            return f"OVER (… ORDER BY {column})"
        case _:
            return f"a window on {column}"
