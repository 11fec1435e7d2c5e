"""The fence in MySQL: a row beside the tables, locked and checked in each batch's own transaction."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from pymysql.converters import escape_string

from connectors.mysql.store.connection import SinkConnection
from streamjobs.errors import RetriableError, SystemicError
from streamjobs.sinks.contract import Attempt
from streamjobs.sinks.fence import Fence, fenced_off, take

FENCE_TABLE = "streamjobs_fences"
CREATE_FENCE_TABLE = (
    f"CREATE TABLE IF NOT EXISTS `{FENCE_TABLE}` (`target` VARBINARY(255) NOT NULL PRIMARY KEY, "
    "`state` MEDIUMBLOB NOT NULL) ENGINE=InnoDB COMMENT='who may write which table'"
)
_TRIES = 10


@dataclass(frozen=True)
class _Found:
    state: bytes | None
    fence: Fence | None


class MySqlFence:
    """Who may write; taken once by `open`, checked under a shared lock by every batch.

    A writer that was stopped in the middle of a transaction would hold its locks as long as its connection
    lives: `take` ends the connections of all that it replaces. It finds them by a lock in the server's memory
    (GET_LOCK) that each session holds under its token; that lock guards nothing.
    """

    def __init__(self, connection: SinkConnection, table: str, name: str) -> None:
        self._connection = connection
        self._table = table
        self._key = f"'{escape_string(name)}'"
        self.token = ""

    def take(self, attempt: Attempt) -> None:
        """Become the writer of this subtask. Raises SystemicError when another has taken over from us."""
        self._ensure_table()
        token = secrets.token_hex(8)
        for _ in range(_TRIES):
            before = self._read("")
            fence = take(before.fence, attempt, token, self._table)
            if before.fence is not None:
                self._end_sessions(before.fence.tokens() - fence.tokens())
            if self._replace(before, fence):
                self.token = token
                self.enter()
                return
        message = f"table {self._table}: others open it all the time"
        raise RetriableError(message)

    def enter(self) -> None:
        """Show that this session belongs to our token; to be called in every new session."""
        if self.token:
            self._connection.run(f"SELECT GET_LOCK('{_lock(self.token)}', 0)", "showing whose session it is")

    def check(self) -> None:
        """Hold the fence for the open transaction. Raises SystemicError when we are no writer any more."""
        fence = self._read(" LOCK IN SHARE MODE").fence
        if fence is None or self.token not in fence.tokens():
            self._connection.rollback()
            raise fenced_off(self._table, self.token, fence)

    def _ensure_table(self) -> None:
        what = "looking for the table of fences"
        found = self._connection.run(f"SHOW TABLES LIKE '{FENCE_TABLE.replace('_', chr(92) + '_')}'", what)
        if found:
            return
        try:
            self._connection.run(CREATE_FENCE_TABLE, "making the table of fences")
        except SystemicError as exc:
            message = f"{exc}; make it once: {CREATE_FENCE_TABLE}"
            raise SystemicError(message) from exc

    def _read(self, lock: str) -> _Found:
        rows = self._connection.run(
            f"SELECT `state` FROM `{FENCE_TABLE}` WHERE `target` = {self._key}{lock}", "reading the fence"
        )
        if not lock:
            self._connection.rollback()
        return _Found(rows[0][0], Fence.from_json(rows[0][0])) if rows else _Found(None, None)

    def _replace(self, before: _Found, fence: Fence) -> bool:
        connection, what = self._connection, "fencing off older writers"
        state = f"'{escape_string(fence.to_json())}'"
        if before.state is None:
            insert = f"INSERT IGNORE INTO `{FENCE_TABLE}` VALUES ({self._key}, {state})"
            connection.run(insert, what)
            connection.commit(what)
            return self._read("").state == fence.to_json().encode()
        now = self._read(" FOR UPDATE")
        if now.state != before.state:
            connection.rollback()
            return False
        connection.run(f"UPDATE `{FENCE_TABLE}` SET `state` = {state} WHERE `target` = {self._key}", what)
        connection.commit(what)
        return True

    def _end_sessions(self, tokens: frozenset[str]) -> None:
        for token in tokens:
            rows = self._connection.run(f"SELECT IS_USED_LOCK('{_lock(token)}')", "looking for older writers")
            if rows[0][0] is not None:
                try:
                    self._connection.run(f"KILL {int(rows[0][0])}", "ending the session of an older writer")
                except SystemicError:  # it has ended by itself, or is another user's: then its locks tell
                    self._connection.connect()


def _lock(token: str) -> str:
    return f"streamjobs.{token}"
