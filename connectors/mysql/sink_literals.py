"""Values as SQL literals: one by one as their type has stored them, or a whole column at once.

Doubles have an exponent (without one they are DECIMAL to MySQL), texts are escaped for a session without
NO_BACKSLASH_ESCAPES, bytes are hexadecimal, moments are UTC.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pymysql.converters import escape_string

from streamjobs.column_types import ColumnType, Reason, UnfitValueError

_SPECIAL = re.compile(r"[\0\n\r\x1a\"'\\\\\ud800-\udfff]")


@dataclass(frozen=True)
class Literals:
    """How values of one type are spelled.

    `one` takes what the type has stored, and raises UnfitValueError. `many` takes values of the class
    `ColumnType.plain` as they come, and gives None when it cannot vouch for all of them.
    """

    one: Callable[[Any], str]
    many: Callable[[Sequence[Any]], Sequence[str] | None]


def literals_of(kind: ColumnType) -> Literals:
    """Give the literals of a type."""
    root = kind.name.partition("(")[0]
    if kind.plain is bool:
        return Literals(lambda value: "1" if value else "0", lambda values: ["01"[value] for value in values])
    if kind.plain is int:
        return Literals(str, lambda values: list(map(str, values)) if kind.many(values) else None)
    if kind.plain is float:
        return Literals(_float, lambda values: list(map(_float, values)) if kind.many(values) else None)
    if kind.plain is bytes:
        return Literals(
            lambda value: _bytes(base64.b64decode(value)), lambda values: list(map(_bytes, values))
        )
    if root == "DECIMAL":
        return Literals(str, kind.many)
    if kind.plain is str:
        return Literals(_text, _texts)
    return Literals(_quoted, lambda values: _all_quoted(kind.many(values)))


def _quoted(value: Any) -> str:
    return f"'{value}'"


def _all_quoted(values: Sequence[Any] | None) -> Sequence[str] | None:
    return None if values is None else [f"'{value}'" for value in values]


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise UnfitValueError(Reason.ENCODING, f"{value!r} is no valid Unicode text: {exc}") from exc
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
