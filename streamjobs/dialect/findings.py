"""What a check reports about a span of a job's file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from streamjobs.dialect.lexer import Span


class Severity(Enum):
    """How serious a finding is: an error stops the job before it starts, a warning is printed."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or dubious. `code` is a short stable word such as `as-of-inner`."""

    severity: Severity
    code: str
    message: str
    span: Span


def error(code: str, message: str, span: Span) -> Finding:
    """Return the finding of something that must not run."""
    return Finding(Severity.ERROR, code, message, span)


def warning(code: str, message: str, span: Span) -> Finding:
    """Return the finding of something that may run but that the user should know."""
    return Finding(Severity.WARNING, code, message, span)
