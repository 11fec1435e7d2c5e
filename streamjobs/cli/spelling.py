"""Turns values into text for programs, a column at a time: for JSON and for CSV.

Integers and floats are numbers, DECIMAL has all digits of its scale, dates and times are ISO text
(TIMESTAMP_LTZ ends in Z), BYTES is base64, NaN and infinities are words.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

Texts = Callable[[Sequence[Any]], list[str]]
"""Turns values of one class, none of them None, into their texts."""

_SPECIAL = ',"\r\n'
_ZEROS = "000"
"""The last digits of an ISO text of whole milliseconds; no other ISO text ends like this."""


def texts(values: Sequence[Any], null: str) -> list[str]:
    """Return the text of each value; `null` is the text of None."""
    return _spelled(values, _TEXTS, null)


def json_texts(values: Sequence[Any]) -> list[str]:
    """Return each value as JSON: DECIMAL, times, bytes, NaN and infinities are strings, NULL is null."""
    return _spelled(values, _JSON, "null")


def csv_texts(values: Sequence[Any]) -> list[str]:
    """Return each value as a field of CSV: NULL is empty, the empty text is ""."""
    return _spelled(values, _CSV, "")


def _spelled(values: Sequence[Any], by_class: Mapping[type, Texts], null: str) -> list[str]:
    classes = set(map(type, values))
    has_null = type(None) in classes
    classes.discard(type(None))
    if len(classes) > 1:
        return [_spelled([value], by_class, null)[0] for value in values]
    if not classes:
        return [null] * len(values)
    spell = by_class[classes.pop()]
    if not has_null:
        return spell(values)
    known: Iterator[str] = iter(spell([value for value in values if value is not None]))
    return [null if value is None else next(known) for value in values]


def _as_they_are(values: Sequence[str]) -> list[str]:
    return list(values)


def _numbers(values: Sequence[int]) -> list[str]:
    return list(map(str, values))


def _booleans(values: Sequence[bool]) -> list[str]:
    return ["true" if value else "false" for value in values]


def _floats(values: Sequence[float]) -> list[str]:
    if all(map(math.isfinite, values)):
        return list(map(repr, values))
    return [repr(value) if math.isfinite(value) else _word(value) for value in values]


def _word(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _decimals(values: Sequence[Decimal]) -> list[str]:
    return [format(value, "f") for value in values]


def _base64(values: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(value).decode("ascii") for value in values]


def _moments(values: Sequence[datetime]) -> list[str]:
    if {value.tzinfo for value in values} == {None}:
        return [text.removesuffix(_ZEROS) for text in map(datetime.isoformat, values)]
    return [
        value.isoformat().removesuffix(_ZEROS)
        if value.tzinfo is None
        else value.replace(tzinfo=None).isoformat().removesuffix(_ZEROS) + "Z"
        for value in values
    ]


def _days(values: Sequence[date]) -> list[str]:
    return list(map(date.isoformat, values))


def _times(values: Sequence[time]) -> list[str]:
    return [value.isoformat().removesuffix(_ZEROS) for value in values]


def _in_quotes(spell: Texts) -> Texts:
    return lambda values: [f'"{text}"' for text in spell(values)]


def _json_floats(values: Sequence[float]) -> list[str]:
    if all(map(math.isfinite, values)):
        return list(map(repr, values))
    return [repr(value) if math.isfinite(value) else f'"{_word(value)}"' for value in values]


def _json_strings(values: Sequence[str]) -> list[str]:
    return list(map(encode_basestring, values))


def _fields(values: Sequence[str]) -> list[str]:
    whole = "".join(values)
    if all(values) and not any(character in whole for character in _SPECIAL):
        return list(values)
    return list(map(_field, values))


def _field(text: str) -> str:
    if text and not any(character in text for character in _SPECIAL):
        return text
    return '"' + text.replace('"', '""') + '"'


_TEXTS: Mapping[type, Texts] = {
    bool: _booleans, int: _numbers, float: _floats, Decimal: _decimals, str: _as_they_are, bytes: _base64,
    datetime: _moments, date: _days, time: _times,
}  # fmt: skip
_CSV: Mapping[type, Texts] = {**_TEXTS, str: _fields, bytes: lambda values: _fields(_base64(values))}
_JSON: Mapping[type, Texts] = {
    **{kind: _in_quotes(_TEXTS[kind]) for kind in (Decimal, bytes, datetime, date, time)},
    bool: _booleans, int: _numbers, float: _json_floats, str: _json_strings,
}  # fmt: skip
