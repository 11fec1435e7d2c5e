"""From 300 lines of Java to the lines that say what went wrong."""

from __future__ import annotations

import re

_CAUSED_BY = re.compile(
    r"^(?:Caused by: |: )?(?:org\.apache\.flink\.util\.SerializedThrowable: )*"
    r"(?P<class>[\w.$]+(?:Exception|Error|Throwable))(?:: (?P<text>.*))?$",
    re.MULTILINE,
)
_JAVA_GOES_ON = re.compile(r"\n\s*at [\w.$/]+\(|\n\s*\.\.\. \d+ more|\nCaused by")
_DULL = (
    "JobException",
    "CompletionException",
    "ExecutionException",
    "SerializedThrowable",
    "UncheckedExecution",
)
_MEANINGS = {
    "CANCELLED: client cancelled": (
        "A Python worker is gone: killed, or out of memory; its TaskManager's log may tell."
    ),
}
"""What else to say where a last cause says little."""
_MAX_CHARS = 4000
_SHIPPED = re.compile(r'(?<=  File ")[^"]*/python-files/(?:blob_[^/"]+/)?(?:[^/"]+\.zip/)?')
"""Where a worker keeps what the job shipped: new with each attempt, and of no use to a reader."""


def waits_for_slots(cause: str) -> bool:
    """Whether a root cause is that the cluster has too few slots now: trouble outside of the job."""
    return cause.startswith("NoResourceAvailableException")


def root_cause(text: str) -> str:
    """Give the shortest text that explains a failure.

    The Python traceback, without Beam's and PyFlink's own frames, if there is one in it; else the last
    `Caused by` with its text; else the end of what was printed.
    """
    python = _python_traceback(text)
    if python:
        return python
    causes = [
        match
        for match in _CAUSED_BY.finditer(text)
        if not match["class"].endswith(_DULL) and (match["text"] or "").strip()
    ]
    if causes:
        last = causes[-1]
        after = _JAVA_GOES_ON.split(text[last.end() :], maxsplit=1)[0]
        told = f"{last['class'].rpartition('.')[2]}: {last['text']}{after}"[:_MAX_CHARS].rstrip()
        return "\n".join([told, *(meaning for part, meaning in _MEANINGS.items() if part in told)])
    return text.strip()[-_MAX_CHARS:]


def _python_traceback(text: str) -> str:
    start = text.rfind("Traceback (most recent call last):\n")
    if start < 0:
        return ""
    block = _JAVA_GOES_ON.split(text[start:], maxsplit=1)[0]
    lines = block.rstrip().splitlines()
    kept = [lines[0]]
    skip = False
    for line in lines[1:]:
        if line.startswith('  File "'):
            path = line.split('"')[1]
            skip = path == "<string>" or "apache_beam/" in path or "pyflink/" in path
        elif not line.startswith(" "):
            skip = False
        if not skip:
            kept.append(line)
    return _SHIPPED.sub("", "\n".join(kept))[:_MAX_CHARS]
