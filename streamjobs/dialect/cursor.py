"""Reads the tokens of one statement that have a meaning; its errors name what was expected."""

from __future__ import annotations

from typing import NoReturn

from streamjobs.dialect.lexer import Span, Token, TokenKind
from streamjobs.dialect.nodes import Name
from streamjobs.errors import SqlError

_OPEN, _CLOSE = ("(", "[", "{"), (")", "]", "}")


class Cursor:
    """Walks over tokens that have a meaning (no space, comment or hint)."""

    def __init__(self, text: str, path: str, tokens: list[Token]) -> None:
        self.text = text
        self.path = path
        self._tokens = tokens
        self._index = 0

    @property
    def at_end(self) -> bool:
        """Return whether every token has been taken."""
        return self._index >= len(self._tokens)

    @property
    def end(self) -> int:
        """Return the end of the last taken token in the text; 0 if none was taken."""
        return self._tokens[self._index - 1].end if self._index else 0

    @property
    def rest(self) -> list[Token]:
        """Return the tokens not yet taken."""
        return self._tokens[self._index :]

    def peek(self, ahead: int = 0) -> Token:
        """Return the next token without taking it; an empty operator after the end."""
        if self._index + ahead < len(self._tokens):
            return self._tokens[self._index + ahead]
        return Token(TokenKind.OPERATOR, "", self._tokens[-1].end if self._tokens else 0)

    def take(self) -> Token:
        """Take the next token. Raises SqlError at the end."""
        if self.at_end:
            self.fail("the statement ends too early")
        self._index += 1
        return self._tokens[self._index - 1]

    def fail(self, message: str, token: Token | None = None) -> NoReturn:
        """Raise SqlError at the token, by default the next one."""
        raise SqlError(message, self.text, (token or self.peek()).start, self.path)

    def expected(self, what: str) -> NoReturn:
        """Raise SqlError that names what was expected and what was found."""
        there = f"not {self.peek().text}" if not self.at_end else "but the statement ends"
        self.fail(f"expected {what}, {there}")

    def comes(self, *words: str) -> bool:
        """Return whether these keywords come next, in this order."""
        return all(self.peek(ahead).is_word(word) for ahead, word in enumerate(words))

    def accept(self, *words: str) -> bool:
        """Take these keywords if all of them come next."""
        if not self.comes(*words):
            return False
        self._index += len(words)
        return True

    def expect(self, *words: str) -> None:
        """Take these keywords. Raises SqlError if others come."""
        for word in words:
            if not self.accept(word):
                self.expected(word)

    def accept_operator(self, operator: str) -> bool:
        """Take the operator if it comes next."""
        if not self.peek().is_operator(operator):
            return False
        self._index += 1
        return True

    def expect_operator(self, operator: str) -> None:
        """Take the operator. Raises SqlError if something else comes."""
        if not self.accept_operator(operator):
            self.expected(operator)

    def name(self, what: str) -> Name:
        """Take a simple name. Raises SqlError, also for a name with dots."""
        if not self.peek().is_name:
            self.expected(what)
        token = self.take()
        if self.peek().is_operator("."):
            self.fail(f"{what} is one simple name, without dots: a job declares all its tables itself")
        return Name(token.name, token.span)

    def names(self, what: str) -> tuple[Name, ...]:
        """Take `(name, name, …)`."""
        self.expect_operator("(")
        names = [self.name(what)]
        while self.accept_operator(","):
            names.append(self.name(what))
        self.expect_operator(")")
        return tuple(names)

    def string(self, what: str) -> Token:
        """Take a string literal. Raises SqlError if something else comes."""
        if self.peek().kind is not TokenKind.STRING:
            self.expected(what)
        return self.take()

    def expression(self, *until: str) -> Span:
        """Take an expression: all up to one of these keywords, or a comma or bracket outside of it."""
        depth, start = 0, self.peek()
        while not self.at_end:
            token = self.peek()
            if depth == 0 and (token.is_operator(",", *_CLOSE) or token.is_word(*until)):
                break
            depth += token.is_operator(*_OPEN) - token.is_operator(*_CLOSE)
            self._index += 1
        if self.peek() is start or self.end <= start.start:
            self.expected("an expression")
        return Span(start.start, self.end)

    def finish(self) -> None:
        """Raise SqlError unless every token has been taken."""
        if not self.at_end:
            self.fail(f"unexpected {self.peek().text}: the statement ends here, is a ; missing?")
