"""What reading a binlog raises.

    SystemicError
    └── BinlogError                     these bytes are not a binlog that can be read on: stop, never skip
        ├── RefusedError                it is a legal binlog that uses something that we refuse, by name
        │   └── SchemaMissingError      the log does not name the columns, and no schema is known
        └── PositionLostError           the server no longer has the log from that position
    RetriableError
    ├── ConnectionLostError             the server went away: connect again at the last commit
    └── BehindError                     another server has not yet what was read: wait, or read another one

A value that cannot be decoded is not an exception but a `BadRow` (connectors/mysql/events.py): poison is a
value.
"""

from __future__ import annotations

from streamjobs.errors import RetriableError, SystemicError


class BinlogError(SystemicError):
    """Bytes that are no binlog, or a damaged one; `place` is `file:offset` of the event."""

    def __init__(self, detail: str, place: str = "") -> None:
        self.detail = detail
        self.place = place
        super().__init__(f"{place}: {detail}" if place else detail)

    def at(self, place: str) -> BinlogError:
        """The same error with its place, unless it has one."""
        return self if self.place else type(self)(self.detail, place)


class RefusedError(BinlogError):
    """A legal binlog that uses something that is refused; the message names it and what to change."""


class SchemaMissingError(RefusedError):
    """The log does not hold the names and types of a table's columns, and no schema of it is known."""


class PositionLostError(BinlogError):
    """The server has purged the log of that position, or never had it."""


class ConnectionLostError(RetriableError):
    """The server closed the stream or fell silent; read on from the last commit."""


class BehindError(RetriableError):
    """A server that takes over has not all transactions that were read from the one before."""
