"""Turns Flink's errors into SqlErrors with their line and column in the job's file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from py4j.protocol import Py4JJavaError
from pyflink.util.exceptions import JavaException

from streamjobs.dialect.statements import parse_script
from streamjobs.errors import SqlError
from streamjobs.job.flink_plan.physical import Operator
from streamjobs.job.flink_plan.rel_nodes import PlanReader
from streamjobs.job.plan.job_plan import JobPlan
from streamjobs.job.plan.written import Written
from streamjobs.job.planner.cures import in_our_words
from streamjobs.job.planner.request import SUBMITTING
from streamjobs.job.root_cause import root_cause

JAVA_ERRORS = (JavaException, Py4JJavaError)
"""The exceptions that PyFlink raises for an exception in Java, depending on its class."""

_CLASS = r"^(?:: |Caused by: )?[\w.$]+(?:Exception|Error): "
_VALIDATED = re.compile(
    _CLASS + r"(?:SQL validation failed\. )?(?:From|At) line (?P<line>\d+), column (?P<column>\d+)"
    r"(?: to line \d+, column \d+)?: (?P<text>.+)$",
    re.MULTILINE,
)
_PARSED = re.compile(
    _CLASS + r"(?:SQL parse failed\. )?"
    r"(?P<text>(?:Encountered|Lexical error|Incorrect syntax near|A column with the same name)\b.*?)"
    r" at line (?P<line>\d+), column (?P<column>\d+)",
    re.MULTILINE | re.DOTALL,
)
_SETTING = re.compile(r"for key '(?P<key>[\w.-]+)'")
"""Part of Flink's error for a setting whose value it cannot read."""
_MEANT_SETTINGS = {
    "Invalid time zone.": "table.local-time-zone",
    "MiniBatch Latency must be greater than 0 ms": "table.exec.mini-batch.enabled",
}
"""Flink's errors that do not name their setting -> the setting."""
_OF_A_TABLE = re.compile(
    r"Unable to create a (?:source for reading|sink for writing) table '(?:[^'.]+\.){2}(?P<table>[^']+)'"
)
"""Part of Flink's error for a table whose options its connector refuses, when a query reads or writes it."""
_MOST_LINES = 6
_NOT_DECORRELATED = "unexpected correlate variable"


class NotDecorrelatedError(SqlError):
    """A correlated subquery that Flink cannot plan here; see `flink_job.built`."""


@contextmanager
def located(plan: JobPlan, statement: Written) -> Iterator[None]:
    """Turn an error of Flink in the block into a SqlError at its position, else at that of the statement.

    Errors of streamjobs pass unchanged.
    """
    try:
        yield
    except JAVA_ERRORS as exc:
        message, offset = _explained(str(exc), statement, plan)
        error = NotDecorrelatedError if _NOT_DECORRELATED in message else SqlError
        raise error(message, plan.text, offset, plan.path) from None


@contextmanager
def located_setting(plan: JobPlan) -> Iterator[None]:
    """Turn an error of Flink about the value of a setting of the file into a SqlError at its SET.

    All other errors pass unchanged.
    """
    try:
        yield
    except JAVA_ERRORS as exc:
        found = _of_a_setting(str(exc), plan)
        if found is None:
            raise
        raise SqlError(found[0], plan.text, found[1], plan.path) from None


@contextmanager
def located_in_one(
    plan: JobPlan, operations: Sequence[Any], plan_one: Callable[[Any], object]
) -> Iterator[None]:
    """Turn an error of Flink for all INSERTs together into a SqlError at the INSERT that it refuses alone.

    If Flink refuses none alone, the error is at the first INSERT and says that it concerns all of them. A
    failed submission to the cluster concerns no INSERT, and its error passes unchanged.
    """
    try:
        yield
    except JAVA_ERRORS as exc:
        if SUBMITTING in str(exc):
            raise
        for operation, insert in zip(operations, plan.inserts, strict=True):
            with located(plan, insert.statement):
                plan_one(operation)
        message, offset = _explained(str(exc), Written("", plan.inserts[0].statement.offset), plan)
        together = " (Flink accepts each INSERT alone, but not all together)" if len(operations) > 1 else ""
        raise SqlError(message + together, plan.text, offset, plan.path) from None


def planned(
    reader: PlanReader, plan: JobPlan, operations: Sequence[Any], *, explains: bool
) -> tuple[tuple[Operator, ...], str | None]:
    """Plan all INSERTs of a job together; with `explains`, also return Flink's text of the plan.

    Raises SqlError at the INSERT that Flink cannot plan.
    """
    with located_in_one(plan, operations, lambda operation: reader.of_operations([operation])):
        return reader.explained(operations) if explains else (reader.of_operations(operations), None)


def _of_a_setting(trace: str, plan: JobPlan) -> tuple[str, int] | None:
    """Return an error text for a setting's wrong value, and its offset; None if the file does not set it."""
    named = _SETTING.search(trace)
    key = named["key"] if named else next((key for text, key in _MEANT_SETTINGS.items() if text in trace), "")
    made = [each for each in parse_script(plan.text, plan.path).settings if each.key == key]
    if not made or made[-1].default:
        return None
    setting = made[-1]
    why = root_cause(trace).splitlines()[0].partition(": ")[2]
    return f"Flink does not accept {setting.value!r} for {setting.written}: {why}", setting.span.start


def _explained(trace: str, statement: Written, plan: JobPlan) -> tuple[str, int]:
    of_a_setting = _of_a_setting(trace, plan)
    if of_a_setting is not None:
        return of_a_setting
    found = _VALIDATED.search(trace) or _PARSED.search(trace)
    if found is None:
        text = "\n".join(root_cause(trace).splitlines()[:_MOST_LINES])
        return in_our_words(root_cause(trace)) or f"Flink refuses this: {text}", _of_a_table(
            trace, statement, plan
        )
    text = " ".join(found["text"].split())
    message = in_our_words(text) or f"Flink refuses this: {text}"
    return message, statement.place(int(found["line"]), int(found["column"]))


def _of_a_table(trace: str, statement: Written, plan: JobPlan) -> int:
    """Return the offset of the table whose options the error is about, or the statement's offset."""
    named = _OF_A_TABLE.search(trace)
    tables = parse_script(plan.text, plan.path).tables if named else ()
    offsets = [table.name_span.start for table in tables if named and table.name == named["table"]]
    return offsets[0] if offsets else statement.offset
