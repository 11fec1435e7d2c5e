"""Decides whether a SQL type can hold every value of another, so that a cast between them loses nothing."""

from __future__ import annotations

import re

from udfs.columns import FlinkType

_INT_BITS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "BIGINT": 64}
_INT_DIGITS = {"TINYINT": 3, "SMALLINT": 5, "INT": 10, "BIGINT": 19}
_FLOAT_BITS = {"FLOAT": 24, "DOUBLE": 53}
_VARYING = {"VARCHAR": ("CHAR", "VARCHAR"), "VARBINARY": ("BINARY", "VARBINARY")}
_DIGITS = {"TIME": 0, "TIMESTAMP": 6, "TIMESTAMP_LTZ": 6}
"""Types with a number of fraction digits -> the default number."""
_UNBOUNDED = 2**31 - 1


def fits(have: str, want: str) -> bool:
    """Return whether every value of the type `have` is a value of `want`, so that CAST does not change it.

    Shape: Flink's forms, such as `DECIMAL(10, 2) NOT NULL`, `TIMESTAMP_LTZ(3) *ROWTIME*`. A type that is not
    scalar fits only itself.
    """
    have, want = _plain(have), _plain(want)
    if have in (want, "NULL"):
        return True
    try:
        return _holds(FlinkType.parse(want), FlinkType.parse(have))
    except ValueError:
        return False


def _plain(text: str) -> str:
    text = re.sub(r" NOT NULL$|\*\w+\*", "", text.upper().strip()).strip()
    text = re.sub(r"^TIMESTAMP\((\d)\) WITH LOCAL TIME ZONE$", r"TIMESTAMP_LTZ(\1)", text)
    return {"STRING": f"VARCHAR({_UNBOUNDED})", "BYTES": f"VARBINARY({_UNBOUNDED})"}.get(text, text)


def _holds(want: FlinkType, have: FlinkType) -> bool:
    if have.root in _INT_BITS:
        bits = _INT_BITS[have.root]
        if want.root == "DECIMAL":
            return (want.first or 10) - (want.second or 0) >= _INT_DIGITS[have.root]
        return bits <= _INT_BITS.get(want.root, 0) or bits <= _FLOAT_BITS.get(want.root, 0)
    if have.root in _DIGITS and have.root == want.root:
        implied = _DIGITS[have.root]
        return _given(have.first, implied) <= _given(want.first, implied)
    if have.root in _VARYING.get(want.root, ()):
        return _given(have.first, 1) <= _given(want.first, 1)
    match have.root, want.root:
        case "DECIMAL", "DECIMAL":
            scale, wider = have.second or 0, want.second or 0
            return scale <= wider and (have.first or 10) - scale <= (want.first or 10) - wider
        case "FLOAT", "DOUBLE":
            return True
        case "DATE", "TIMESTAMP":
            return True
    return False


def _given(number: int | None, implied: int) -> int:
    return implied if number is None else number
