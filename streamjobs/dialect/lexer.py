"""Splits SQL text into tokens that lose nothing: joined again, they are the text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from streamjobs.errors import SqlError


class TokenKind(Enum):
    """The kind of a token. The parser ignores SPACE and COMMENT; a HINT is one whole `/*+ … */`."""

    SPACE = "space"
    COMMENT = "comment"
    HINT = "hint"
    WORD = "word"
    QUOTED = "quoted name"
    STRING = "string"
    NUMBER = "number"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Span:
    """A piece of a text: `text[start:end]`, counted in characters from 0."""

    start: int
    end: int

    def of(self, text: str) -> str:
        """Return the piece itself."""
        return text[self.start : self.end]


@dataclass(frozen=True)
class Token:
    """A piece of the text with its offset; `text` is the piece as written."""

    kind: TokenKind
    text: str
    start: int

    @property
    def end(self) -> int:
        """Return the offset after the last character."""
        return self.start + len(self.text)

    @property
    def span(self) -> Span:
        """Return the span of the token."""
        return Span(self.start, self.end)

    @property
    def is_name(self) -> bool:
        """Return whether it can be a name: a word, or a name in backticks."""
        return self.kind in (TokenKind.WORD, TokenKind.QUOTED)

    @property
    def name(self) -> str:
        """Return the name without its backticks; the text as written for any other token."""
        if self.kind is TokenKind.QUOTED:
            return self.text[1:-1].replace("``", "`")
        return self.text

    @property
    def value(self) -> str:
        """Return the content of a string literal; the text as written for any other token."""
        if self.kind is TokenKind.STRING:
            return self.text[1:-1].replace("''", "'")
        return self.text

    def is_word(self, *words: str) -> bool:
        """Return whether it is one of these upper-case keywords, in any case and not in backticks."""
        return self.kind is TokenKind.WORD and self.text.upper() in words

    def is_operator(self, *operators: str) -> bool:
        """Return whether it is one of these operators."""
        return self.kind is TokenKind.OPERATOR and self.text in operators


_TOKEN = re.compile(
    r"""
    (?P<SPACE>[ \t\r\n\f]+)
  | (?P<COMMENT>(?:--|//)[^\r\n]*|/\*(?!\+).*?\*/)
  | (?P<HINT>/\*\+.*?\*/)
  | (?P<STRING>'(?:[^']|'')*'(?!'))
  | (?P<QUOTED>`(?:[^`]|``)+`(?!`))
  | (?P<NUMBER>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
  | (?P<WORD>(?:[^\W\d]|\$)(?:\w|\$)*)
  | (?P<OPERATOR><>|!=|<=|>=|\|\||=>|->|::|:=|[-+*/%=<>(),.;\[\]{}?:@^|&~!\\#])
    """,
    re.VERBOSE | re.DOTALL,
)
# `//` starts a comment in Flink too: Calcite's Parser.jj, SINGLE_LINE_COMMENT.

_UNFINISHED = {
    "'": "this string has no closing quote; write a quote inside a string as ''",
    "`": "this name has no closing backtick",
    "/*": "this comment has no closing */",
    '"': "double quotes mean nothing here: names go in backticks, strings in single quotes",
}


def tokenize(text: str, path: str = "<sql>") -> list[Token]:
    """Split the whole text into tokens.

    Promise: `"".join(token.text for token in tokens) == text`, and each `start` is the token's offset.
    Raises SqlError at a string, name or comment that never ends, and at a character that SQL does not know.
    """
    return list(_scan(text, path))


def _scan(text: str, path: str) -> Iterator[Token]:
    offset = 0
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        unfinished = text.startswith("/*", offset) and (match is None or match.lastgroup == "OPERATOR")
        if match is None or match.lastgroup is None or unfinished:
            raise SqlError(_complaint(text, offset), text, offset, path)
        yield Token(TokenKind[match.lastgroup], match.group(), offset)
        offset = match.end()


def _complaint(text: str, offset: int) -> str:
    for start, message in _UNFINISHED.items():
        if text.startswith(start, offset):
            return message
    character = text[offset]
    name = unicodedata.name(character, "a control character")
    if character.isspace() or unicodedata.category(character) in ("Cf", "Cc"):
        return f"{name} (U+{ord(character):04X}) is no blank in SQL: delete it or type a blank"
    return f"unexpected character {character!r}"


def significant(tokens: list[Token]) -> list[Token]:
    """Return the tokens that have a meaning: no space, no comment, no hint."""
    skipped = (TokenKind.SPACE, TokenKind.COMMENT, TokenKind.HINT)
    return [token for token in tokens if token.kind not in skipped]


@dataclass(frozen=True)
class Edit:
    """A piece of a text and its replacement."""

    span: Span
    replacement: str


def apply_edits(text: str, edits: list[Edit]) -> str:
    """Make all the edits at once; every character outside of their spans is kept.

    Spans count in the text as given and must not overlap (else AssertionError).
    """
    pieces, end = [], 0
    for edit in sorted(edits, key=lambda each: (each.span.start, each.span.end)):
        if edit.span.start < end:
            message = f"two edits overlap at {edit.span.start}"
            raise AssertionError(message)
        pieces += [text[end : edit.span.start], edit.replacement]
        end = edit.span.end
    return "".join([*pieces, text[end:]])
