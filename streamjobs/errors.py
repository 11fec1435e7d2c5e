"""All errors that streamjobs raises on purpose.

    StreamjobsError
    ├── ConfigError            an option, a profile or a declaration is wrong; fix it and start again
    │   └── SqlError           the same, in a SQL file: has line and column, prints a caret
    ├── DecodeError            these bytes are poison; becomes a dead letter, never stops a job
    ├── RetriableError         a failure outside; its effect is unknown, the same call may be sent again
    ├── SystemicError          a failure outside that no retry cures: the job stops, nothing is dead-lettered
    │   └── ServiceError       a local service did not start, stop or answer
    └── JobError               a Flink job failed; carries the root cause

The class says how to react; the message says what failed, where, with which value, and what to do next.
A broken invariant of our own code is an AssertionError and is caught nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_SECRET = re.compile(
    r"""(?ix)
    [\w.-]* (?: pas | pwd | secret | token | credential | jaas | (?:access|api|private)[_.-]?key ) [\w.-]*
    ['"`]? \s* = \s* ' (?P<value> (?: [^'] | '' )* )
    | :// [^\s'/@:]* : (?P<login> [^\s'/@]+ ) @
    """
)
"""The literal of an option whose name (even if misspelled) suggests a secret, and the password in a URL."""
_REFERENCE = re.compile(r"\$\{\w+\}")


class StreamjobsError(Exception):
    """Root of all errors that streamjobs raises on purpose."""


class ConfigError(StreamjobsError):
    """A configuration that can never work: unknown option, illegal value, missing declaration."""


class SqlError(ConfigError):
    """A SQL text that is refused, with line and column.

    Shape: `line` and `column` count from 1. `str(error)` is the message, the line and a caret; a value in
    the line that looks like a secret is shown as `****`.
    """

    def __init__(self, message: str, text: str, offset: int, path: str = "<sql>") -> None:
        self.message = message
        self.path = path
        self.line = text.count("\n", 0, offset) + 1
        start = text.rfind("\n", 0, offset) + 1
        self.column = offset - start + 1
        end = text.find("\n", start)
        self.source_line = _masked(text, start, len(text) if end < 0 else end)
        caret = " " * len(_masked(text, start, offset)) + "^"
        super().__init__(f"{path}:{self.line}:{self.column}: {message}\n  {self.source_line}\n  {caret}")


class SqlErrors(SqlError):
    """Several errors of one file. Line, column and message are those of the first; the text shows all."""

    def __init__(self, errors: Sequence[SqlError]) -> None:
        first = errors[0]
        self.message, self.path, self.source_line = first.message, first.path, first.source_line
        self.line, self.column = first.line, first.column
        self.errors = tuple(errors)
        Exception.__init__(self, "\n".join(map(str, errors)))


def raise_together(errors: Sequence[SqlError]) -> None:
    """Raise all errors as one; do nothing if there are none."""
    if len(errors) > 1:
        raise SqlErrors(errors)
    for error in errors:
        raise error


def _masked(text: str, start: int, end: int) -> str:
    """Return text[start:end] with `****` instead of each part of a secret."""
    parts, place = [], start
    for match in _SECRET.finditer(text):
        low, high = match.span("login" if match["value"] is None else "value")
        if low < end and high > place and not _REFERENCE.fullmatch(text, low, high):
            parts += [text[place:low], "****"]
            place = min(high, end)
    return "".join([*parts, text[place:end]])


class DecodeError(StreamjobsError):
    """Bytes that are not what they claim to be.

    `reason` is a short stable word for metrics and dead letters (`truncated`, `crc`, `version` …).
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")


class RetriableError(StreamjobsError):
    """A failure outside that may pass: the effect of the call is unknown, send it again."""


class SystemicError(StreamjobsError):
    """A failure outside that no retry cures (credentials, missing table, full disk): stop the job."""


class ServiceError(SystemicError):
    """A local service did not start, stop or answer; the message names its log."""


class JobError(StreamjobsError):
    """A Flink job failed; `cause` is the shortest text that explains it (the Python traceback)."""

    def __init__(self, message: str, cause: str) -> None:
        self.message = message
        self.cause = cause
        super().__init__(f"{message}\n{cause}" if cause else message)
