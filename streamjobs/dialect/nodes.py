"""The parsed statements of a job's SQL file: frozen, each with its span of the text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from streamjobs.dialect.lexer import Span, Token
from streamjobs.errors import SqlError

OnConflict = Literal["NOTHING", "ERROR", "DEDUPLICATE"]


@dataclass(frozen=True)
class Name:
    """A name as the file has it, without backticks, and its span."""

    text: str
    span: Span


@dataclass(frozen=True)
class SetStatement:
    """One setting of the job.

    Shape: `SetStatement(key="parallelism.default", value="2", written="parallelism.default", …)`.
    `key` and `value` are Flink's; `written` is the key as the file has it, which differs for Blink job
    parameters. One parameter can become several statements with the same span; `default` marks a value that
    such a parameter adds if the file does not set the key itself.
    """

    key: str
    value: str
    written: str
    key_span: Span
    span: Span
    default: bool = False


@dataclass(frozen=True)
class IgnoredSetting:
    """A Blink job parameter that is known but has no effect here, for this `reason`."""

    written: str
    value: str
    reason: str
    key_span: Span
    span: Span


@dataclass(frozen=True)
class CreateFunction:
    """`CREATE FUNCTION name AS 'module.attribute'`: a Python function under a SQL name."""

    name: str
    path: str
    name_span: Span
    path_span: Span
    span: Span


@dataclass(frozen=True)
class Column:
    """A column of a declared table.

    `type` is Flink's full form of the type: `STRING`, `DECIMAL(10, 2)`, `TIMESTAMP_LTZ(3)`; "" for a computed
    column. `nullable` is False for NOT NULL and for primary key columns. `metadata_from` is the metadata key
    (the column's own name if the file names none), None for an ordinary column. `computed` is the text of
    the expression of a computed column, None for all others.
    """

    name: str
    type: str
    nullable: bool
    metadata_from: str | None
    virtual: bool
    computed: str | None
    comment: str
    span: Span
    name_span: Span

    @property
    def is_physical(self) -> bool:
        """Return whether its values are part of the stored row: neither metadata nor computed."""
        return self.metadata_from is None and self.computed is None


@dataclass(frozen=True)
class Watermark:
    """`WATERMARK FOR column AS expr`; `delay_ms` is None if the expression is not a constant delay."""

    column: str
    expr: str
    delay_ms: int | None
    span: Span


@dataclass(frozen=True)
class WithOption:
    """One entry of a table's WITH clause, as written."""

    key: str
    value: str
    key_span: Span
    value_span: Span


@dataclass(frozen=True)
class WithOptions(Mapping[str, str]):
    """The WITH clause: keys are looked up in any case and iterated as written; each entry has its spans."""

    entries: tuple[WithOption, ...]

    def __getitem__(self, key: str) -> str:
        return self.entry(key).value

    def __iter__(self) -> Iterator[str]:
        return (entry.key for entry in self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def entry(self, key: str) -> WithOption:
        """Return the entry of that key. Raises KeyError."""
        for entry in self.entries:
            if entry.key.lower() == key.lower():
                return entry
        raise KeyError(key)


@dataclass(frozen=True)
class CreateTable:
    """A declared table. `primary_key` is empty if it has none; `watermark` is None if it has none."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    watermark: Watermark | None
    options: WithOptions
    comment: str
    span: Span
    name_span: Span
    options_span: Span

    def column(self, name: str) -> Column | None:
        """Return the column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def physical_columns(self) -> tuple[Column, ...]:
        """Return the columns whose values are part of the stored row."""
        return tuple(column for column in self.columns if column.is_physical)


@dataclass(frozen=True)
class CreateView:
    """`CREATE VIEW name [(columns)] AS query`. `query` is the text as written; `columns` may be empty."""

    name: str
    columns: tuple[Name, ...]
    query: str
    query_span: Span
    name_span: Span
    span: Span


@dataclass(frozen=True)
class InsertInto:
    """`INSERT INTO target [(columns)] query [ON CONFLICT DO …]`; `query` ends before ON CONFLICT."""

    target: str
    columns: tuple[Name, ...]
    query: str
    query_span: Span
    on_conflict: OnConflict | None
    target_span: Span
    span: Span


Statement = SetStatement | IgnoredSetting | CreateFunction | CreateTable | CreateView | InsertInto


@dataclass(frozen=True)
class Script:
    """A whole SQL file: its text, its tokens and its statements in the order of the file.

    `description` is the opening comment without its comment signs, "" when the file has none.
    """

    text: str
    path: str
    tokens: tuple[Token, ...]
    description: str
    statements: tuple[Statement, ...]

    @property
    def settings(self) -> tuple[SetStatement, ...]:
        """Return all settings; a later one of the same key wins."""
        return tuple(each for each in self.statements if isinstance(each, SetStatement))

    @property
    def ignored_settings(self) -> tuple[IgnoredSetting, ...]:
        """Return the Blink job parameters without effect."""
        return tuple(each for each in self.statements if isinstance(each, IgnoredSetting))

    @property
    def functions(self) -> tuple[CreateFunction, ...]:
        """Return the declared functions."""
        return tuple(each for each in self.statements if isinstance(each, CreateFunction))

    @property
    def tables(self) -> tuple[CreateTable, ...]:
        """Return the declared tables."""
        return tuple(each for each in self.statements if isinstance(each, CreateTable))

    @property
    def views(self) -> tuple[CreateView, ...]:
        """Return the views."""
        return tuple(each for each in self.statements if isinstance(each, CreateView))

    @property
    def inserts(self) -> tuple[InsertInto, ...]:
        """Return the INSERTs."""
        return tuple(each for each in self.statements if isinstance(each, InsertInto))

    def setting(self, key: str, default: str) -> str:
        """Return the value that the file sets for a Flink key, or `default`."""
        return next((each.value for each in reversed(self.settings) if each.key == key), default)

    def tokens_of(self, span: Span) -> list[Token]:
        """Return the tokens inside the span, with their offsets in the whole text."""
        return [token for token in self.tokens if span.start <= token.start and token.end <= span.end]

    def error(self, message: str, span: Span) -> SqlError:
        """Return an error that shows this line of the file."""
        return SqlError(message, self.text, span.start, self.path)
