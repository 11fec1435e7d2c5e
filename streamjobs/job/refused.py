"""What Flink refuses, told at its place in the job's file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from py4j.protocol import Py4JJavaError
from pyflink.util.exceptions import JavaException

from streamjobs.errors import SqlError
from streamjobs.job.physical import Operator
from streamjobs.job.plan import JobPlan
from streamjobs.job.rel_nodes import PlanReader
from streamjobs.job.report import root_cause
from streamjobs.job.written import Written

JAVA_ERRORS = (JavaException, Py4JJavaError)
"""What PyFlink raises for an exception of Java's, by its class."""

_CLASS = r"^(?:: |Caused by: )?[\w.$]+(?:Exception|Error): "
_VALIDATED = re.compile(
    _CLASS + r"(?:SQL validation failed\. )?(?:From|At) line (?P<line>\d+), column (?P<column>\d+)"
    r"(?: to line \d+, column \d+)?: (?P<text>.+)$",
    re.MULTILINE,
)
_PARSED = re.compile(
    _CLASS + r"(?:SQL parse failed\. )?(?P<text>(?:Encountered|Lexical error)\b.*?)"
    r" at line (?P<line>\d+), column (?P<column>\d+)",
    re.MULTILINE | re.DOTALL,
)
_MOST_LINES = 6
_NOT_DECORRELATED = "unexpected correlate variable"


class NotDecorrelatedError(SqlError):
    """A subquery that reads the row around it, which Flink cannot plan here; see `flink.built`."""


@contextmanager
def told(plan: JobPlan, statement: Written) -> Iterator[None]:
    """Turn what Flink refuses in the block into a SqlError at its place, else at the statement's.

    Errors of our own pass: they are not Flink's word.
    """
    try:
        yield
    except JAVA_ERRORS as exc:
        message, offset = _explained(str(exc), statement)
        error = NotDecorrelatedError if _NOT_DECORRELATED in message else SqlError
        raise error(message, plan.text, offset, plan.path) from None


def planned(
    reader: PlanReader, plan: JobPlan, operations: Sequence[Any], *, explains: bool
) -> tuple[tuple[Operator, ...], str | None]:
    """Plan all INSERTs of a job together; with `explains` return Flink's text of the plan, too.

    Raises SqlError at the INSERT that Flink cannot plan.
    """
    try:
        return reader.explained(operations) if explains else (reader.of_operations(operations), None)
    except JAVA_ERRORS:
        for operation, insert in zip(operations, plan.inserts, strict=True):
            with told(plan, insert.statement):
                reader.of_operations([operation])
        raise


def _explained(trace: str, statement: Written) -> tuple[str, int]:
    found = _VALIDATED.search(trace) or _PARSED.search(trace)
    if found is None:
        told_lines = root_cause(trace).splitlines()[:_MOST_LINES]
        return "Flink refuses this: " + "\n".join(told_lines), statement.offset
    text = " ".join(found["text"].split())
    return f"Flink refuses this: {text}", statement.place(int(found["line"]), int(found["column"]))
