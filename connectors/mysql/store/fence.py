"""The fence in MySQL: a row in the same database, locked and checked in the transaction of each batch."""

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
    """Decides who may write: `open` takes it once, every batch checks it under a shared lock.

    A writer that is frozen inside a transaction holds its locks as long as its connection lives, so `take`
    ends the connections of all writers that it replaces. It finds them by a lock in the server's memory
    (GET_LOCK) that each session holds under its token; that lock protects nothing.
    """

    def __init__(self, connection: SinkConnection, table: str, name: str) -> None:
        self._connection = connection
        self._table = table
        self._key = f"'{escape_string(name)}'"
        self.token = ""

    def take(self, attempt: Attempt) -> None:
        """Become the writer of this subtask. Raises SystemicError when another writer has taken over."""
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
        message = f"another running job keeps taking over table {self._table}; stop one of them"
        raise RetriableError(message)

    def enter(self) -> None:
        """Mark this session with our token; must be called in every new session."""
        if self.token:
            self._connection.run(f"SELECT GET_LOCK('{_lock(self.token)}', 0)", "showing whose session it is")

    def check(self) -> None:
        """Hold the fence for the open transaction. Raises SystemicError when another is the writer now."""
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
            self._connection.run(CREATE_FENCE_TABLE, "creating the table of fences")
        except SystemicError as exc:
            message = f"{exc}; create it once: {CREATE_FENCE_TABLE}"
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
                except SystemicError:  # it has ended, or is another user's: then its locks stop us
                    self._connection.connect()


def _lock(token: str) -> str:
    return f"streamjobs.{token}"
