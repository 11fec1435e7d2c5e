"""A dead letter's bytes and times as text: a hexdump, and the rows decoded from it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from streamjobs.changes.row_change import Absent, RowChange, Value
from streamjobs.cli.show import printable
from streamjobs.errors import DecodeError
from thrift_idl.codec import decode

HEXDUMP_BYTES = 2048
MAX_ROWS = 20


def hexdump(raw: bytes) -> Iterator[str]:
    """Yield `offset  16 bytes in hex  the same as text`, for the first 2 KiB."""
    for at in range(0, min(len(raw), HEXDUMP_BYTES), 16):
        part = raw[at : at + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        yield f"  {at:08x}  {part.hex(' '):47}  {text}"
    if len(raw) > HEXDUMP_BYTES:
        yield f"  … {len(raw) - HEXDUMP_BYTES} bytes more"


def decoded_lines(raw: bytes, row: int) -> Iterator[str]:
    """Yield a message's header and rows (only `row` if that is 0 or more), or why it cannot be decoded."""
    try:
        message = decode(raw)
    except DecodeError as exc:
        yield f"decoded        no: {printable(str(exc))}"
        return
    header = message.header
    yield f"decoded        source {header.source}, time_ms {message.time_ms}, {len(message.changes)} rows, "
    yield f"               event time: {header.event_time_column or 'the commit time'}"
    chosen = [(n, change) for n, change in enumerate(message.changes) if row < 0 or n == row]
    for number, change in chosen[:MAX_ROWS]:
        yield from _change_lines(number, change)
    if len(chosen) > MAX_ROWS:
        yield f"  … {len(chosen) - MAX_ROWS} rows more"


def _change_lines(number: int, change: RowChange) -> Iterator[str]:
    table, committed_at_ms = change.schema.table, change.committed_at_ms
    yield f"  row {number}: {change.kind.name} {table}, committed_at_ms {committed_at_ms}"
    for name, image in (("before", change.before), ("after", change.after)):
        if image is not None:
            for column, value in zip(change.schema.columns, image, strict=True):
                yield f"    {name:6} {column.name} {column.type.name} = {_value_text(value)}"


def _value_text(value: Value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, Absent):
        return "ABSENT"
    try:
        return printable(value.decode())
    except UnicodeDecodeError:
        return f"0x{value.hex()}"


def moment(time_ms: int) -> str:
    """Return epoch milliseconds as a time of UTC, such as `2026-11-23 07:00:00.000Z`."""
    whole, ms = divmod(time_ms, 1000)
    at = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=whole)
    return f"{at:%Y-%m-%d %H:%M:%S}.{ms:03d}Z"
