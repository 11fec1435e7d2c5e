"""A statement as it stands in the log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_WORDS: Final = re.compile(r"\s*(?:/\*.*?\*/\s*)*([A-Za-z_]+)(?:\s+([A-Za-z_]+))?", re.S)


@dataclass(frozen=True)
class Query:
    """A statement in the log, with the session's settings that its reading depends on.

    `server_charset` is what a database gets that is created without one, "" when the log does not tell.
    `database_charset` is what DEFAULT stood for in the session, "" when it is the default of `database`.
    `error`: the number of the error with which it ended, 0 when it was done; what it did before is in force.
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
