"""The stream of a server's binlog: the replication protocol on a connection that pymysql has logged in.

Source: https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication.html and
https://mariadb.com/kb/en/replication-protocol/
"""

from __future__ import annotations

import struct
import time
import uuid
from collections.abc import Iterator
from typing import Any, Final

from connectors.mysql.binlog.reader import LogReader
from connectors.mysql.binlog.torn_files import TruncatedFileError, WholeTransactions, next_file
from connectors.mysql.codec.framing import (
    EventSource,
    EventType,
    Format,
    FramedEvent,
    Header,
    read_format,
    read_header,
)
from connectors.mysql.errors import BinlogError, ConnectionLostError, PositionLostError, RefusedError
from connectors.mysql.events import Wanted
from connectors.mysql.gtid import GtidSet, MariaGtids
from connectors.mysql.position import LogPosition
from connectors.mysql.schema.history import Catalog
from connectors.mysql.server.log_position import mariadb_gtids, mysql_place
from connectors.mysql.server.session import Login, Session, literal, mysql_errors
from streamjobs.errors import SystemicError

_COM_BINLOG_DUMP: Final = 0x12
_COM_REGISTER_SLAVE: Final = 0x15
_COM_BINLOG_DUMP_GTID: Final = 0x1E
_THROUGH_GTID: Final = 4
_MAX_PACKET: Final = 0xFFFFFF
_READ_AHEAD: Final = 256 * 1024
"""Some dozens of events for one system call: after each call a thread waits for its turn again."""
_FATAL: Final = 1236
"""ER_MASTER_FATAL_ERROR_READING_BINLOG: any problem with a position, and some others."""
_SAME_ID: Final = 4052
"""ER_SLAVE_SAME_ID of MariaDB 11; older ones report it as _FATAL."""
_TRUNCATED: Final = b"truncated in the middle of event"
_GOING: Final = frozenset({1053, 1077, 1152, 1158, 1159, 1160, 1161, 1317, 1927})
"""Shutdown, aborted and killed connections, network errors."""
_MOST_OFFSET: Final = 0xFFFFFFFF
_ANNOTATED: Final = 2
"""BINLOG_SEND_ANNOTATE_ROWS_EVENT."""
_WITHOUT_ENDS: Final = (11, 4)
"""From this MariaDB on, events inside a transaction do not contain their end (MDEV-31273)."""
_UUID_SPACE: Final = uuid.UUID("9d2d9a6c-5f4e-4f0a-9a55-6f3a2d1c7b10")


def open_stream(
    login: Login, *, place: LogPosition | None, gtids: str, server_id: int, wanted: Wanted,
    catalog: Catalog | None = None, epoch: int = 0, heartbeat_s: float = 1.0, silence_s: float = 30.0,
    file_made_at_s: int = 0,
) -> LogReader:  # fmt: skip
    """Follow a server's log from `place`, or after the transactions in `gtids` when `place` is None.

    The reader's set also starts with `gtids`. If that is "", the set becomes known with the next log file.
    `server_id` must be unique among the server's replicas: a newer reader with the same id ends this one. The
    server sends a heartbeat after `heartbeat_s` without an event; the reader gives up after `silence_s`
    without either. `file_made_at_s` is what an earlier reader reported for the file of `place`: another file
    with that name is refused; 0: any. Semi-synchronous replication is never requested. Raises: as Session
    does; while it is iterated PositionLostError (purged, or another server's position), RefusedError,
    ConnectionLostError, SystemicError (privileges).
    """
    session = Session(login, timeout_s=max(silence_s, 10.0))
    try:
        known = (MariaGtids.parse if session.is_mariadb else GtidSet.parse)(gtids)
        if place is None and not gtids:
            message = f"{login}: a stream needs a position or a set of GTIDs to start from"
            raise RefusedError(message)
        if place is not None and place.offset > _MOST_OFFSET:
            message = (
                f"{login}: cannot start at {place}: the replication protocol addresses only the first 4 GiB "
                "of a binlog file; start by GTIDs"
            )
            raise RefusedError(message)
        stream = _StreamSource(session, silence_s, server_id, heartbeat_s)
        source: EventSource = stream
        if session.is_mariadb:
            source = WholeTransactions(stream, place.file if place else "", mysql_place(session).place.number)
        stream.start(place, known)
    except BaseException:
        session.close()
        raise
    return LogReader(
        source,
        place or LogPosition("", 4),
        wanted=wanted,
        catalog=catalog or Catalog(mariadb=session.is_mariadb),
        epoch=epoch,
        gtids=known if gtids else None,
        clock_ms=lambda: time.time_ns() // 1_000_000,
        file_made_at_s=file_made_at_s,
    )


class _Offsets:
    """The offsets of a stream's events in their file, which may have more than 4 GiB.

    A server sends the lower 32 bits of an event's end, or nothing: then the sizes are added up.
    """

    def __init__(self) -> None:
        self._at = 0
        self._counted = False

    def of(self, header: Header) -> tuple[int | None, int | None]:
        """Return where an event starts and ends; None: it is not in a file. Raises BinlogError."""
        if header.type == EventType.ROTATE:
            at, self._at, self._counted = self._at, 0, False
            if header.artificial or not header.end:
                return None, None
            end = _whole(at, header.end)
            return end - header.size, end
        if header.artificial or header.type in (EventType.HEARTBEAT, EventType.HEARTBEAT_V2):
            return None, None
        if not header.end:
            return self._count(header)
        if header.type == EventType.FORMAT_DESCRIPTION:  # sent again at each start of a stream
            self._at = max(self._at, header.end)
            return header.end - header.size, header.end
        end = _whole(self._at, header.end)
        if self._counted and end - header.size < self._at:
            message = f"an event of type {header.type} ends at {end}, and the one before it at {self._at}"
            raise BinlogError(message)
        self._at, self._counted = end, False
        return end - header.size, end

    def _count(self, header: Header) -> tuple[int | None, int | None]:
        if not self._at or header.type == EventType.FORMAT_DESCRIPTION:
            return None, None
        start, self._at, self._counted = self._at, self._at + header.size, True
        return start, self._at


def _whole(at: int, low: int) -> int:
    """Return the first offset from `at` on that has these lower 32 bits."""
    end = at & ~_MOST_OFFSET | low
    return end if end >= at else end + _MOST_OFFSET + 1


class _StreamSource:
    """The framed events that a server sends."""

    def __init__(self, session: Session, silence_s: float, server_id: int, heartbeat_s: float) -> None:
        self._session = session
        self._silence_s = silence_s
        self._server_id = server_id
        self._heartbeat_s = heartbeat_s
        self._format = Format(session.version, checksum=False, post_header=b"")
        self._offsets = _Offsets()
        self._skipping_until: LogPosition | None = None
        self._asked = ""

    def start(self, place: LogPosition | None, gtids: GtidSet | MariaGtids) -> None:
        """Send who reads, what the reader understands, and where to start."""
        session, server_id = self._session, self._server_id
        self._asked = str(place or gtids)
        replica = uuid.uuid5(_UUID_SPACE, str(server_id))
        checksum = (session.text("SELECT @@global.binlog_checksum") or "NONE").upper()
        nanoseconds = int(self._heartbeat_s * 1_000_000_000)
        session.execute(
            f"SET @master_binlog_checksum = '{checksum}', @source_binlog_checksum = '{checksum}', "
            f"@master_heartbeat_period = {nanoseconds}, @source_heartbeat_period = {nanoseconds}, "
            f"@slave_uuid = '{replica}', @replica_uuid = '{replica}'"
        )
        self._format = Format(session.version, checksum=checksum == "CRC32", post_header=b"")
        if session.is_mariadb:
            session.execute("SET @mariadb_slave_capability = 4")
            if place is None:
                session.execute(
                    f"SET @slave_connect_state = {literal(str(gtids))}, @slave_gtid_strict_mode = 1, "
                    "@slave_gtid_ignore_duplicates = 0"
                )
        self._read_ahead()
        self._command(_COM_REGISTER_SLAVE, struct.pack("<IBBBHII", server_id, 0, 0, 0, 0, 0, 0))
        self._reply()
        if place is None and isinstance(gtids, GtidSet):
            self._skipping_until = mysql_place(session).place
            data = gtids.encoded()
            self._command(
                _COM_BINLOG_DUMP_GTID,
                struct.pack("<HIIQI", _THROUGH_GTID, server_id, 0, 4, len(data)) + data,
            )
            return
        offset, file = (place.offset, place.file) if place else (4, "")
        # No event may be missing where sizes are added up: by default a server does not send these.
        flags = _ANNOTATED if session.is_mariadb and session.version_numbers >= _WITHOUT_ENDS else 0
        self._command(_COM_BINLOG_DUMP, struct.pack("<IHI", offset, flags, server_id) + file.encode())

    def __iter__(self) -> Iterator[tuple[FramedEvent, Format]]:
        while True:
            data = self._packet()
            if not data or data[0] == 0xFE:
                message = f"{self._session.login}: the server ended the stream"
                raise ConnectionLostError(message)
            if data[0] == 0xFF:
                raise self._error(data)
            framed, used = self._framed(data[1:])
            if self._skipping_until is None or not self._is_of_skipping(framed, used):
                yield framed, used

    def skip_to_next_file(self, torn: LogPosition) -> None:
        """Continue with the file after a torn one; see `ReopeningSource`."""
        self._session.close()
        session = self._session = Session(self._session.login, timeout_s=max(self._silence_s, 10.0))
        names = [row["Log_name"] for row in session.named("SHOW BINARY LOGS")]
        place = next_file(names, torn, lambda place: MariaGtids.parse(mariadb_gtids(session, place)))
        self.start(place, MariaGtids())

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _is_of_skipping(self, event: FramedEvent, used: Format) -> bool:
        """Return whether MySQL sends this heartbeat while it skips transactions, instead of when it is idle.

        It can skip only transactions that existed when the stream was opened: it sends all later ones.
        """
        if self._skipping_until is None or event.header.type != EventType.HEARTBEAT:
            return False
        here = LogPosition(used.body(event.data, "(stream)").decode("utf-8", "replace"), event.header.end)
        end = self._skipping_until
        if (here.number, here.offset) < (end.number, end.offset):
            return True
        self._skipping_until = None
        return False

    def _framed(self, event: bytes) -> tuple[FramedEvent, Format]:
        header = read_header(event, "(stream)")
        if header.size != len(event):
            message = f"an event of {header.size} bytes in a packet of {len(event)}"
            raise BinlogError(message, "(stream)")
        if header.type == EventType.FORMAT_DESCRIPTION:
            self._format = read_format(event, "(stream)")
            used = Format(self._format.server_version, checksum=False, post_header=self._format.post_header)
        else:
            used = self._format
        start, end = self._offsets.of(header)
        return FramedEvent(header, event, start, end), used

    # the protocol

    def _read_ahead(self) -> None:
        """Replace pymysql's buffer, which is empty between commands, by a larger one."""
        connection: Any = self._session.connection
        with mysql_errors(f"{self._session.login}: requesting the log"):
            connection._rfile.close()  # noqa: SLF001 (pymysql has no public way)
            connection._rfile = connection._sock.makefile("rb", _READ_AHEAD)  # noqa: SLF001

    def _command(self, command: int, data: bytes) -> None:
        connection: Any = self._session.connection
        with mysql_errors(f"{self._session.login}: requesting the log"):
            connection._execute_command(command, data)  # noqa: SLF001 (pymysql has no public way)
            connection._sock.settimeout(self._silence_s)  # noqa: SLF001

    def _reply(self) -> None:
        data = self._packet()
        if data[:1] == b"\xff":
            raise self._error(data)

    def _packet(self) -> bytes:
        """Return the next packet, joined if it came in parts of 16 MiB."""
        size, data = self._part()
        if size < _MAX_PACKET:
            return data
        parts = [data]
        while size == _MAX_PACKET:
            size, data = self._part()
            parts.append(data)
        return b"".join(parts)

    def _part(self) -> tuple[int, bytes]:
        stream = self._session.connection._rfile  # noqa: SLF001
        if stream is None:
            message = f"{self._session.login}: the connection is closed"
            raise ConnectionLostError(message)
        try:
            head = stream.read(4)
            size = int.from_bytes(head[:3], "little")
            data = stream.read(size)
        except TimeoutError as exc:
            message = f"{self._session.login}: nothing was received for {self._silence_s:g} s"
            raise ConnectionLostError(message) from exc
        except (OSError, ValueError) as exc:
            message = f"{self._session.login}: the connection broke: {exc}"
            raise ConnectionLostError(message) from exc
        if len(head) < 4 or len(data) < size:
            message = f"{self._session.login}: the server closed the connection"
            raise ConnectionLostError(message)
        return size, data

    def _error(self, data: bytes) -> Exception:
        (code,) = struct.unpack_from("<H", data, 1)
        text = data[9:] if data[3:4] == b"#" else data[3:]
        message = f"{self._session.login}: error {code}: {text.decode('utf-8', 'replace')}"
        if code in _GOING:
            return ConnectionLostError(message)
        if code not in (_FATAL, _SAME_ID):
            return SystemicError(message)
        if b"same server" in text.lower():
            return RefusedError(f"{message}. Another reader uses this server_id: each reader needs its own")
        kind = TruncatedFileError if _TRUNCATED in text else PositionLostError
        return kind(f"{message}. The log after {self._asked} cannot be read there: take a new snapshot")
