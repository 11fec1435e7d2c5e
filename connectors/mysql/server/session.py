"""A logged-in connection to a server, and the only module that turns pymysql's errors into ours."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any

import pymysql
import pymysql.cursors
from pymysql.constants import CR

from connectors.mysql.server.session_settings import FIRST, READING, asked, assignment
from streamjobs.changes.row_change import TableId
from streamjobs.errors import ConfigError, RetriableError, StreamjobsError, SystemicError
from streamjobs.options.options import Secret

TextRow = tuple[bytes | None, ...]
"""A row in the text protocol: each value's bytes in utf8mb4, None for NULL."""

_TRANSIENT = frozenset({1040, 1053, 1152, 1158, 1159, 1160, 1161, 1205, 1213, 1317, 1412, 1927, 1969, 3024})
"""Server errors that the same statement may survive: too many connections, shutdown, network, lock waits,
deadlock, interruption, a table changed since the view was opened, a killed connection.

Source: https://mariadb.com/docs/server/reference/error-codes/mariadb-error-code-reference
"""
_NO_TABLE = frozenset({1049, 1146})
_CLIENT_ERRORS = 2000


class NoSuchTableError(SystemicError):
    """The server does not have the table: it would show it to this user."""


@dataclass(frozen=True)
class Login:
    """Where a server is and how to log in; TLS checks certificate and host name.

    `ca_file` None: the system's authorities. `check_host` False: the authority's signature is enough. The
    certificates that MySQL makes for itself need this: they name no host.
    """

    host: str
    port: int
    user: str
    password: Secret
    tls: bool = True
    ca_file: str | None = None
    check_host: bool = True

    def __str__(self) -> str:
        return f"{self.user}@{self.host}:{self.port}"

    def tls_context(self) -> ssl.SSLContext | None:
        """Return the context for pymysql's `ssl`. Raises ConfigError when `ca_file` cannot be read."""
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as exc:
            message = f"cannot read the certificate authorities in {self.ca_file}: {exc}"
            raise ConfigError(message) from exc
        context.check_hostname = self.check_host
        return context


class Session:
    """One connection: times are UTC, texts utf8mb4, values are the server's text. One thread at a time.

    Raises: RetriableError, SystemicError (NoSuchTableError) from every method; ConfigError when such a login
    can never succeed.
    """

    def __init__(self, login: Login, *, timeout_s: float = 60.0) -> None:
        self.login = login
        with mysql_errors(f"connecting to {login}"), login_errors(f"connecting to {login}"):
            self.connection: Any = pymysql.connect(
                host=login.host,
                port=login.port,
                user=login.user,
                password=login.password.reveal(),
                ssl=login.tls_context(),
                ssl_disabled=not login.tls,
                charset="utf8mb4",
                use_unicode=False,
                autocommit=True,
                local_infile=False,
                connect_timeout=int(min(timeout_s, 30)),
                read_timeout=timeout_s,
                write_timeout=timeout_s,
            )
            self.connection.decoders = {}
        try:
            for statement in FIRST:
                self.execute(statement)
            names = [(name or b"").decode().lower() for name, _ in self.rows(asked(READING))]
            self.execute(assignment(READING, names))
        except BaseException:
            self.close()
            raise

    @cached_property
    def version(self) -> str:
        """The version that the server reports: `10.11.19-MariaDB-log`, `8.4.3`."""
        return str(self.text("SELECT VERSION()"))

    @property
    def version_numbers(self) -> tuple[int, int]:
        """The first two numbers of the version: `(10, 11)`."""
        major, minor = self.version.split("-")[0].split(".")[:2]
        return int(major), int(minor)

    @property
    def is_mariadb(self) -> bool:
        """Return whether the server is MariaDB."""
        return "mariadb" in self.version.lower()

    def execute(self, sql: str) -> None:
        """Run a statement; its rows, if any, are dropped."""
        self.rows(sql)

    def rows(self, sql: str) -> Sequence[TextRow]:
        """Run a query and return all of its rows."""
        with mysql_errors(f"{self.login}: {sql[:200]}"), self.connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() or ()

    def batches(self, sql: str, size: int) -> Iterator[Sequence[TextRow]]:
        """Run a query and yield its rows in batches as they arrive; read to the end, or close the session."""
        with mysql_errors(f"{self.login}: {sql[:200]}"):
            cursor = self.connection.cursor(pymysql.cursors.SSCursor)
            cursor.execute(sql)
            while batch := cursor.fetchmany(size):
                yield batch
            cursor.close()

    def named(self, sql: str) -> list[dict[str, str]]:
        """Run a query of few rows and return each by column name, NULL as an empty text."""
        with mysql_errors(f"{self.login}: {sql[:200]}"), self.connection.cursor() as cursor:
            cursor.execute(sql)
            names = [column[0] for column in cursor.description]
            return [
                {
                    name: (value or b"").decode("utf-8", "replace")
                    for name, value in zip(names, row, strict=True)
                }
                for row in cursor.fetchall()
            ]

    def text(self, sql: str) -> str | None:
        """Return the first value of the first row as text; None if it is NULL or there is no row."""
        rows = self.rows(sql)
        value = rows[0][0] if rows else None
        return None if value is None else value.decode()

    def variable(self, name: str) -> str | None:
        """Return a server variable, None when the server has none of that name."""
        if not name.isidentifier():
            message = f"{name!r} is not the name of a server variable"
            raise AssertionError(message)
        rows = self.rows(f"SHOW GLOBAL VARIABLES LIKE '{name}'")  # a literal with a charset is an error here
        return (rows[0][1] or b"").decode() if rows else None

    def close(self) -> None:
        """Close the connection, also in the middle of a result."""
        if self.connection.open:
            self.connection._force_close()  # noqa: SLF001 (close() would read the rest of a result first)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def error_of(exc: Exception, what: str) -> StreamjobsError:
    """Return our error for an error of pymysql; `what` says what failed and where."""
    code = exc.args[0] if exc.args and isinstance(exc.args[0], int) else 0
    detail = exc.args[1] if len(exc.args) > 1 else str(exc)
    text = f"{what}: {detail} ({code})" if code else f"{what}: {exc}"
    lost = isinstance(exc, (pymysql.err.InterfaceError, OSError)) or code >= _CLIENT_ERRORS > code - 1000
    if lost or code in _TRANSIENT:
        return RetriableError(text)
    return NoSuchTableError(text) if code in _NO_TABLE else SystemicError(text)


@contextmanager
def mysql_errors(what: str) -> Iterator[None]:
    """Turn the errors that pymysql raises inside into ours."""
    try:
        yield
    except (pymysql.err.Error, OSError) as exc:
        raise error_of(exc, what) from exc


@contextmanager
def login_errors(what: str) -> Iterator[None]:
    """Raise ConfigError for failures that a retry cannot cure: TLS, and how passwords are sent."""
    try:
        yield
    except RuntimeError as exc:
        if "cryptography" not in str(exc):
            raise
        message = (
            f"{what}: the server accepts this password (caching_sha2_password) only over TLS, or encrypted "
            "by the Python package `cryptography`, which is not installed. Use TLS"
        )
        raise ConfigError(message) from exc
    except pymysql.err.OperationalError as exc:
        refused = getattr(exc, "original_exception", None)
        if isinstance(refused, ssl.SSLCertVerificationError):
            message = (
                f"{what}: its certificate is not accepted: {refused.verify_message}. Name the authority that "
                "signed it (tls_ca_file). Set tls = verify_ca for a certificate that names no host, such as "
                "one that MySQL made itself"
            )
            raise ConfigError(message) from exc
        if exc.args[:1] == (CR.CR_SSL_CONNECTION_ERROR,):
            message = f"{what}: the server offers no TLS. Give it a certificate, or set tls = off"
            raise ConfigError(message) from exc
        raise


def quoted(name: str) -> str:
    """Quote an identifier, such as a table or column name."""
    return "`" + name.replace("`", "``") + "`"


def table_name(table: TableId) -> str:
    """Return a table's full name for SQL."""
    return f"{quoted(table.database)}.{quoted(table.table)}"


def literal(text: str) -> str:
    """Return a text as a literal that means the same in every mode and charset."""
    return f"_utf8mb4 x'{text.encode().hex()}'" if text else "''"
