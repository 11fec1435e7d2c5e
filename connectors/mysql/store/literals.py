"""SQL literals of values: of one value as its type stores it, or of a whole column at once.

Doubles have an exponent (MySQL reads them as DECIMAL without one), texts are escaped for a session without
NO_BACKSLASH_ESCAPES, bytes are hexadecimal, timestamps are UTC.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pymysql.converters import escape_string

from streamjobs.changes.wire_values import binary32
from streamjobs.sinks.stored_types import ColumnType, Reason, UnfitValueError

_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
_SPECIAL = re.compile(r"[\0\n\r\x1a\"'\\\\\ud800-\udfff]")


@dataclass(frozen=True)
class Literals:
    """The functions that turn values of one type into literals.

    `one` accepts a value as the type stores it, and raises UnfitValueError. `many` accepts unchanged values
    of the class `ColumnType.plain`, and returns None when it is not sure of all of them.
    """

    one: Callable[[Any], str]
    many: Callable[[Sequence[Any]], Sequence[str] | None]


def literals_of(kind: ColumnType, target: str = "") -> Literals:
    """Return the literals of a type, for a column of the type `target`.

    A number for a text column becomes a text: compared as a number, '5x' and '05' would equal 5. A FLOAT
    column stores a binary32, which does not equal a shorter text.
    """
    root = kind.name.partition("(")[0]
    is_text = target in _TEXTS
    if kind.plain is bool:
        return Literals(lambda value: "1" if value else "0", lambda values: ["01"[value] for value in values])
    if kind.plain is int or root == "DECIMAL":
        return _numbers(kind, "'{}'".format if is_text else str)
    if kind.plain is float:
        return _floats(kind, exact=target == "float")
    if kind.plain is bytes:
        return Literals(
            lambda value: _bytes(base64.b64decode(value)), lambda values: list(map(_bytes, values))
        )
    if kind.plain is str:
        return Literals(_text, _texts)
    return Literals(_quoted, lambda values: _all_quoted(kind.many(values)))


def _numbers(kind: ColumnType, spell: Callable[[Any], str]) -> Literals:
    def many(values: Sequence[Any]) -> Sequence[str] | None:
        stored = kind.many(values)
        return None if stored is None else list(map(spell, stored))

    return Literals(spell, many)


def _floats(kind: ColumnType, *, exact: bool) -> Literals:
    def one(value: float | str) -> str:
        return _float(binary32(value) if exact and not isinstance(value, str) else value)

    def many(values: Sequence[float]) -> Sequence[str] | None:
        stored = kind.many(values)
        return None if stored is None else list(map(one, stored))

    return Literals(one, many)


def _quoted(value: Any) -> str:
    return f"'{value}'"


def _all_quoted(values: Sequence[Any] | None) -> Sequence[str] | None:
    return None if values is None else [f"'{value}'" for value in values]


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise UnfitValueError(Reason.ENCODING, f"{value!r} is not valid Unicode text: {exc}") from exc
    return f"'{escape_string(value)}'"


def _texts(values: Sequence[str]) -> Sequence[str] | None:
    if _SPECIAL.search("".join(values)):
        return None
    return [f"'{value}'" for value in values]


def _float(value: float | str) -> str:
    if isinstance(value, str):
        raise UnfitValueError(Reason.RANGE, f"MySQL has no {value}")
    text = repr(value)
    return text if "e" in text else f"{text}e0"


def _bytes(value: bytes) -> str:
    return f"x'{value.hex()}'"
