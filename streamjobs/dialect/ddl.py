"""Parses CREATE FUNCTION, CREATE TABLE and CREATE VIEW."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal, InvalidOperation

from streamjobs.dialect.cursor import Cursor
from streamjobs.dialect.lexer import Span, Token, TokenKind
from streamjobs.dialect.nodes import (
    Column,
    CreateFunction,
    CreateTable,
    CreateView,
    Name,
    Watermark,
    WithOption,
    WithOptions,
)
from streamjobs.dialect.types import take_type

_UNIT_MS = {"SECOND": 1000, "MINUTE": 60_000, "HOUR": 3_600_000, "DAY": 86_400_000}
_PYTHON_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def create_function(cursor: Cursor, start: Token) -> CreateFunction:
    """Parse what follows CREATE [TEMPORARY] FUNCTION."""
    cursor.accept("IF", "NOT", "EXISTS")
    name = cursor.name("the function's name")
    cursor.expect("AS")
    path = cursor.string("the Python path in quotes, such as 'udfs.row_change.parse'")
    if not _PYTHON_PATH.fullmatch(path.value):
        cursor.fail(f"{path.text} is no Python path: it reads 'module.attribute'", path)
    if cursor.accept("LANGUAGE") and not cursor.accept("PYTHON"):
        cursor.fail(f"functions are written in PYTHON, not {cursor.peek().text}")
    cursor.finish()
    return CreateFunction(name.text, path.value, name.span, path.span, Span(start.start, cursor.end))


def create_view(cursor: Cursor, start: Token) -> CreateView:
    """Parse what follows CREATE [TEMPORARY] VIEW."""
    cursor.accept("IF", "NOT", "EXISTS")
    name = cursor.name("the view's name")
    columns = cursor.names("a column name") if cursor.peek().is_operator("(") else ()
    if cursor.accept("COMMENT"):
        cursor.string("the comment in quotes")
    cursor.expect("AS")
    if cursor.at_end:
        cursor.expected("a query")
    span = Span(cursor.peek().start, cursor.rest[-1].end)
    return CreateView(name.text, columns, span.of(cursor.text), span, name.span, Span(start.start, span.end))


def create_table(cursor: Cursor, start: Token) -> CreateTable:
    """Parse what follows CREATE [TEMPORARY] TABLE."""
    cursor.accept("IF", "NOT", "EXISTS")
    name = cursor.name("the table's name")
    _refuse_derived(cursor, has_columns=False)
    if not cursor.peek().is_operator("("):
        cursor.expected("( and the columns")
    body = _TableBody(cursor)
    comment = cursor.string("the comment in quotes").value if cursor.accept("COMMENT") else ""
    if cursor.accept("PARTITIONED", "BY"):
        cursor.names("a column name")
    _refuse_derived(cursor)
    if not cursor.comes("WITH"):
        cursor.expected("WITH (…)")
    options, options_span = _with_options(cursor)
    _refuse_derived(cursor)
    cursor.finish()
    if body.period is not None:
        cursor.fail(_period_refusal(options), body.period)
    columns = tuple(
        replace(column, nullable=column.nullable and column.name not in body.primary_key)
        for column in body.columns
    )
    return CreateTable(
        name.text, columns, body.primary_key, body.watermark, options, comment,
        Span(start.start, cursor.end), name.span, options_span,
    )  # fmt: skip


def _refuse_derived(cursor: Cursor, *, has_columns: bool = True) -> None:
    if cursor.comes("LIKE"):
        cursor.fail("CREATE TABLE … LIKE is not supported: write all columns and options of the table")
    if cursor.comes("AS") or (not has_columns and cursor.comes("WITH")):
        cursor.fail("CREATE TABLE … AS is not supported: declare the table, and INSERT INTO it")


def _period_refusal(options: WithOptions) -> str:
    """Return what to write instead of Blink's mark of a table that is joined as of a time."""
    if options.get("type", "").lower() == "metaq":
        return "PERIOD FOR SYSTEM_TIME is Blink's: declare the table with 'ingest'='versioned'"
    return (
        "PERIOD FOR SYSTEM_TIME is Blink's: leave it out. A table in a store is looked up without it: "
        "JOIN … FOR SYSTEM_TIME AS OF PROCTIME()"
    )


class _TableBody:
    """The brackets of CREATE TABLE with columns, primary key and watermark."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self.columns: list[Column] = []
        self._key: tuple[Name, ...] = ()
        self.watermark: Watermark | None = None
        self.period: Token | None = None
        cursor.expect_operator("(")
        self._element()
        while cursor.accept_operator(","):
            self._element()
        cursor.expect_operator(")")
        self._check_names()

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Return the names of the key columns, in key order."""
        return tuple(name.text for name in self._key)

    def _element(self) -> None:
        cursor = self._cursor
        if cursor.comes("CONSTRAINT") or cursor.comes("PRIMARY", "KEY"):
            if cursor.accept("CONSTRAINT"):
                cursor.name("the constraint's name")
            first = cursor.peek()
            cursor.expect("PRIMARY", "KEY")
            self._set_key(cursor.names("a key column"), first)
            cursor.accept("NOT", "ENFORCED")
        elif cursor.comes("WATERMARK") and not self._is_column_type(cursor.peek(1)):
            self._watermark()
        elif cursor.comes("PERIOD", "FOR"):
            self.period = cursor.take()
            cursor.expect("FOR", "SYSTEM_TIME")
        else:
            self._column()

    @staticmethod
    def _is_column_type(token: Token) -> bool:
        return token.is_word("TIMESTAMP", "TIMESTAMP_LTZ", "BIGINT", "VARCHAR", "STRING", "INT")

    def _set_key(self, key: tuple[Name, ...], first: Token) -> None:
        if self._key:
            self._cursor.fail("a table has one primary key", first)
        self._key = key

    def _watermark(self) -> None:
        cursor, start = self._cursor, self._cursor.take()
        if self.watermark is not None:
            cursor.fail("a table has one watermark", start)
        if not cursor.comes("FOR"):
            cursor.name("FOR")  # Blink names its watermarks
        cursor.expect("FOR")
        column = cursor.name("the rowtime column")
        cursor.expect("AS")
        before = cursor.rest
        span = cursor.expression()
        delay = _delay_ms([token for token in before if token.end <= span.end], column.text)
        self.watermark = Watermark(
            column.text, span.of(cursor.text), delay, Span(start.start, span.end)
        )  # fmt: skip

    def _column(self) -> None:
        cursor = self._cursor
        name = cursor.name("a column name")
        type_, nullable, virtual = "", True, False
        metadata_from: str | None = None
        computed: str | None = None
        if cursor.accept("AS"):
            computed = cursor.expression("COMMENT").of(cursor.text)
        else:
            type_ = take_type(cursor)
            nullable = not cursor.accept("NOT", "NULL")
            cursor.accept("NULL")
            if cursor.accept("METADATA"):
                from_ = cursor.accept("FROM")
                metadata_from = cursor.string("the metadata key in quotes").value if from_ else name.text
                virtual = cursor.accept("VIRTUAL")
            first = cursor.peek()
            if cursor.accept("PRIMARY", "KEY"):
                cursor.accept("NOT", "ENFORCED")
                self._set_key((name,), first)
        comment = cursor.string("the comment in quotes").value if cursor.accept("COMMENT") else ""
        self.columns.append(
            Column(name.text, type_, nullable, metadata_from, virtual, computed, comment,
                   Span(name.span.start, cursor.end), name.span)
        )  # fmt: skip

    def _check_names(self) -> None:
        cursor, seen = self._cursor, set[str]()
        for column in self.columns:
            token = Token(TokenKind.WORD, column.name, column.name_span.start)
            if column.name in seen:
                cursor.fail(f"column {column.name} is declared twice", token)
            seen.add(column.name)
        for name in self._key:
            if name.text not in seen:
                token = Token(TokenKind.WORD, name.text, name.span.start)
                cursor.fail(f"the primary key names {name.text}, which is no column of the table", token)
        if self.watermark is not None and self.watermark.column not in seen:
            token = Token(TokenKind.WORD, "", self.watermark.span.start)
            cursor.fail(
                f"the watermark is for {self.watermark.column}, which is no column of the table", token
            )


def _delay_ms(tokens: list[Token], column: str) -> int | None:
    if not tokens:
        return None
    texts = [token.text.upper() for token in tokens]
    if tokens[0].name == column and len(tokens) == 1:
        return 0
    if tokens[0].name == column and texts[1:3] == ["-", "INTERVAL"] and len(tokens) == 5:
        return _interval_ms(tokens[3].value, texts[4])
    if texts[:2] == ["WITHOFFSET", "("] and len(tokens) == 6 and tokens[2].name == column:
        return int(texts[4]) if texts[4].isdigit() else None
    return None


def _interval_ms(amount: str, unit: str) -> int | None:
    try:
        delay = Decimal(amount) * _UNIT_MS.get(unit, _UNIT_MS.get(unit.removesuffix("S"), -1))
    except InvalidOperation:
        return None
    return int(delay) if delay >= 0 and delay == delay.to_integral_value() else None


def _with_options(cursor: Cursor) -> tuple[WithOptions, Span]:
    start = cursor.peek().start
    cursor.expect("WITH")
    cursor.expect_operator("(")
    entries: list[WithOption] = []
    while not cursor.accept_operator(")"):
        if entries:
            cursor.expect_operator(",")
        first = cursor.peek()
        entry = _with_option(cursor)
        if any(entry.key.lower() == other.key.lower() for other in entries):
            cursor.fail(f"option {entry.key} is given twice", first)
        entries.append(entry)
    return WithOptions(tuple(entries)), Span(start, cursor.end)


def _with_option(cursor: Cursor) -> WithOption:
    first = cursor.peek()
    if first.kind is TokenKind.STRING:
        key, key_span = cursor.take().value, first.span
    elif first.is_name:
        cursor.take()
        while not cursor.at_end and cursor.peek().start == cursor.end and not cursor.peek().is_operator("="):
            if not (
                cursor.peek().is_operator(".", "-")
                or cursor.peek().kind in (TokenKind.WORD, TokenKind.NUMBER)
            ):
                break
            cursor.take()
        key_span = Span(first.start, cursor.end)
        key = first.name if key_span == first.span else key_span.of(cursor.text)
    else:
        cursor.expected("an option, such as 'topic' = 'clicks'")
    cursor.expect_operator("=")
    value = cursor.string(f"the value of {key} in single quotes")
    return WithOption(key, value.value, key_span, value.span)
