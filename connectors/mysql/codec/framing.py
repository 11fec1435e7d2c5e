"""Frames of binlog events: header, checksum, and the format description that every reader needs first.

Source: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication_binlog_event.html and
https://mariadb.com/kb/en/2-binlog-event-header/
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

from connectors.mysql.errors import BinlogError, RefusedError

MAGIC: Final = b"\xfebin"
HEADER_BYTES: Final = 19
CHECKSUM_BYTES: Final = 4
MAX_EVENT_BYTES: Final = 1 << 30
"""The servers' own limit (max_allowed_packet)."""

_CHECKED_AT_ONCE: Final = 5 * 1024
"""zlib releases the GIL for more bytes; waiting to get it back takes longer than the checksum itself."""
_HEADER: Final = struct.Struct("<IBIIIH")
_CRC: Final = struct.Struct("<I")


class EventType(IntEnum):
    """Type numbers of the events that are read or refused by name."""

    QUERY = 2
    ROTATE = 4
    INTVAR = 5
    RAND = 13
    FORMAT_DESCRIPTION = 15
    XID = 16
    TABLE_MAP = 19
    WRITE_ROWS_V1 = 23
    UPDATE_ROWS_V1 = 24
    DELETE_ROWS_V1 = 25
    INCIDENT = 26
    HEARTBEAT = 27
    WRITE_ROWS = 30
    UPDATE_ROWS = 31
    DELETE_ROWS = 32
    GTID = 33
    ANONYMOUS_GTID = 34
    PREVIOUS_GTIDS = 35
    XA_PREPARE = 38
    PARTIAL_UPDATE_ROWS = 39
    TRANSACTION_PAYLOAD = 40
    HEARTBEAT_V2 = 41
    TAGGED_GTID = 42
    ANNOTATE_ROWS = 160
    BINLOG_CHECKPOINT = 161
    MARIA_GTID = 162
    MARIA_GTID_LIST = 163
    START_ENCRYPTION = 164
    QUERY_COMPRESSED = 165
    WRITE_ROWS_COMPRESSED_V1 = 166
    UPDATE_ROWS_COMPRESSED_V1 = 167
    DELETE_ROWS_COMPRESSED_V1 = 168
    WRITE_ROWS_COMPRESSED = 169
    UPDATE_ROWS_COMPRESSED = 170
    DELETE_ROWS_COMPRESSED = 171


class Header(NamedTuple):
    """An event's header; `end` is the low 32 bits of the offset after it, 0 if it is not in a file."""

    timestamp_s: int
    type: int
    server_id: int
    size: int
    end: int
    flags: int

    @property
    def artificial(self) -> bool:
        """Return whether the server made it only for the reader (flag 0x20)."""
        return bool(self.flags & 0x20)


def read_header(data: bytes, place: str) -> Header:
    """Read the header at the start of `data`. Raises BinlogError when it cannot be one."""
    if len(data) < HEADER_BYTES:
        message = f"the log ends in the middle of an event: {len(data)} bytes of a header of {HEADER_BYTES}"
        raise BinlogError(message, place)
    header = Header(*_HEADER.unpack_from(data))
    if not HEADER_BYTES <= header.size <= MAX_EVENT_BYTES:
        message = f"an event of type {header.type} claims a size of {header.size} bytes"
        raise BinlogError(message, place)
    return header


@dataclass(frozen=True)
class FramedEvent:
    """One event of a log: its header, all of its bytes, its start and end; None: it is not in a file."""

    header: Header
    data: bytes
    start: int | None
    end: int | None


@dataclass(frozen=True)
class Format:
    """The contents of a FORMAT_DESCRIPTION, which apply to all events after it.

    `post_header` has the length of the fixed part for each event type, from type 1 on.
    """

    server_version: str
    checksum: bool
    post_header: bytes

    @property
    def is_mariadb(self) -> bool:
        """Return whether the dialect is MariaDB's, not MySQL's."""
        return "mariadb" in self.server_version.lower()

    def post_header_bytes(self, event_type: int) -> int:
        """Return the length of an event's fixed part. Raises BinlogError for a type that is not described."""
        if not 0 < event_type <= len(self.post_header):
            message = (
                f"an event of type {event_type}, which the server ({self.server_version}) does not describe"
            )
            raise BinlogError(message)
        return self.post_header[event_type - 1]

    def body(self, event: bytes, place: str) -> bytes:
        """Return an event's bytes after its header, checked and without the checksum. Raises BinlogError."""
        if not self.checksum:
            return event[HEADER_BYTES:]
        check_crc(event, place)
        return event[HEADER_BYTES:-CHECKSUM_BYTES]


class EventSource(Protocol):
    """A source of framed events. The reader checks the checksums."""

    def __iter__(self) -> Iterator[tuple[FramedEvent, Format]]: ...

    def close(self) -> None:
        """Free the resources of the source."""


def check_crc(event: bytes, place: str) -> None:
    """Compare an event with the CRC32 at its end. Raises BinlogError."""
    if len(event) < HEADER_BYTES + CHECKSUM_BYTES:
        message = f"an event of {len(event)} bytes has no room for its checksum"
        raise BinlogError(message, place)
    (stored,) = _CRC.unpack_from(event, len(event) - CHECKSUM_BYTES)
    view, found = memoryview(event)[:-CHECKSUM_BYTES], 0
    for at in range(0, len(view), _CHECKED_AT_ONCE):
        found = zlib.crc32(view[at : at + _CHECKED_AT_ONCE], found)
    if stored != found:
        message = (
            f"the checksum is {stored:08x}, but the event has {found:08x}: it is damaged (type {event[4]})"
        )
        raise BinlogError(message, place)


def read_format(event: bytes, place: str) -> Format:
    """Read a complete FORMAT_DESCRIPTION event. Raises BinlogError and RefusedError."""
    body = event[HEADER_BYTES:]
    if len(body) < 57:
        message = f"a FORMAT_DESCRIPTION of {len(body)} bytes"
        raise BinlogError(message, place)
    version, raw_name = struct.unpack_from("<H50s", body)
    if version != 4 or body[56] != HEADER_BYTES:
        message = (
            f"binlog format {version} with headers of {body[56]} bytes; only format 4 (MySQL 5.0 on) is read"
        )
        raise RefusedError(message, place)
    name = raw_name.rstrip(b"\0").decode("ascii", "replace")
    lengths = body[57:]
    if not _has_checksum_byte(name):
        return Format(name, checksum=False, post_header=lengths)
    if len(lengths) < 1 + CHECKSUM_BYTES:
        message = f"a FORMAT_DESCRIPTION of {len(body)} bytes"
        raise BinlogError(message, place)
    algorithm = lengths[-1 - CHECKSUM_BYTES]
    if algorithm > 1:
        message = f"checksum algorithm {algorithm} is not known; 0 (none) and 1 (CRC32) are"
        raise RefusedError(message, place)
    if algorithm == 1 or _HEADER.unpack_from(event)[4]:
        check_crc(_as_written(event), place)
    return Format(name, checksum=algorithm == 1, post_header=lengths[: -1 - CHECKSUM_BYTES])


def _as_written(event: bytes) -> bytes:
    """Return a FORMAT_DESCRIPTION as it was checksummed: without the flag that the file is in use."""
    return event[:17] + bytes((event[17] & 0xFE,)) + event[18:]


def _has_checksum_byte(server_version: str) -> bool:
    """Return whether the event ends with algorithm and checksum, as since MySQL 5.6.1 and MariaDB 5.3."""
    numbers = []
    for part in server_version.partition("-")[0].split(".")[:3]:
        digits = "".join(character for character in part if character.isdigit())
        numbers.append(int(digits or 0))
    floor = [5, 3, 0] if "mariadb" in server_version.lower() else [5, 6, 1]
    return numbers >= floor


def utc_text(epoch_s: int) -> str:
    """Return the time of a header, in seconds since 1970, as `2026-11-30T12:00:00+00:00`."""
    return datetime.fromtimestamp(epoch_s, timezone.utc).isoformat()
