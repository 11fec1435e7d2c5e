"""Tables that a user may not read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from connectors.mysql.server.session import NoSuchTableError, Session, table_name
from streamjobs.changes.row_change import TableId
from streamjobs.errors import SystemicError

_DENIED = re.compile(r"\((1044|1142|1143)\)$")
"""Access denied to a database, a table, a column.

Source: https://mariadb.com/docs/server/reference/error-codes/mariadb-error-code-reference
"""


@dataclass(frozen=True)
class Denied:
    """A table of which `account` may not SELECT some or all columns; `reason` is the server's message."""

    table: TableId
    account: str
    reason: str

    @property
    def grant(self) -> str:
        """The statement that allows it."""
        return f"GRANT SELECT ON {table_name(self.table)} TO {self.account}"

    def __str__(self) -> str:
        return (
            f"{self.account} may not SELECT {self.table}, so no snapshot can be read: {self.reason}. "
            f'{self.grant}; or leave the table out: exclude = "{self.table}"'
        )


def read_denied(session: Session, tables: Iterable[TableId]) -> Iterator[Denied]:
    """Find the tables that the user may not read; tables that do not exist are not among them."""
    for table in tables:
        try:
            session.execute(f"SELECT * FROM {table_name(table)} LIMIT 0")
        except NoSuchTableError:
            continue
        except SystemicError as exc:
            if not _DENIED.search(str(exc)):
                raise
            yield Denied(table, account(session), str(exc).rpartition(": ")[2])


def account(session: Session) -> str:
    """Return the account that the server chose for the login, as GRANT writes it."""
    name, _, host = (session.text("SELECT CURRENT_USER()") or "").rpartition("@")
    return f"'{name}'@'{host}'"
