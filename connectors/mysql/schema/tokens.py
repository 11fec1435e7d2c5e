"""Splits MySQL's SQL into tokens, as far as statements that define tables need it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

from connectors.mysql.errors import RefusedError
from streamjobs.changes.row_change import TableId

_SPACE: Final = re.compile(r"(?:[ \t-\r]+|#[^\n]*|--(?=[\x00- ]|$)[^\n]*)+")
"""The servers' white space. Python knows more of it (a no-break space), but that may be in names."""
_COMMENT: Final = re.compile(r"/\*(?!M?!).*?\*/", re.S)
_COMMENT_OF_MARIADB: Final = re.compile(r"/\*M!.*?\*/", re.S)
_EXECUTABLE: Final = re.compile(r"/\*M?!(?:\d{5,6})?")
_WORD: Final = re.compile(r"[0-9A-Za-z_$\x80-\U0010ffff]+")
_NUMBER: Final = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![0-9A-Za-z_$\x80-\U0010ffff])")
_NO_BREAK_SPACE: Final = "\xa0"
_UNREAD: Final = re.compile("[\ud800-\udfff]")
"""The surrogates of bytes that are not characters (`charsets.decode_all`)."""
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a"}


class Kind(Enum):
    """The kinds of tokens. A NAME was quoted, so it is not a keyword."""

    WORD = "word"
    NAME = "name"
    STRING = "string"
    NUMBER = "number"
    MARK = "mark"


class Token(NamedTuple):
    """One token; `text` is without its quotes."""

    kind: Kind
    text: str

    def is_word(self, *words: str) -> bool:
        """Return whether the token is one of these keywords, given in capitals."""
        return self.kind is Kind.WORD and self.text.upper() in words

    def is_mark(self, mark: str) -> bool:
        """Return whether the token is this mark."""
        return self.kind is Kind.MARK and self.text == mark

    @property
    def is_name(self) -> bool:
        """Return whether the token can be a name."""
        return self.kind in (Kind.WORD, Kind.NAME)


def tokens(
    sql: str, *, ansi_quotes: bool = False, backslash_escapes: bool = True, mariadb: bool = True
) -> list[Token]:
    """Split a statement. The text in executable comments counts: /*!50100 … */, for MariaDB /*M! … */.

    The server blanks comments in its log that it did not execute. Raises: RefusedError for a quote without an
    end.
    """
    found, problem = tokens_until(
        sql, ansi_quotes=ansi_quotes, backslash_escapes=backslash_escapes, mariadb=mariadb
    )
    if problem:
        raise RefusedError(problem)
    return found


def tokens_until(
    sql: str, *, ansi_quotes: bool = False, backslash_escapes: bool = True, mariadb: bool = True
) -> tuple[list[Token], str]:
    """Split a statement as far as possible; also return what stopped it, "" if all was split."""
    found: list[Token] = []
    try:
        for token in _tokens(sql, ansi_quotes=ansi_quotes, escapes=backslash_escapes, mariadb=mariadb):
            found.append(token)
    except RefusedError as exc:
        return found, exc.detail
    return found, ""


def _tokens(sql: str, *, ansi_quotes: bool, escapes: bool, mariadb: bool) -> Iterator[Token]:
    at = 0
    names = '`"' if ansi_quotes else "`"
    while at < len(sql):
        if at_next := _skipped(sql, at, mariadb=mariadb):
            at = at_next
            continue
        character = sql[at]
        if character in "`'\"":
            is_name = character in names
            text, at = _quoted(sql, at, escapes=escapes and not is_name)
            yield Token(Kind.NAME if is_name else Kind.STRING, text)
        elif character == "." and _WORD.match(sql, at - 1) and (word := _WORD.match(sql, at + 1)):
            # a number right after a name and its dot is a name: db.2024, db.1e5
            yield Token(Kind.MARK, ".")
            yield Token(Kind.WORD, word[0])
            at = word.end()
        elif number := _NUMBER.match(sql, at):
            yield Token(Kind.NUMBER, number[0])
            at = number.end()
        elif word := _WORD.match(sql, at):
            yield Token(Kind.WORD, _plain(word[0]))
            at = word.end()
        else:
            yield Token(Kind.MARK, character)
            at += 1


def _skipped(sql: str, at: int, *, mariadb: bool) -> int:
    """Return the end of white space, comment or edge of an executable comment at `at`; 0: there is none."""
    skipped = _SPACE.match(sql, at) or _COMMENT.match(sql, at)
    if not skipped and not mariadb:
        skipped = _COMMENT_OF_MARIADB.match(sql, at)
    skipped = skipped or _EXECUTABLE.match(sql, at)
    if skipped:
        return skipped.end()
    return at + 2 if sql.startswith("*/", at) else 0


def _plain(word: str) -> str:
    if _NO_BREAK_SPACE in word:  # a space for a latin1 client, part of a name for a UTF-8 one
        message = f"a no-break space outside of quotes: {word!r}"
        raise RefusedError(message)
    return word


def _quoted(sql: str, start: int, *, escapes: bool) -> tuple[str, int]:
    quote, at, text = sql[start], start + 1, ""
    special = re.compile(rf"[^{re.escape(quote)}{re.escape(chr(92)) if escapes else ''}]*")
    while at < len(sql):
        plain = special.match(sql, at)
        if plain:
            text += plain[0]
            at = plain.end()
        if at >= len(sql):
            break
        if sql[at] == "\\" and escapes:
            follower = sql[at + 1 : at + 2]
            text += f"\\{follower}" if follower in "%_" and follower else _ESCAPES.get(follower, follower)
            at += 2
        elif sql.startswith(quote * 2, at):
            text += quote
            at += 2
        else:
            return text, at + 1
    message = f"a quote that does not end: {sql[start : start + 40]!r}"
    raise RefusedError(message)


class Cursor:
    """A walk over tokens."""

    def __init__(self, found: list[Token]) -> None:
        self._tokens = found
        self._at = 0

    @property
    def done(self) -> bool:
        """Return whether no token is left."""
        return self._at >= len(self._tokens)

    @property
    def rest(self) -> list[Token]:
        """All remaining tokens."""
        return self._tokens[self._at :]

    def peek(self, ahead: int = 0) -> Token:
        """Return the next token, or a later one, without moving; an empty mark at the end."""
        index = self._at + ahead
        return self._tokens[index] if index < len(self._tokens) else Token(Kind.MARK, "")

    def next(self) -> Token:
        """Return the next token and move past it."""
        token = self.peek()
        self._at += 1
        return token

    def skip(self, *words: str) -> bool:
        """Skip these keywords if all of them come next, in this order; return whether they did."""
        if all(self.peek(index).is_word(word) for index, word in enumerate(words)):
            self._at += len(words)
            return True
        return False

    def skip_any(self, *words: str) -> bool:
        """Skip the next token if it is one of these keywords; return whether it was."""
        if self.peek().is_word(*words):
            self._at += 1
            return True
        return False

    def skip_mark(self, mark: str) -> bool:
        """Skip the next token if it is this mark; return whether it was."""
        if self.peek().is_mark(mark):
            self._at += 1
            return True
        return False

    def name(self) -> str:
        """Read a name. Raises RefusedError if there is none."""
        token = self.next()
        if not token.is_name:
            message = f"a name was expected, not {token.text!r}"
            raise RefusedError(message)
        if _UNREAD.search(token.text):
            message = f"the name {token.text!r} has bytes that are not characters of its client's set"
            raise RefusedError(message)
        return token.text

    def qualified_name(self) -> str:
        """Read the name of a column, which may follow its table's and database's: a, t.a, d.t.a, .a.

        Raises: RefusedError if there is none.
        """
        parts = 1 if self.skip_mark(".") else 0
        name = self.name()
        while parts < 2 and self.skip_mark("."):
            name, parts = self.name(), parts + 1
        return name

    def group(self) -> list[Token]:
        """Read a parenthesis and return its contents. Raises RefusedError if there is none that ends."""
        if not self.skip_mark("("):
            message = f"( was expected, not {self.peek().text!r}"
            raise RefusedError(message)
        start, depth = self._at, 1
        while not self.done:
            token = self.next()
            depth += token.is_mark("(") - token.is_mark(")")
            if not depth:
                return self._tokens[start : self._at - 1]
        message = "a parenthesis that does not end"
        raise RefusedError(message)


def table_of(cursor: Cursor, database: str) -> TableId:
    """Read the name of a table: t, d.t or MariaDB's .t; `database` is the default.

    Raises: RefusedError if there is none.
    """
    if cursor.skip_mark("."):
        return TableId(database, cursor.name())
    first = cursor.name()
    return TableId(first, cursor.name()) if cursor.skip_mark(".") else TableId(database, first)


def split(found: list[Token]) -> list[list[Token]]:
    """Split at the commas outside parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in found:
        depth += token.is_mark("(") - token.is_mark(")")
        if not depth and token.is_mark(","):
            parts.append([])
        else:
            parts[-1].append(token)
    return [part for part in parts if part]
