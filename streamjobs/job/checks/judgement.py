"""Refuses what a job's plan must not contain: found in Flink's own plan, reported with line and column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from streamjobs.dialect.lexer import Token
from streamjobs.errors import SqlError
from streamjobs.job.checks import non_deterministic
from streamjobs.job.checks.spans import call_of, place_of
from streamjobs.job.flink_plan.physical import Operator, operators
from streamjobs.job.plan import outer_interval_joins
from streamjobs.job.plan.job_plan import JobPlan
from streamjobs.job.plan.lookups import updating_lookups


def refuse_padding(plan: JobPlan, sinks: Iterable[Operator]) -> None:
    """Raise SqlError for an outer interval join that is followed by an operator on event time."""
    if plan.outer_joins:
        for padded in outer_interval_joins.padded_too_late(sinks):
            message, offset = outer_interval_joins.refusal(padded, plan.outer_joins)
            raise SqlError(message, plan.text, offset, plan.path)


def refuse_lookups(plan: JobPlan, sinks: Iterable[Operator]) -> None:
    """Raise SqlError for a lookup join of rows that are retracted later."""
    for table in updating_lookups(sinks, plan.lookups):
        message = (
            f"{table} is looked up for rows that change or are retracted later, and would be looked up "
            "again then, with another result: look it up before the rows are grouped or joined, or capture "
            "the table and join it with its changes"
        )
        raise SqlError(message, plan.text, plan.lookups[table], plan.path)


def refuse_unsteady(plan: JobPlan, sink: str, last: Operator, key: Sequence[int]) -> None:
    """Raise SqlError for a function that returns another value when a row is retracted."""
    found = non_deterministic.unsteady(last, key)
    if found is not None:
        offset = place_of(plan, sink, call_of(found.function))
        raise SqlError(non_deterministic.refusal(found, sink), plan.text, offset, plan.path)


def refuse_rekeyed(plan: JobPlan, sink: str, last: Operator, key: Sequence[int], way_out: str = "") -> None:
    """Raise SqlError for a key that changes when its row is read again; `way_out` ends the message."""
    function = non_deterministic.rekeyed(last, key)
    if function:
        offset = place_of(plan, sink, call_of(function))
        raise SqlError(
            non_deterministic.rekeyed_refusal(function, sink) + way_out, plan.text, offset, plan.path
        )


def refuse_lost_updates(plan: JobPlan, sink: str, root: Operator) -> None:
    """Raise SqlError for `ROW_NUMBER() … = 1` that Flink plans as insert-only although its rows change.

    Ordered by a time attribute, ascending, it keeps the first row of a key, which no later one replaces. In
    any other order another row may become the first, and the earlier one is not retracted.
    """
    for operator in operators(root):
        if operator.kind != "Rank" or not operator.first_only or not operator.inserts_only:
            continue
        if all(each.inserts_only for each in operator.inputs) and operator.by_time:
            continue
        message = (
            "ROW_NUMBER() … = 1 is planned by Flink as insert-only here, so updates and deletes are lost. "
            "Order by exactly one column, descending; ascending only by the event time or PROCTIME() of rows "
            "that never change"
        )
        raise SqlError(
            message, plan.text, place_of(plan, sink, _not_descending, call_of("ROW_NUMBER")), plan.path
        )


def _not_descending(tokens: Sequence[Token]) -> bool:
    """Return whether it is `ROW_NUMBER() OVER (… ORDER BY …)` without DESC."""
    if not tokens[0].is_word("ROW_NUMBER"):
        return False
    depth = 0
    for token in tokens[3:]:
        depth += token.is_operator("(") - token.is_operator(")")
        if token.is_word("DESC"):
            return False
        if token.is_operator(")") and depth == 0:
            return True
    return True
