"""Makes a dead letter from a record that a store refused."""

from __future__ import annotations

import hashlib

from streamjobs.changes.dead_letter import DeadLetter, Stage
from streamjobs.sinks.contract import Record, Rejection, SinkTable

MAX_RECORD_CHARS = 256 * 1024
"""How much of the record's text a dead letter carries; the whole record is found by its origin."""


def dead_letter_of(rejection: Rejection, job: str, table: SinkTable, at_ms: int) -> DeadLetter:
    """Return the dead letter of a rejected record.

    `id` is the record's origin if it is known, else the table with a digest of key and values: the same
    record gets the same id on every replay. The letter names the message that the row came from if the query
    keeps it in the column of the option `originColumn`; several rows may come from one message, so the
    message is not their id. `detail` ends with the record itself; `raw` is None.
    """
    record = rejection.record
    text = f"{record.kind.value} key={record.key!r} values={dict(record.values)!r}"
    topic, partition, offset, row = _place(record.origin or _kept_origin(record, table))
    digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:20]
    shown = text if len(text) <= MAX_RECORD_CHARS else f"{text[:MAX_RECORD_CHARS]}… ({len(text)} characters)"
    return DeadLetter(
        id=record.origin or f"{table.name}/{digest}",
        stage=Stage.SINK,
        reason=rejection.reason,
        detail=f"{rejection.detail}; {shown}",
        job=job,
        table=table.name,
        topic=topic,
        partition=partition,
        offset=offset,
        row=row,
        at_ms=at_ms,
    )


def _kept_origin(record: Record, table: SinkTable) -> str:
    value = record.values.get(str(table.options.get("originColumn", "")))
    return value if isinstance(value, str) else ""


def _place(origin: str) -> tuple[str, int, int, int]:
    parts = origin.rsplit("/", 3)
    numbers = [int(part) for part in parts[1:] if part.lstrip("-").isdecimal()]
    if len(parts) != 4 or len(numbers) != 3:
        return "", -1, -1, -1
    return parts[0], numbers[0], numbers[1], numbers[2]
