"""Events that frame transactions: GTIDs of both dialects, and queries with their session's settings."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from connectors.mysql.codec import charsets
from connectors.mysql.codec.compression import inflate_event
from connectors.mysql.codec.framing import EventType
from connectors.mysql.codec.packet import PackedReader
from connectors.mysql.errors import BinlogError, RefusedError
from connectors.mysql.schema.statement import Query

_STANDALONE: Final = 1
_GROUP_COMMIT: Final = 2
_PREPARED_XA: Final = 64
_COMPLETED_XA: Final = 128
_START_ALTER, _ROLLBACK_ALTER = 2, 8
"""Extra flags of MariaDB 10.8 (binlog_alter_two_phase)."""
_ANSI_QUOTES: Final = 4
_NO_BACKSLASH_ESCAPES: Final = 1 << 20
_SOURCE, _NUMBER, _TAG, _COMMITTED, _TAGGED_FIELDS = 1, 2, 3, 6, 10
"""Numbers of a tagged GTID's fields, and the last one of version 1."""


@dataclass(frozen=True)
class GtidEvent:
    """The start of a group of events.

    `gtid` is "" for an anonymous transaction. `committed_at_us` is None if the log does not contain it.
    `explicit`: the group ends with a commit, not with its first statement. `prepared_xa`: its rows count only
    after another group. `void`: its statement counts only in another group, or never.
    """

    gtid: str
    committed_at_us: int | None
    explicit: bool
    prepared_xa: bool
    void: bool = False


def read_gtid(event_type: int, body: bytes, server_id: int) -> GtidEvent:
    """Read a GTID event of either dialect. Raises BinlogError and RefusedError."""
    reader = PackedReader(body)
    if event_type == EventType.MARIA_GTID:
        number, domain, flags = reader.integer(8), reader.integer(4), reader.integer(1)
        return GtidEvent(
            f"{domain}-{server_id}-{number}",
            None,
            not flags & _STANDALONE,
            bool(flags & _PREPARED_XA),
            _is_unfinished_alter(reader, flags),
        )
    if event_type == EventType.TAGGED_GTID:
        return _read_tagged(reader)
    reader.take(1)
    source, number = str(uuid.UUID(bytes=reader.take(16))), reader.integer(8)
    committed_at_us = None
    if reader.left >= 17 + 7 and reader.integer(1) == 2:
        reader.take(16)  # last_committed, sequence_number
        immediate = reader.integer(7)
        committed_at_us = reader.integer(7) if immediate >> 55 else immediate
    gtid = f"{source}:{number}" if event_type == EventType.GTID else ""
    return GtidEvent(gtid, committed_at_us, explicit=False, prepared_xa=False)


def _is_unfinished_alter(reader: PackedReader, flags: int) -> bool:
    """Return whether it is the start or failure of an ALTER; a finished ALTER has a separate group."""
    reader.take(8 if flags & _GROUP_COMMIT else 0)
    if flags & (_PREPARED_XA | _COMPLETED_XA):
        reader.take(4)
        reader.take(reader.integer(1) + reader.integer(1))
    extra = reader.integer(1) if reader.left else 0
    return bool(extra & (_START_ALTER | _ROLLBACK_ALTER))


def _read_tagged(reader: PackedReader) -> GtidEvent:
    """Read a tagged GTID: each field follows its number, in order; fields with default values may be missing.

    Raises: RefusedError for a later version of it.
    """
    version, _, needed = reader.serialized(), reader.serialized(), reader.serialized()
    if version != 1 or needed > _TAGGED_FIELDS:
        message = f"a tagged GTID of version {version} requires field {needed}, which is not known"
        raise RefusedError(message)
    source, tag, found = "", "", -1
    numbers: dict[int, int] = {}
    while reader.left and (field := reader.serialized()) <= _COMMITTED:
        if field <= found:
            message = f"field {field} of a tagged GTID after field {found}"
            raise BinlogError(message)
        found = field
        if field == _SOURCE:
            source = str(uuid.UUID(bytes=bytes(reader.serialized() & 255 for _ in range(16))))
        elif field == _TAG:
            tag = reader.take(reader.serialized()).decode("ascii", "replace")
        else:
            numbers[field] = reader.serialized()
    if not source or _NUMBER not in numbers:
        message = f"a tagged GTID without its {'number' if source else 'source'}"
        raise BinlogError(message)
    number = numbers[_NUMBER] >> 1  # its lowest bit is the sign
    gtid = f"{source}:{tag}:{number}" if tag else f"{source}:{number}"
    return GtidEvent(gtid, numbers.get(_COMMITTED), explicit=False, prepared_xa=False)


def read_query(event_type: int, body: bytes) -> Query:
    """Read a QUERY event. Raises BinlogError."""
    reader = PackedReader(body)
    reader.take(8)  # thread, seconds that it took
    database_bytes = reader.integer(1)
    error = reader.integer(2)
    status = reader.take(reader.integer(2))
    database = reader.take(database_bytes).decode("utf-8", "replace")
    reader.take(1)
    compressed = event_type == EventType.QUERY_COMPRESSED
    text = inflate_event(body, reader.at) if compressed else reader.rest()
    found = _session(status)
    mode = found.sql_mode
    return Query(
        database,
        charsets.decode_all(text, found.client),
        bool(mode & _ANSI_QUOTES),
        not mode & _NO_BACKSLASH_ESCAPES,
        found.server,
        found.database,
        error,
    )


@dataclass
class _Session:
    """A query's session: sql_mode, the client's collation, two default charsets; "" if not in the log."""

    sql_mode: int = 0
    client: int | None = None
    server: str = ""
    database: str = ""


def _session(status: bytes) -> _Session:
    """Read the status variables, which are in the order in which the servers write them.

    Source: Query_log_event::write in sql/log_event_server.cc of MariaDB 10.11.
    """
    reader = PackedReader(status)
    found = _Session()
    try:
        while reader.left:
            match reader.integer(1):
                case 0:
                    reader.take(4)
                case 1:
                    found.sql_mode = reader.integer(8)
                case 2:
                    reader.take(reader.integer(1) + 1)
                case 3:
                    reader.take(4)
                case 4:
                    found.client = reader.integer(2)
                    reader.take(2)
                    found.server = _charset_name(reader.integer(2))
                case 5 | 6:
                    reader.take(reader.integer(1))
                case 7:
                    reader.take(2)
                case 8:
                    found.database = _charset_name(reader.integer(2))
                case _:
                    break  # nothing after it is needed
    except BinlogError as exc:
        message = f"the status variables of a query cannot be read: {status.hex()}"
        raise BinlogError(message) from exc
    return found


def _charset_name(collation: int) -> str:
    try:
        return charsets.of_collation(collation).name
    except KeyError:
        return ""
