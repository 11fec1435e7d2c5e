"""The errors that reading a binlog raises.

    SystemicError
    └── BinlogError                     reading cannot continue on these bytes: stop, never skip
        ├── RefusedError                a legal binlog uses something that we refuse; the text names it
        │   └── SchemaMissingError      the log has no column names, and no schema is known
        └── PositionLostError           the server no longer has the log from that position on
    RetriableError
    ├── ConnectionLostError             the connection broke: connect again at the last commit
    └── BehindError                     a server lacks transactions that were read: wait, or use another

A value that cannot be decoded is no exception: it becomes a `BadRow` (connectors/mysql/events.py).
"""

from __future__ import annotations

from streamjobs.errors import RetriableError, SystemicError


class BinlogError(SystemicError):
    """Bytes that are not a binlog, or are damaged; `place` is `file:offset` of the event."""

    def __init__(self, detail: str, place: str = "") -> None:
        self.detail = detail
        self.place = place
        super().__init__(f"{place}: {detail}" if place else detail)

    def at(self, place: str) -> BinlogError:
        """Return the same error with this position, unless it already has one."""
        return self if self.place else type(self)(self.detail, place)


class RefusedError(BinlogError):
    """A legal binlog uses something that is refused; the message names it and what to change."""


class SchemaMissingError(RefusedError):
    """The log lacks the names and types of a table's columns, and no schema of the table is known."""


class PositionLostError(BinlogError):
    """The server has purged the log at that position, or never had it."""


class ConnectionLostError(RetriableError):
    """The server closed the stream or stopped sending; continue from the last commit."""


class BehindError(RetriableError):
    """A server that takes over lacks transactions that were read from the server before it."""
