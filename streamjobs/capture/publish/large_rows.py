"""Rows that are too large for their topic: the limit, and their dead letters."""

from __future__ import annotations

from connectors.mysql.events import BadRow
from streamjobs.changes.row_change import ABSENT, RowChange
from streamjobs.errors import ConfigError

OVERHEAD_BYTES = 256
"""Bytes of a record batch with one message besides the payload: headers of batch and record, some spare.

Source: https://kafka.apache.org/documentation/#recordbatch (61 bytes, and some 20 for a record)
"""
_SHOWN_KEY = 200
_KEPT_BYTES = 64


def refuse_small_topic(topic: str, max_bytes: int, batch_bytes: int) -> None:
    """Raise ConfigError for a topic that would refuse what capture sends in one request."""
    least = batch_bytes + OVERHEAD_BYTES
    if max_bytes < least:
        message = (
            f"topic {topic} accepts at most {max_bytes} bytes at once (max.message.bytes), and capture sends "
            f"up to {batch_bytes}: kafka-configs.sh --alter --entity-type topics --entity-name {topic} "
            "--add-config max.message.bytes=1048588"
        )
        raise ConfigError(message)


def too_large(change: RowChange, size: int, topic: str, max_bytes: int) -> BadRow:
    """Return a row of `size` bytes, too large for its topic, as a bad row that shows its largest value."""
    image = change.image
    sizes = [len(value) if isinstance(value, bytes) else 0 for value in image]
    largest = sizes.index(max(sizes))
    value = image[largest]
    reason = (
        f"the row with {_key(change)} has {size} bytes, and topic {topic} accepts at most {max_bytes} at "
        "once (max.message.bytes): its downstream copy stays as it was. Raise the limit, restart this "
        f"capture, then snapshot the table: `streamjobs capture snapshot {change.schema.table}`"
    )
    return BadRow(
        change.schema,
        change.kind,
        change.position,
        change.schema.columns[largest].name,
        value[:_KEPT_BYTES] if isinstance(value, bytes) else b"",
        reason,
        change.half,
    )


def _key(change: RowChange) -> str:
    indexes = change.schema.key_indexes
    if not indexes:
        return "no key"
    parts = []
    for index in indexes:
        value = change.image[index]
        text = "NULL" if value is None else "?" if value is ABSENT else _text(value)
        parts.append(f"{change.schema.columns[index].name} = {text}")
    return ", ".join(parts)


def _text(value: object) -> str:
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= _SHOWN_KEY else f"{text[:_SHOWN_KEY]}…"
