"""Triggers that store other values than a job writes."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from connectors.mysql.schema.tokens import Token, tokens_until
from connectors.mysql.store.columns import here, text
from connectors.mysql.store.connection import SinkConnection, Target


def trigger_problems(connection: SinkConnection, target: Target, given: Collection[str]) -> Iterator[str]:
    """Yield which triggers may assign to a column of `given` (in lower case), one sentence each.

    The server shows a trigger's statement only to users with the TRIGGER privilege on its table.
    """
    rows = connection.run(
        "SELECT trigger_name, event_manipulation, action_statement FROM information_schema.triggers "
        f"WHERE {here(target, 'event_object_schema', 'event_object_table')} AND action_timing = 'BEFORE' "
        "AND event_manipulation IN ('INSERT', 'UPDATE') ORDER BY trigger_name",
        "reading the triggers",
    )
    for name, event, statement in rows:
        if what := _may_change(statement, given):
            shown = text(name)
            yield f"the trigger {shown} (BEFORE {text(event)}) of {target} {what}, or DROP TRIGGER `{shown}`"


def _may_change(statement: Any, given: Collection[str]) -> str:
    """Return how a trigger changes what a job writes, and the cure; "" if it changes nothing."""
    if statement is None:
        return (
            "cannot be read, so it may store other values than the job writes: GRANT TRIGGER on the table "
            "to the job's user"
        )
    found, problem = tokens_until(text(statement))
    if problem:
        return f"cannot be read ({problem}), so it may store other values than the job writes: rewrite it"
    columns = [column for column in assigned(found) if column.lower() in given]
    if not columns:
        return ""
    return (
        f"sets {', '.join(columns)}, so other values would be stored than the job writes: let it set only "
        "columns that the job does not write"
    )


def assigned(statement: Sequence[Token]) -> list[str]:
    """Return the columns that a trigger's statement assigns in the new row: `SET NEW.a = …, NEW.b = …`."""
    found: dict[str, None] = {}
    depth, lists, target = 0, False, False
    for index, token in enumerate(statement):
        if token.is_word("SET"):
            depth, lists, target = 0, True, True
            continue
        if token.is_mark(";"):
            lists = False
        depth += token.is_mark("(") - token.is_mark(")")
        dotted = statement[index + 1 : index + 2]
        if target and token.is_word("NEW") and dotted and dotted[0].is_mark("."):
            found.update({name.text: None for name in statement[index + 2 : index + 3]})
        target = lists and not depth and token.is_mark(",")
    return list(found)
