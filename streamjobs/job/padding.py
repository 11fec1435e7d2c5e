"""The one check of outer interval joins: nothing behind them may work on event time (docs/decisions/0009).

Flink pads the unmatched rows of an outer interval join when the watermark behind the join may already have
passed their time. A sink does not mind; a window, or anything else that works on event time, drops such rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from streamjobs.dialect.lexer import Span, Token, significant
from streamjobs.dialect.nodes import CreateView, InsertInto, Script
from streamjobs.dialect.references import references
from streamjobs.job.explained import Operator, sinks

_OUTER = {"LEFT": "LeftOuterJoin", "RIGHT": "RightOuterJoin", "FULL": "FullOuterJoin"}
_CLAUSE_ENDS = (*_OUTER, "JOIN", "INNER", "CROSS", "WHERE", "GROUP", "ORDER", "UNION", "SELECT")
_ORDERED = ("OverAggregate", "PythonOverAggregate", "Match", "TemporalSort")
_TIMELESS = ("Join", "MultiJoin", "DeltaJoin")
_WINDOW_TIME = re.compile(r"(?:time_col|win_start|win_end)=\[([^\]]*)\]|GroupWindow\('w\$, ([^,)]+)")
_TIME_INDEX = re.compile(r"leftTimeIndex=(\d+), rightTimeIndex=(\d+)")


@dataclass(frozen=True)
class OuterJoin:
    """An outer join that the file writes, and that Flink may turn into an interval join.

    `kind` is LEFT, RIGHT or FULL. `targets` are the tables that its rows reach. `names` are those that its
    condition mentions, in lower case.
    """

    kind: str
    offset: int
    targets: frozenset[str]
    names: frozenset[str]


@dataclass(frozen=True)
class Padded:
    """An outer interval join of a plan, and what works on the event time of its rows on the way to `sink`."""

    join: Operator
    behind: Operator
    sink: str


def outer_joins(script: Script) -> tuple[OuterJoin, ...]:
    """Find the outer joins of a file that are not joins as of a time. Raises SqlError at lonely brackets."""
    queries = [each for each in script.statements if isinstance(each, CreateView | InsertInto)]
    read = {
        each.span: {table.name for table in references(script, each.query_span).tables} for each in queries
    }
    targets: dict[str, set[str]] = {}
    for query in reversed(queries):  # what reads a view stands behind it
        reached = {query.target} if isinstance(query, InsertInto) else targets.get(query.name, set())
        for name in read[query.span]:
            targets[name] = targets.get(name, set()) | reached
    found: list[OuterJoin] = []
    for query in queries:
        reached = {query.target} if isinstance(query, InsertInto) else targets.get(query.name, set())
        for place, tokens in _joins(script, query.query_span):
            names = frozenset(token.name.lower() for token in tokens if token.is_name)
            found.append(OuterJoin(place.text.upper(), place.start, frozenset(reached), names))
    return tuple(found)


def padded_too_late(explained: str) -> Iterator[Padded]:
    """Find in Flink's EXPLAIN every outer interval join in front of an operator on event time."""
    for root in sinks(explained):
        table = re.search(r"table=\[[\w.]*?(\w+)\]", root.text)
        sink = (table[1] if table else "").removeprefix("__done_")
        hits: list[tuple[Operator, Operator]] = []
        _padded_times(root, hits)
        yield from (Padded(join, behind, sink) for join, behind in hits)


def refusal(padded: Padded, joins: Sequence[OuterJoin]) -> tuple[str, int]:
    """Say what is wrong and what to write instead, and at which offset of the file the likeliest join is."""
    where = " ".join(padded.join.attribute("where"))
    words = {word.rstrip("0123456789") for word in re.findall(r"\w+", where.lower())}

    def likeness(join: OuterJoin) -> tuple[bool, bool, int]:
        names = {name.rstrip("0123456789") for name in join.names}
        return (padded.sink in join.targets, _OUTER[join.kind] in padded.join.text, len(names & words))

    join = max(joins, key=likeness)
    message = (
        f"this {join.kind} JOIN within a span of event time has {_named(padded.behind)} behind it, on the "
        f"way to {padded.sink}. Flink adds the rows without a match too late for it, and they would be "
        "dropped in silence. Write the rows to be kept, with NULLs for the other side, UNION ALL an inner "
        "JOIN on the same condition, as sql/jobs/ctr_samples.sql does (docs/decisions/0009)"
    )
    return message, join.offset


def _joins(script: Script, query: Span) -> Iterator[tuple[Token, list[Token]]]:
    """Give each outer join of a query: its first word, and the words of its condition."""
    as_of = {table.span.start for table in references(script, query).tables if table.as_of is not None}
    tokens = significant(script.tokens_of(query))
    for index, token in enumerate(tokens):
        if not token.is_word(*_OUTER):
            continue
        behind = index + 1 + (index + 1 < len(tokens) and tokens[index + 1].is_word("OUTER"))
        if behind + 1 >= len(tokens) or not tokens[behind].is_word("JOIN"):
            continue
        if tokens[behind + 1].start in as_of or tokens[behind + 1].is_word("LATERAL", "UNNEST"):
            continue
        on = next((n for n in range(behind, len(tokens)) if tokens[n].is_word("ON", "USING")), len(tokens))
        end = next((n for n in range(on, len(tokens)) if tokens[n].is_word(*_CLAUSE_ENDS)), len(tokens))
        yield token, tokens[on + 1 : end]


def _padded_times(operator: Operator, hits: list[tuple[Operator, Operator]]) -> dict[str, Operator]:
    """Give the columns of an operator that are times of padded rows, each with its join; add to `hits`."""
    inputs = [_padded_times(each, hits) for each in operator.inputs]
    times = {name: join for each in inputs for name, join in each.items()}
    if operator.kind == "IntervalJoin" and "isRowTime=true" in operator.text:
        hits += [(join, operator) for join in {id(join): join for join in times.values()}.values()]
        outer = any(f"[{kind}]" in operator.text for kind in _OUTER.values())
        return dict.fromkeys(_own_times(operator), operator) if outer else {}
    used = set(times if operator.kind == "TemporalJoin" else _times_used(operator)) & set(times)
    if used and operator.kind == "WindowTableFunction" and "SESSION(" not in operator.text:
        join = times[min(used)]  # it only gives each row its windows; what comes behind may drop some
        return times | dict.fromkeys(("window_start", "window_end", "window_time"), join)
    hits += [(join, operator) for join in {id(times[name]): times[name] for name in used}.values()]
    return _renamed(operator, inputs, times)


def _own_times(join: Operator) -> list[str]:
    index = _TIME_INDEX.search(join.text)
    if index is None:
        message = f"EXPLAIN shows no time columns: {join.text}"
        raise AssertionError(message)
    columns = join.columns
    return [columns[int(index[1])], columns[len(join.inputs[0].columns) + int(index[2])]]


def _times_used(operator: Operator) -> Iterator[str]:
    """Give the columns by whose time an operator works; not whether that is event time."""
    if operator.kind in _ORDERED:
        yield from (item.split()[0] for item in operator.attribute("orderBy")[:1])
    elif "Window" in operator.kind:
        yield from (name for match in _WINDOW_TIME.finditer(operator.text) for name in match.groups() if name)


def _renamed(
    operator: Operator, inputs: Sequence[Mapping[str, Operator]], times: Mapping[str, Operator]
) -> dict[str, Operator]:
    if operator.kind in _TIMELESS or "GroupAggregate" in operator.kind:
        return {}
    if operator.kind == "Union":
        return {
            name: late[column]
            for late, source in zip(inputs, operator.inputs, strict=True)
            for column, name in zip(source.columns, operator.columns, strict=True)
            if column in late
        }
    items = operator.attribute("select")
    if not items:
        return dict(times)
    pairs = [(item.partition(" AS ")[0], item.rpartition(" AS ")[2]) for item in items]
    return {name: times[column] for column, name in pairs if column in times}


def _named(operator: Operator) -> str:
    column = ", ".join(dict.fromkeys(_times_used(operator)))
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
