"""Reads the options of tables: the default character set, SEQUENCE, and all others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from connectors.mysql.errors import RefusedError
from connectors.mysql.schema.columns import charset_of
from connectors.mysql.schema.tokens import Cursor, Kind, Token

_WITH_VALUE: Final = frozenset(
    {
        "ENGINE", "TYPE", "AUTO_INCREMENT", "AVG_ROW_LENGTH", "CHECKSUM", "TABLE_CHECKSUM", "COMMENT",
        "COMPRESSION", "CONNECTION", "DELAY_KEY_WRITE", "ENCRYPTION", "ENGINE_ATTRIBUTE",
        "SECONDARY_ENGINE_ATTRIBUTE", "SECONDARY_ENGINE", "INSERT_METHOD", "KEY_BLOCK_SIZE", "MAX_ROWS",
        "MIN_ROWS", "PACK_KEYS", "PAGE_CHECKSUM", "PASSWORD", "ROW_FORMAT", "STATS_AUTO_RECALC",
        "STATS_PERSISTENT", "STATS_SAMPLE_PAGES", "TRANSACTIONAL", "AUTOEXTEND_SIZE", "TABLESPACE", "STORAGE",
        "NODEGROUP",
    }
)  # fmt: skip
DEFAULT: Final = "default"


@dataclass(frozen=True)
class TableOptions:
    """Values of table options. `charset` and `collation`: "" if absent, `DEFAULT` for the database's.

    `sequence`: whether it is a MariaDB sequence; None: absent.
    """

    charset: str = ""
    collation: str = ""
    sequence: bool | None = None

    @property
    def name_charset(self) -> bool:
        """Return whether the options name a character set, directly or by a collation."""
        return bool(self.charset or self.collation)

    def resolved(self, context: str, default: str) -> str:
        """Return the set's name: `context` applies if the options name none, `default` is the database's.

        Returns "" if it is not known. Raises RefusedError for a set that does not exist.
        """
        if self.charset == DEFAULT:
            return charset_of("", self.collation, default)
        return charset_of(self.charset, self.collation, context)


def read_option(cursor: Cursor, found: TableOptions) -> TableOptions | None:
    """Read one option of a table, with its value; return None and do not move if none comes next.

    Raises: RefusedError for a value that is not understood.
    """
    if (charset := read_charset(cursor, found)) is not None:
        return charset
    if cursor.skip("START", "TRANSACTION"):  # MySQL: in the CREATE into which it turns a CREATE … SELECT
        return found
    if cursor.skip("DATA", "DIRECTORY") or cursor.skip("INDEX", "DIRECTORY"):
        _value(cursor)
        return found
    if cursor.skip_any("UNION"):
        cursor.skip_mark("=")
        cursor.group()
        return found
    if cursor.skip_any("SEQUENCE"):
        return replace(found, sequence=_value(cursor).text not in ("0", "DEFAULT"))
    if cursor.peek().is_word(*_WITH_VALUE):
        cursor.next()
        _value(cursor)
        return found
    if cursor.peek().is_name and cursor.peek(1).is_mark("="):  # MariaDB: options of engines
        cursor.next()
        _value(cursor)
        return found
    return None


def read_charset(cursor: Cursor, found: TableOptions) -> TableOptions | None:
    """Read `[DEFAULT] CHARACTER SET x` or `[DEFAULT] COLLATE y`; for others return None and do not move."""
    ahead = 1 if cursor.peek().is_word("DEFAULT") else 0
    first, second = cursor.peek(ahead), cursor.peek(ahead + 1)
    is_set = first.is_word("CHARSET") or (first.is_word("CHARACTER", "CHAR") and second.is_word("SET"))
    if not is_set and not first.is_word("COLLATE"):
        return None
    cursor.skip_any("DEFAULT")
    cursor.next()
    cursor.skip_any("SET")
    value = _value(cursor).text.lower()
    return replace(found, charset=value) if is_set else replace(found, collation=value)


def _value(cursor: Cursor) -> Token:
    cursor.skip_mark("=")
    token = cursor.next()
    if token.kind is Kind.MARK:
        message = f"a table option with the value {token.text!r}"
        raise RefusedError(message)
    return token


def read_options(cursor: Cursor) -> TableOptions:
    """Read all options, with or without commas, up to the first non-option. Raises RefusedError."""
    found = TableOptions()
    while True:
        cursor.skip_mark(",")
        after = read_option(cursor, found)
        if after is None:
            return found
        found = after
