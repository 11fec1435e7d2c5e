"""The sink's connection, which is replaced after an error; and what the server's errors mean."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pymysql

from connectors.mysql.server.session_settings import FIRST
from connectors.mysql.store.session import ASKED, assignment
from streamjobs.errors import ConfigError, RetriableError, SystemicError
from streamjobs.options.options import Options, Secret
from streamjobs.options.tls import tls_context

RETRIABLE = frozenset(
    {
        *(1020, 1205, 1213, 1412, 1614, 3572),  # other writers: deadlock, lock wait, changed table
        *(1040, 1203, 1226),  # too many connections
        *(1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1317, 1927, 1969, 3024, 3169),  # cut off
        *(1037, 1038, 1041, 1180, 1836, 1878),  # out of memory for now, commit refused, fail-over
        *(1047, 1792, 3100, 3101),  # a Galera or group replication node that is not ready
    }
)
"""Errors after which the same batch may succeed a moment later.

Source: https://dev.mysql.com/doc/mysql-errors/9.1/en/server-error-reference.html and
https://mariadb.com/docs/server/reference/error-codes/mariadb-error-code-reference
"""
POISON = {
    1048: "null",
    1264: "range", 1292: "range", 1367: "range", 1411: "range", 1416: "range", 1441: "range", 1690: "range",
    1265: "type", 1210: "type", 3140: "type", 3141: "type", 4025: "constraint", 3819: "constraint",
    1366: "encoding", 1300: "encoding", 3854: "encoding", 3988: "encoding", 1977: "encoding",
    1118: "size", 1153: "size", 1301: "size", 1406: "size", 1713: "size", 3013: "size", 3015: "size",
    3157: "size",
    1451: "constraint", 1452: "constraint", 1644: "constraint",
}  # fmt: skip
"""Errors that one row causes, whatever is sent with it -> the reason in its dead letter."""
_READ_ONLY = 1290
_NO_TABLE = 1146
_GONE, _NO_CODE = 0, -1
_FIRST_CLIENT_ERROR, _LAST_CLIENT_ERROR = 2000, 2999
_HOPELESS_CLIENT_ERRORS = frozenset({2026, 2054, 2059, 2061})
"""No TLS with this server, or no login method that both sides know."""
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
_URL = re.compile(r"(?:jdbc:)?(?:mysql|mariadb)://([^/:?#@\s]+)(?::(\d+))?/([^/?#\s]+)(?:\?(\S*))?")
_HARMLESS = frozenset(
    {
        *("rewritebatchedstatements", "useunicode", "characterencoding", "autoreconnect", "servertimezone"),
        *("usecursorfetch", "usessl", "zerodatetimebehavior", "allowmultiqueries", "tinyint1isbit"),
    }
)
"""JDBC parameters that people copy; we ignore them all."""


class RefusedBatchError(SystemicError):
    """The server refuses a statement because of one of its rows; `reason` goes into the dead letter.

    In `open`, where no row is involved, it is a plain SystemicError.
    """

    def __init__(self, reason: str, detail: str) -> None:
        self.reason = reason
        super().__init__(detail)


class NoTableError(SystemicError):
    """A statement names a table that does not exist."""


@dataclass(frozen=True)
class Target:
    """The server, database and name of a table."""

    host: str
    port: int
    database: str
    table: str

    def __str__(self) -> str:
        return f"{self.database}.{self.table} at {self.host}:{self.port}"


def target_of(options: Options, name: str) -> Target:
    """Read the target of the declared table `name` from its options. Raises ConfigError."""
    table = options.text_or_none("tableName") or name
    url, host, database = (options.text_or_none(each) for each in ("url", "host", "database"))
    if url is None:
        if host is None or database is None:
            message = f"table {name}: give 'url' as jdbc:mysql://host:port/database, or 'host' and 'database'"
            raise ConfigError(message)
        return Target(host, options.number("port"), database, table)
    match = _URL.fullmatch(url)
    if match is None or host is not None or database is not None:
        message = (
            f"table {name}: use 'url' alone, as jdbc:mysql://host:port/database, without host or database"
        )
        raise ConfigError(message)
    parameters = [pair.partition("=")[0] for pair in (match[4] or "").split("&") if pair]
    unknown = [each for each in parameters if each.lower() not in _HARMLESS]
    if unknown:
        message = f"table {name}: the url's parameter {unknown[0]} is unknown; set an option instead"
        raise ConfigError(message)
    return Target(match[1], int(match[2] or 3306), unquote(match[3]), table)


class SinkConnection:
    """One session with a server; it never sends a statement twice.

    Promise: the session is closed after an error that is not about the statement, so that a late answer is
    not mistaken for the answer to another statement; the next `connect` opens a new one.
    """

    def __init__(self, options: Options, target: Target, where: str) -> None:
        self._options = options
        self._target = target
        self._where = where
        self._connection: Any = None

    @property
    def is_open(self) -> bool:
        """Return whether a session is open."""
        return self._connection is not None

    def connect(self) -> None:
        """Open a new session. Raises RetriableError, SystemicError, ConfigError."""
        self.close()
        options, target = self._options, self._target
        password = options.secret("password") or Secret("")
        timeout_s = options.number("requestTimeout") / 1000
        with self._errors("connecting"):
            self._connection = pymysql.connect(
                host=target.host,
                port=target.port,
                user=options.text("userName"),
                password=password.reveal(),
                database=target.database,
                charset="utf8mb4",
                autocommit=False,
                local_infile=False,
                connect_timeout=max(0.1, options.number("connectTimeout") / 1000),
                read_timeout=timeout_s,
                write_timeout=timeout_s,
                ssl=self._tls(),
            )
        for statement in FIRST:
            self.run(statement, "connecting")
        names = [str(name).lower() for name, _ in self.run(ASKED, "connecting")]
        self.run(assignment(names, max(1, int(timeout_s * 0.8))), "connecting")

    def run(self, statement: str | bytes, what: str) -> Sequence[tuple[Any, ...]]:
        """Run one statement and return its rows.

        Raises: RefusedBatchError when a row is the cause; else as the contract of sinks says.
        """
        with self._errors(what), self._connection.cursor() as cursor:
            cursor.execute(statement)
            return tuple(cursor.fetchall())

    def commit(self, what: str) -> None:
        """Commit. Raises as `run`."""
        self.run("COMMIT", what)

    def rollback(self) -> None:
        """Roll back the open transaction; do nothing without a session."""
        if self._connection is not None:
            self.run("ROLLBACK", "rolling back")

    def close(self) -> None:
        """End the session; the server rolls back what is not committed."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(pymysql.err.MySQLError):  # closed before
                connection.close()

    def _tls(self) -> ssl.SSLContext | None:
        options = self._options
        if not options.flag("tls") and not options.flag("tlsInsecure"):
            return None
        return tls_context(options, self._where)

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        what = f"{self._where}: {what} ({self._target})"
        try:
            yield
        except pymysql.err.MySQLError as exc:
            code = exc.args[0] if exc.args and isinstance(exc.args[0], int) else _NO_CODE
            message = f"{what}: {exc.args[-1] if exc.args else exc} ({code})"
            if code in POISON:
                raise RefusedBatchError(POISON[code], message) from exc
            self.close()
            if code == _NO_TABLE:
                raise NoTableError(message) from exc
            raise (RetriableError if _is_retriable(code, message) else SystemicError)(message) from exc
        except OSError as exc:
            self.close()
            message = f"{what}: {exc}"
            raise RetriableError(message) from exc
        except RuntimeError as exc:  # pymysql lacks the package cryptography
            self.close()
            message = f"{what}: {exc}; with 'tls'='true' it is not needed"
            raise SystemicError(message) from exc


def _is_retriable(code: int, message: str) -> bool:
    if _UNTRUSTED in message or code in _HOPELESS_CLIENT_ERRORS:
        return False
    if code == _READ_ONLY:  # it became a replica: the next connection finds the new primary
        return "read-only" in message or "read_only" in message
    return code in RETRIABLE or _FIRST_CLIENT_ERROR <= code <= _LAST_CLIENT_ERROR or code == _GONE
