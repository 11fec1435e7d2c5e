"""A statement in the log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_WORDS: Final = re.compile(r"\s*(?:/\*.*?\*/\s*)*([A-Za-z_]+)(?:\s+([A-Za-z_]+))?", re.S)


@dataclass(frozen=True)
class Query:
    """A statement in the log, with the session's settings on which its meaning depends.

    `server_charset` is the default of a database created without one, "" if the log does not contain it.
    `database_charset` is what DEFAULT meant in the session, "" for the default of `database`.
    `error`: the number of the error that ended the statement, 0 if it succeeded; what it did before remains.
    """

    database: str
    sql: str
    ansi_quotes: bool = False
    backslash_escapes: bool = True
    server_charset: str = ""
    database_charset: str = ""
    error: int = 0

    @property
    def verb(self) -> tuple[str, str]:
        """The first two words, in capitals: `("XA", "START")`."""
        found = _WORDS.match(self.sql)
        return (found[1].upper(), (found[2] or "").upper()) if found else ("", "")
