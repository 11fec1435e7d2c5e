"""Transactions of a log, held until they end, so that rows that were rolled back are never read.

A log contains a transaction that was rolled back, completely or to a savepoint, if something in it cannot be
rolled back: a temporary table, or a table of another engine. Rows of tables without transactions are in
separate groups, which were committed. Rows of a prepared XA transaction are returned at its commit, with the
position of that commit.
"""

from __future__ import annotations

import re
import struct
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import IO, Final

from connectors.mysql.binlog.transactions import read_gtid, read_query
from connectors.mysql.codec.framing import EventType, Format, FramedEvent, read_header
from connectors.mysql.errors import RefusedError
from connectors.mysql.rows.row_events import ROW_EVENTS
from connectors.mysql.schema.statement import Query
from streamjobs.errors import SystemicError

Framed = tuple[FramedEvent, Format]

_IN_MEMORY: Final = 16 << 20
"""Bytes of a transaction that are held in memory; the rest waits in an unnamed temporary file."""
_SIGN_BYTES: Final = 1 << 20
"""Bytes after which the reader reports again that a long transaction is being received."""
_PLACE: Final = struct.Struct("<QQI")
_GTIDS: Final = frozenset(
    {EventType.GTID, EventType.ANONYMOUS_GTID, EventType.MARIA_GTID, EventType.TAGGED_GTID}
)
_STATEMENTS: Final = frozenset({EventType.QUERY, EventType.QUERY_COMPRESSED})
_COMMITS: Final = frozenset({EventType.XID, EventType.XA_PREPARE, EventType.TRANSACTION_PAYLOAD})
_SIGNS_OF_LIFE: Final = frozenset({EventType.HEARTBEAT, EventType.HEARTBEAT_V2})
_OF_FILE: Final = frozenset({EventType.ROTATE, EventType.FORMAT_DESCRIPTION})
_OF_ROWS: Final = ROW_EVENTS | {EventType.TABLE_MAP, EventType.ANNOTATE_ROWS}
_BEGINS: Final = (("BEGIN", ""), ("START", "TRANSACTION"), ("XA", "START"), ("XA", "BEGIN"))
_XA_ENDS: Final = (("XA", "COMMIT"), ("XA", "ROLLBACK"))
_XID: Final = re.compile(r"\s*XA\s+\w+\s+(.*?)(?:\s+ONE\s+PHASE)?\s*", re.IGNORECASE | re.DOTALL)
_ONE_PHASE: Final = re.compile(r"\sONE\s+PHASE\s*$", re.IGNORECASE)
_SAVEPOINT: Final = re.compile(
    r"\s*(?:ROLLBACK\s+(?:WORK\s+)?TO\s+)?(?:SAVEPOINT\s+)?(`(?:[^`]|``)+`|[^\s;]+)", re.IGNORECASE
)


class EventGroups:
    """Holds the events of a transaction until its last event has arrived.

    Promise: a transaction is returned complete and in order, without rows that were rolled back; without any
    rows if it has no end. Memory is bounded, whatever a transaction's size.
    """

    def __init__(self) -> None:
        self._group: Group | None = None
        self._released: Group | None = None
        self._unsigned_bytes = 0
        self._prepared: dict[str, Group] = {}
        self.decided_xa = False
        """Whether the last result is an XA transaction whose rows count: committed, at once or later."""

    @property
    def undecided(self) -> tuple[str, ...]:
        """The names of XA transactions that are prepared, but not yet committed or rolled back."""
        return tuple(self._prepared)

    def offer(self, event: FramedEvent, used: Format) -> Iterable[Framed]:
        """Add the next event; return what may be read now. Raises SystemicError when the disk is full."""
        kind = event.header.type
        group = self._group
        if group is None:
            group = begun(event, used)
            if group is None:
                return ((event, used),)
            self._group = group
        elif kind in _GTIDS or kind in _OF_FILE:
            return (*self.rest(), *self.offer(event, used))
        elif kind in _SIGNS_OF_LIFE:
            self._unsigned_bytes = _SIGN_BYTES
            return ()  # its position is the end of the transaction, which has not arrived
        group.add(event)
        self._unsigned_bytes += len(event.data)
        if not group.ended_by(event):
            return ()
        self._group, self._released = None, group
        return self._decided(group, event)

    def _decided(self, group: Group, last: FramedEvent) -> Iterable[Framed]:
        """Return the events of a group that has ended. Raises RefusedError if its rows are not known."""
        self.decided_xa = group.ends_xa == "ONE PHASE"
        if group.ends_xa == "PREPARE":
            self._released = None
            self._prepared[group.xid] = group
            return group.events(rows=False, close=False)
        if group.ends_xa == "ROLLBACK":
            if prepared := self._prepared.pop(group.xid, None):
                prepared.close()
        elif group.ends_xa == "COMMIT":
            prepared = self._prepared.pop(group.xid, None)
            if prepared is None:
                message = (
                    f"XA COMMIT {group.xid}: it was prepared before the position where reading started, so "
                    "its rows are not known. Send the tables again: `streamjobs capture run --resnapshot`"
                )
                raise RefusedError(message)
            self.decided_xa, self._released = True, prepared
            return _committed_later(group, prepared, last)
        return group.events()

    def rest(self) -> Iterable[Framed]:
        """Return the events held at the end of the log, without rows."""
        group, self._group, self._released = self._group, None, self._group
        return () if group is None else group.events(rows=False)

    def sign_is_due(self) -> bool:
        """Return whether many bytes arrived since this was last true, and none may be read yet."""
        if self._group is None or self._unsigned_bytes < _SIGN_BYTES:
            return False
        self._unsigned_bytes = 0
        return True

    def close(self) -> None:
        """Free the held events."""
        for group in (self._group, self._released, *self._prepared.values()):
            if group is not None:
                group.close()
        self._group = self._released = None
        self._prepared = {}


def _committed_later(group: Group, prepared: Group, last: FramedEvent) -> Iterator[Framed]:
    """Yield the events of an XA COMMIT, with the rows of the prepared transaction before its last event."""
    *before, at_last = group.events()
    yield from before
    for row, used in prepared.events():
        if row.header.type in _OF_ROWS:
            yield replace(row, start=last.start, end=last.end), used
    yield at_last


def begun(event: FramedEvent, used: Format) -> Group | None:
    """Return the group that an event begins, or None if the event is not part of a group."""
    kind = event.header.type
    if kind in _GTIDS:
        found = read_gtid(kind, used.body(event.data, ""), event.header.server_id)
        return Group(used, found.gtid, explicit=found.explicit)
    if kind in _STATEMENTS and (verb := _query(event, used).verb) in (*_BEGINS, *_XA_ENDS):
        return Group(used, "", explicit=verb in _BEGINS)
    return None


def _query(event: FramedEvent, used: Format) -> Query:
    return read_query(event.header.type, used.body(event.data, ""))


class Group:
    """The events of one transaction so far, and which of them were rolled back."""

    def __init__(self, used: Format, gtid: str, *, explicit: bool) -> None:
        self._used = used
        self.gtid = gtid
        self._explicit = explicit
        self._events: list[FramedEvent] = []
        self._bytes = 0
        self._file: IO[bytes] | None = None
        self._filed = 0
        self._savepoints: dict[str, int] = {}
        self._undone: list[range] = []
        self._known: set[int] = set()  # statements that undo only what is left out
        self.xid = ""
        self.ends_xa = ""
        """How it ended as an XA transaction: PREPARE, ONE PHASE, COMMIT, ROLLBACK; "" if it is not one."""

    def __len__(self) -> int:
        return len(self._events) + self._filed

    def add(self, event: FramedEvent) -> None:
        """Add the next event. Raises SystemicError when the disk is full."""
        self._bytes += len(event.data)
        if self._bytes <= _IN_MEMORY:
            self._events.append(event)
            return
        try:
            file = self._file = self._file or tempfile.TemporaryFile()
            file.write(_PLACE.pack(event.start or 0, event.end or 0, len(event.data)))
            file.write(event.data)
        except OSError as exc:
            message = (
                f"the transaction {self.gtid} has more than {self._bytes >> 20} MiB, which cannot be held "
                f"in {tempfile.gettempdir()} until it ends: {exc.strerror}. Make room there, or set TMPDIR "
                "to a directory on a larger disk"
            )
            raise SystemicError(message) from exc
        self._filed += 1

    def ended_by(self, event: FramedEvent) -> bool:
        """Return whether the transaction ends with this event, which must be added already."""
        kind = event.header.type
        if kind == EventType.XA_PREPARE:
            at_once = self._used.body(event.data, "")[:1] == b"\1"
            self.ends_xa = "ONE PHASE" if at_once else "PREPARE"
        if kind not in _STATEMENTS:
            return kind in _COMMITS
        query = _query(event, self._used)
        match query.verb:
            case verb if verb in _BEGINS:
                self._explicit = True
                return False
            case ("XA", "COMMIT" | "ROLLBACK" as word):
                self.xid, self.ends_xa = _xid(query), word
                if _ONE_PHASE.search(query.sql):  # MariaDB ends an unprepared transaction so
                    self.ends_xa = "ONE PHASE"
                return True
            case ("SAVEPOINT", _):
                self._savepoints[_savepoint(query.sql.lstrip()[len("SAVEPOINT") :])] = len(self)
                return False
            case ("ROLLBACK", "TO"):
                self._undo(_savepoint(query.sql))
                return False
            case ("ROLLBACK", _):
                self._undone.append(range(len(self)))
                return True
            case ("XA", "END"):  # MariaDB logs no XA START
                self.xid = _xid(query)
                return False
            case ("RELEASE", _):
                return False
            case ("COMMIT", _) | ("XA", _):
                return True
        return not self._explicit

    def _undo(self, savepoint: str) -> None:
        """Leave out the rows since a savepoint; the reader refuses a savepoint that the log does not have."""
        since = self._savepoints.get(savepoint)
        if since is not None:
            self._undone.append(range(since, len(self)))
            self._known.add(len(self) - 1)
            self._savepoints = {name: at for name, at in self._savepoints.items() if at <= since}

    def events(self, *, rows: bool = True, close: bool = True) -> Iterator[Framed]:
        """Yield the events in order without what was rolled back; without any rows if `rows` is False.

        Afterwards the held events are freed, unless `close` is False.
        """
        try:
            for number, event in enumerate(self._all()):
                undone = any(number in run for run in self._undone)
                if number not in self._known and not (event.header.type in _OF_ROWS and (undone or not rows)):
                    yield event, self._used
        finally:
            if close:
                self.close()

    def _all(self) -> Iterator[FramedEvent]:
        yield from self._events
        if self._file is not None:
            self._file.seek(0)
            while head := self._file.read(_PLACE.size):
                start, end, size = _PLACE.unpack(head)
                data = self._file.read(size)
                yield FramedEvent(read_header(data, ""), data, start or None, end or None)

    def close(self) -> None:
        """Free the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _xid(query: Query) -> str:
    """Return the name of an XA transaction as servers log it: `X'61',X'',1`."""
    found = _XID.fullmatch(query.sql)
    return found[1] if found else query.sql


def _savepoint(text: str) -> str:
    """Return the name in "`s`", "ROLLBACK TO `s`"; servers ignore the case of names."""
    found = _SAVEPOINT.match(text)
    return found[1].strip("`").replace("``", "`").casefold() if found else ""
