"""Splits a job's SQL file into statements and parses them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

from streamjobs.dialect import job_parameters
from streamjobs.dialect.cursor import Cursor
from streamjobs.dialect.ddl import create_function, create_table, create_view
from streamjobs.dialect.lexer import Span, Token, TokenKind, significant, tokenize
from streamjobs.dialect.nodes import (
    CreateView,
    IgnoredSetting,
    InsertInto,
    Name,
    OnConflict,
    Script,
    SetStatement,
    Statement,
)
from streamjobs.errors import SqlError, raise_together

LEGAL_STATEMENTS = (
    "SET, CREATE FUNCTION, CREATE TABLE, CREATE VIEW, INSERT INTO and BEGIN STATEMENT SET; … END;"
)
_TWO_WORD_STATEMENTS = (
    "CREATE",
    "DROP",
    "ALTER",
    "SHOW",
    "USE",
    "EXPLAIN",
    "BEGIN",
    "INSERT",
    "EXECUTE",
    "COMPILE",
)
_CREATE: dict[str, Callable[[Cursor, Token], Statement]] = {
    "FUNCTION": create_function,
    "TABLE": create_table,
    "VIEW": create_view,
}
OPTIONS_HINT = re.compile(r"\bOPTIONS\s*\(", re.IGNORECASE)
OPTIONS_REFUSAL = "OPTIONS hints are not supported: a table's options belong in its WITH clause"
_ON_CONFLICT: dict[str, OnConflict] = {"NOTHING": "NOTHING", "ERROR": "ERROR", "DEDUPLICATE": "DEDUPLICATE"}


def parse_script(text: str, path: str = "<sql>") -> Script:
    """Parse a whole file. `path` is for messages.

    Statement sets are flattened: their INSERTs are among the statements. Raises SqlError, with line and
    column, at the first statement that a job file cannot have.
    """
    tokens = tokenize(text, path)
    found = _Splitter(text, path, significant(tokens)).statements()
    statements = [_with_trailing_hints(statement, text, tokens) for statement in found]
    _check_hints(text, path, tokens, statements)
    return Script(text, path, tuple(tokens), _description(tokens), tuple(statements))


class _Splitter:
    def __init__(self, text: str, path: str, tokens: list[Token]) -> None:
        self._text = text
        self._path = path
        self._tokens = tokens
        self._index = 0
        self._errors: list[SqlError] = []

    def statements(self) -> list[Statement]:
        """Split and parse the file. Raises SqlError with the errors of all statements."""
        found: list[Statement] = []
        open_set: Token | None = None
        while self._index < len(self._tokens):
            first = self._tokens[self._index]
            if first.is_operator(";"):
                self._index += 1
            elif self._accept("BEGIN", "STATEMENT", "SET") or self._accept(
                "EXECUTE", "STATEMENT", "SET", "BEGIN"
            ):
                if open_set is not None:
                    self._fail("a statement set inside a statement set", first)
                open_set = first
            elif open_set is not None and self._accept("END"):
                open_set = None
            elif parameter := self._job_parameter():
                found += parameter
            else:
                cursor = Cursor(self._text, self._path, self._until_semicolon())
                if open_set is not None and not first.is_word("INSERT"):
                    self._fail(f"a statement set holds INSERT INTO and nothing else, not {first.text}", first)
                found += self._parsed(cursor)
        if open_set is not None:
            self._fail("this statement set has no END;", open_set)
        raise_together(self._errors)
        return _without_unused_defaults(found)

    def _parsed(self, cursor: Cursor) -> list[Statement]:
        """Parse one statement; its error is raised only after the other statements are parsed."""
        try:
            return _statement(cursor)
        except SqlError as exc:
            self._errors.append(exc)
            return []

    def _fail(self, message: str, token: Token) -> NoReturn:
        raise SqlError(message, self._text, token.start, self._path)

    def _accept(self, *words: str) -> bool:
        tokens = self._tokens[self._index : self._index + len(words)]
        if len(tokens) < len(words) or not all(map(Token.is_word, tokens, words)):
            return False
        self._index += len(words)
        return True

    def _until_semicolon(self) -> list[Token]:
        start = self._index
        while self._index < len(self._tokens) and not self._tokens[self._index].is_operator(";"):
            self._index += 1
        return self._tokens[start : self._index]

    def _job_parameter(self) -> list[Statement]:
        """Read a parameter such as `blink.miniBatch.size=5000`, which ends with its line; else return []."""
        key_end = self._index
        while key_end < len(self._tokens) and not self._tokens[key_end].is_operator("="):
            token = self._tokens[key_end]
            glued = key_end == self._index or token.start == self._tokens[key_end - 1].end
            part = token.kind in (TokenKind.WORD, TokenKind.NUMBER) or token.is_operator(".", "-")
            if not glued or not part:
                return []
            key_end += 1
        key = self._tokens[self._index : key_end]
        if key_end == len(self._tokens) or not any(token.text.startswith(".") for token in key):
            return []
        line_end = self._text.find("\n", self._tokens[key_end].start)
        stop = key_end + 1
        while stop < len(self._tokens) and not self._tokens[stop].is_operator(";"):
            if -1 < line_end < self._tokens[stop].start:
                break
            stop += 1
        cursor = Cursor(self._text, self._path, self._tokens[self._index : stop])
        self._index = stop
        return _settings(cursor)


def _statement(cursor: Cursor) -> list[Statement]:
    start = cursor.peek()
    if cursor.accept("SET"):
        return _settings(cursor, start)
    if cursor.accept("INSERT", "INTO"):
        return [_insert(cursor, start)]
    if cursor.comes("CREATE"):
        temporary = cursor.peek(1).is_word("TEMPORARY")
        what = cursor.peek(2 if temporary else 1)
        parse = _CREATE.get(what.text.upper()) if what.kind is TokenKind.WORD else None
        if parse is not None:
            while cursor.take() is not what:
                pass
            return [parse(cursor, start)]
    words = 2 if start.is_word(*_TWO_WORD_STATEMENTS) and cursor.peek(1).text else 1
    written = " ".join(cursor.peek(ahead).text.upper() for ahead in range(words))
    cursor.fail(f"{written} is not a statement of a job file; these are: {LEGAL_STATEMENTS}", start)


def _settings(cursor: Cursor, start: Token | None = None) -> list[Statement]:
    first = start or cursor.peek()
    if cursor.peek().kind is TokenKind.STRING:
        key_token = cursor.take()
        key, key_span = key_token.value, key_token.span
    else:
        key_start = cursor.peek()
        while not cursor.at_end and not cursor.peek().is_operator("="):
            cursor.take()
        key_span = Span(key_start.start, cursor.end)
        key = key_span.of(cursor.text).strip()
    if not key:
        cursor.expected("a setting, such as 'parallelism.default' = '2'")
    cursor.expect_operator("=")
    value = cursor.rest
    if not value:
        cursor.expected(f"the value of {key}")
    if value[0].kind is TokenKind.STRING and len(value) > 1:
        cursor.fail(f"unexpected {value[1].text}: the setting ends here, is a ; missing?", value[1])
    span = Span(first.start, value[-1].end)
    text = value[0].value if len(value) == 1 else Span(value[0].start, value[-1].end).of(cursor.text)
    try:
        translated = job_parameters.translate(key, text)
    except KeyError as exc:
        raise SqlError(exc.args[0], cursor.text, key_span.start, cursor.path) from None
    except ValueError as exc:
        cursor.fail(f"{key}: {exc}", value[0])
    if isinstance(translated, job_parameters.NoEffect):
        return [IgnoredSetting(key, text, translated.reason, key_span, span)]
    return [
        SetStatement(each.key, each.value, key, key_span, span, each.default) for each in translated
    ]  # fmt: skip


def _without_unused_defaults(statements: list[Statement]) -> list[Statement]:
    settings = [each for each in statements if isinstance(each, SetStatement)]
    given = {each.key for each in settings if not each.default}
    unused = {id(each) for each in settings if each.default and each.key in given}
    return [each for each in statements if id(each) not in unused]


def _insert(cursor: Cursor, start: Token) -> InsertInto:
    target = cursor.name("the table to write to")
    columns: tuple[Name, ...] = ()
    after = cursor.peek(1)
    if cursor.peek().is_operator("(") and not (
        after.is_word("SELECT", "WITH", "VALUES") or after.is_operator("(")
    ):
        columns = cursor.names("a column name")
    if cursor.comes("PARTITION"):
        cursor.fail("INSERT INTO … PARTITION is not supported: write the partition's columns in the query")
    query = cursor.rest
    on_conflict = None
    depth = 0
    for index, token in enumerate(query):
        depth += token.is_operator("(") - token.is_operator(")")
        if (
            depth == 0
            and token.is_word("ON")
            and query[index + 1 : index + 2]
            and query[index + 1].is_word("CONFLICT")
        ):
            on_conflict = _conflict_clause(cursor, query[index:])
            query = query[:index]
            break
    if not query:
        cursor.expected("a query")
    span = Span(query[0].start, query[-1].end)
    whole = Span(start.start, cursor.rest[-1].end)
    return InsertInto(
        target.text, columns, span.of(cursor.text), span, on_conflict, target.span, whole
    )  # fmt: skip


def _with_trailing_hints(statement: Statement, text: str, tokens: list[Token]) -> Statement:
    """Extend a query by the hints at its end: the parser skips hints, so it ends the query before them."""
    if not isinstance(statement, CreateView | InsertInto):
        return statement
    end = statement.query_span.end
    for token in tokens:
        if token.start >= statement.query_span.end:
            if token.kind not in (TokenKind.SPACE, TokenKind.COMMENT, TokenKind.HINT):
                break
            end = token.end if token.kind is TokenKind.HINT else end
    query = Span(statement.query_span.start, end)
    span = Span(statement.span.start, max(statement.span.end, end))
    return replace(statement, query_span=query, query=query.of(text), span=span)


def _check_hints(text: str, path: str, tokens: list[Token], statements: list[Statement]) -> None:
    queries = [each.query_span for each in statements if isinstance(each, CreateView | InsertInto)]
    for token in tokens:
        if token.kind is TokenKind.HINT and not any(each.start < token.start < each.end for each in queries):
            message = "a hint belongs in a query, after SELECT or a table's name"
            if OPTIONS_HINT.search(token.text):
                message = OPTIONS_REFUSAL
            raise SqlError(message, text, token.start, path)


def _conflict_clause(cursor: Cursor, clause: list[Token]) -> OnConflict:
    words = [token.text.upper() for token in clause]
    if words[:3] == ["ON", "CONFLICT", "DO"] and len(words) == 4 and words[3] in _ON_CONFLICT:
        return _ON_CONFLICT[words[3]]
    cursor.fail(
        "the clause reads ON CONFLICT DO NOTHING | ERROR | DEDUPLICATE and ends the INSERT", clause[0]
    )


def _description(tokens: list[Token]) -> str:
    lines: list[str] = []
    for token in tokens:
        if token.kind is TokenKind.COMMENT:
            lines += (line for line in _comment_lines(token.text) if line.strip("*-=#/ ") or not line)
        elif token.kind is not TokenKind.SPACE or (lines and token.text.count("\n") > 1):
            break
    return "\n".join(lines).strip()


def _comment_lines(comment: str) -> list[str]:
    if comment.startswith("/*"):
        return [line.strip().removeprefix("*").strip() for line in comment[2:-2].splitlines()]
    return [comment[2:].strip()]
