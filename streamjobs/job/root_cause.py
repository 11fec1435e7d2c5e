"""Finds the root cause in Flink's text of a failure: of 300 lines of Java, the few that explain it."""

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
        "A Python worker is gone: killed, or out of memory; its TaskManager's log may show why."
    ),
}
"""Explanations of last causes that are not clear by themselves."""
_MAX_CHARS = 4000
_BRIEF_CHARS = 400
_NAMED = re.compile(r"(?P<name>[A-Za-z_][\w.$]*(?:Exception|Error|Throwable)): (?P<text>.*)", re.DOTALL)
_FRAME = re.compile(r'^  File "([^"]*)", line (\d+), in (.*)$', re.MULTILINE)
_OURS = ("streamjobs.", "connectors.", "thrift_idl.", "udfs.")
_OUR_FILES = ("streamjobs/", "connectors/", "thrift_idl/", "udfs/")
"""Class names of our errors, and our stack frames, do not help a reader: only `--verbose` shows them."""
_SHIPPED = re.compile(r'(?<=  File ")[^"]*/python-files/(?:blob_[^/"]+/)?(?:[^/"]+\.zip/)?')
"""The worker's directory of shipped files: it is new with each attempt and does not help a reader."""


def causes(text: str) -> list[tuple[str, str]]:
    """Return the chain of Java exceptions in a failure: each full class name with its text."""
    return [(match["class"], match["text"] or "") for match in _CAUSED_BY.finditer(text)]


def exception_name(cause: str) -> str:
    """Return the class name of a root cause, without its package; "" if it has none."""
    lines = _message_lines(cause)
    match = _NAMED.match(lines[0]) if lines else None
    return match["name"].rpartition(".")[2] if match else ""


def brief(cause: str) -> str:
    """Return a root cause in one line: what was raised and, for the job's own Python code, where.

    >>> brief("Traceback (most recent call last):\\n  File \\"f.py\\", line 3, in g\\nValueError: no")
    'ValueError: no (f.py:3, in g)'
    """
    lines = _message_lines(cause)
    text = " ".join(line.strip() for line in lines if line.strip())
    match = _NAMED.match(text)
    if match is not None:
        name = match["name"]
        text = match["text"] if name.startswith(_OURS) else f"{name.rpartition('.')[2]}: {match['text']}"
    frames = _FRAME.findall(cause)
    if frames and cause.startswith("Traceback") and not frames[-1][0].startswith(_OUR_FILES):
        file, line, function = frames[-1]
        text += f" ({file}:{line}, in {function})"
    return text if len(text) <= _BRIEF_CHARS else text[: _BRIEF_CHARS - 1] + "…"


def _message_lines(cause: str) -> list[str]:
    """Return a root cause without the frames of a traceback."""
    lines = cause.strip().splitlines()
    if not cause.startswith("Traceback"):
        return lines
    last = max((number for number, line in enumerate(lines) if line.startswith("  ")), default=0)
    message = lines[last + 1 :]
    named = [number for number, line in enumerate(lines) if number and _NAMED.match(line)]
    return lines[named[-1] :] if named and named[-1] <= last else message


def root_cause(text: str) -> str:
    """Return the shortest text that explains a failure.

    It is the Python traceback without Beam's and PyFlink's frames, if the text has one; else the last
    `Caused by` with its text; else the end of the text.
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
        cause = f"{last['class'].rpartition('.')[2]}: {last['text']}{after}"[:_MAX_CHARS].rstrip()
        return "\n".join([cause, *(meaning for part, meaning in _MEANINGS.items() if part in cause)])
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
