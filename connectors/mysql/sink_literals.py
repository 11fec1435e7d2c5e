"""Values as SQL literals: one by one as their type has stored them, or a whole column at once.

Doubles have an exponent (without one they are DECIMAL to MySQL), texts are escaped for a session without
NO_BACKSLASH_ESCAPES, bytes are hexadecimal, moments are UTC.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from pymysql.converters import escape_string

from streamjobs.column_types import ColumnType, Reason, UnfitValueError

_SPECIAL = re.compile(r"[\0\n\r\x1a\"'\\\\\ud800-\udfff]")
_BETWEEN = "\x01"


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
    is_stored = kind.is_stored or _never
    if kind.plain is bool:
        return Literals(lambda value: "1" if value else "0", lambda values: ["01"[value] for value in values])
    if kind.plain is int:
        return Literals(str, lambda values: list(map(str, values)) if is_stored(values) else None)
    if kind.plain is float:
        return Literals(_float, lambda values: list(map(_float, values)) if is_stored(values) else None)
    if kind.plain is bytes:
        return Literals(
            lambda value: _bytes(base64.b64decode(value)), lambda values: list(map(_bytes, values))
        )
    if root == "DECIMAL":
        return Literals(str, _decimals(kind.name))
    if root.startswith("TIMESTAMP"):
        zone = timezone.utc if root == "TIMESTAMP_LTZ" else None
        return Literals(_moment, lambda values: _moments(values, zone) if kind.is_stored else None)
    if kind.plain is str:
        return Literals(_text, _texts)
    return Literals(lambda value: f"'{value}'", _unsure)


def _never(_values: Sequence[Any]) -> bool:
    return False


def _unsure(_values: Sequence[Any]) -> None:
    return None


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


def _decimals(name: str) -> Callable[[Sequence[Any]], Sequence[str] | None]:
    precision, scale = (int(digits) for digits in name[len("DECIMAL(") : -1].split(","))
    fraction = rf"\.\d{{{scale}}}" if scale else ""
    exact = re.compile(rf"(?:-?\d{{1,{max(1, precision - scale)}}}{fraction}{_BETWEEN})*")

    def many(values: Sequence[Any]) -> Sequence[str] | None:
        texts = list(map(str, values))
        return texts if exact.fullmatch(_BETWEEN.join([*texts, ""])) else None

    return many


def _moment(value: datetime | str) -> str:
    return f"'{value}'" if isinstance(value, str) else f"'{value.isoformat(' ')}'"


def _moments(values: Sequence[datetime], zone: timezone | None) -> Sequence[str] | None:
    if {value.tzinfo for value in values} != {zone}:
        return None
    return [f"'{value.isoformat(' ')[: 19 if not value.microsecond else 26]}'" for value in values]
