"""Encodes rows for a Python sink without loss: the SQL that packs a column and the Python that unpacks it.

pandas cannot represent every SQL value: a BIGINT column with a NULL becomes float64 (2^53 + 1 is lost), a
NULL double looks like NaN, timestamps end in the year 2262. So numbers are passed with their NULLs in a mask,
and dates and timestamps as text. Flink can compute dates and timestamps outside of the years 1 to 9999,
Python cannot: those are passed as `@` and their seconds since 1970, as Flink's own text shows only the last
four digits of the year.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from streamjobs.changes.moments import NanoMoment, OutOfRange, calendar_text
from streamjobs.job.plan.flink_ddl import quoted
from streamjobs.sinks.contract import SinkTable

_MASKED = {
    "TINYINT": "CAST(0 AS TINYINT)",
    "SMALLINT": "CAST(0 AS SMALLINT)",
    "INT": "0",
    "BIGINT": "CAST(0 AS BIGINT)",
    "FLOAT": "CAST(0 AS FLOAT)",
    "DOUBLE": "CAST(0 AS DOUBLE)",
    "BOOLEAN": "FALSE",
}
"""Types whose NULLs are passed in the mask -> the value that replaces a NULL."""

_RANGES = {
    "DATE": ("DATE '0001-01-01'", "DATE '9999-12-31'"),
    "TIMESTAMP": ("TIMESTAMP '0001-01-01 00:00:00'", "TIMESTAMP '9999-12-31 23:59:59.999999999'"),
    "TIMESTAMP_LTZ": (
        "CAST(TIMESTAMP '0001-01-01 00:00:00' AS TIMESTAMP_LTZ(9))",
        "CAST(TIMESTAMP '9999-12-31 23:59:59.999999999' AS TIMESTAMP_LTZ(9))",
    ),
}
"""Types that are passed as text -> the first and the last value that Python has."""
_OUTSIDE = "@"
_MASK_BITS = 62
_ISO_DIGITS = ("0", "3", "6")
"""Numbers of fraction digits that Python 3.10 reads; Flink writes all digits of the type."""

NO_CONSTANT = "RAND_INTEGER(1)"
"""A zero column that the planner cannot fold: PyFlink loses the row count of batches of constants only."""

Take = Callable[[Sequence[Any]], list[Any]]


@dataclass(frozen=True)
class RowTransfer:
    """The arguments of the sink operator: one for each of `expressions`, the masks last.

    `masked` has, for each column in table order, the bit of its NULL (counted over all masks) or None.
    """

    expressions: tuple[str, ...]
    types: tuple[str, ...]
    masked: tuple[int | None, ...]

    def columns(self, arguments: Sequence[Any], length: int) -> list[list[Any]]:
        """Turn the operator's arguments (pandas Series, or a scalar for a constant) into exact columns.

        Shape: one list of `length` Python values for each table column; None is SQL NULL.
        """
        lists = [_listed(argument, length) for argument in arguments]
        masks = lists[len(self.types) :]
        columns = []
        for values, type_, bit in zip(lists, self.types, self.masked, strict=False):
            if bit is not None:
                mask, flag = masks[bit // _MASK_BITS], 1 << bit % _MASK_BITS
                if any(mask):
                    values = [None if m & flag else v for v, m in zip(values, mask, strict=True)]  # noqa: PLW2901
                columns.append(values)
            else:
                columns.append(_taker(type_)(values))
        return columns


def handover(table: SinkTable) -> RowTransfer:
    """Return how a table's columns are passed to the sink operator."""
    expressions: list[str] = []
    masked: list[int | None] = []
    flags: list[str] = []
    for column in table.columns:
        name, root = quoted(column.name), column.type.partition("(")[0].strip()
        if root in _MASKED:  # a key too: the sink refuses its NULL, but the other rows must stay exact
            masked.append(len(flags))
            flags.append(name)
            expressions.append(f"COALESCE({name}, {_MASKED[root]})")
        else:
            masked.append(None)
            expressions.append(_unmasked(name, root))
    for start in range(0, len(flags), _MASK_BITS):
        bits = [
            f"CASE WHEN {name} IS NULL THEN CAST({1 << bit} AS BIGINT) ELSE CAST(0 AS BIGINT) END"
            for bit, name in enumerate(flags[start : start + _MASK_BITS])
        ]
        expressions.append(" + ".join(bits))
    return RowTransfer(tuple(expressions), tuple(column.type for column in table.columns), tuple(masked))


def _unmasked(name: str, root: str) -> str:
    if root in _RANGES:
        first, last = _RANGES[root]
        moment = f"CAST({name} AS TIMESTAMP(3))" if root == "DATE" else name
        return (
            f"CASE WHEN {name} BETWEEN {first} AND {last} THEN CAST({name} AS STRING) WHEN {name} IS "
            "NOT NULL "
            f"THEN '{_OUTSIDE}' || CAST(EXTRACT(EPOCH FROM {moment}) AS STRING) END"
        )
    if root in ("BYTES", "BINARY", "VARBINARY"):  # PyFlink 2.3.0 does not accept bytes as a constant
        return f"CASE WHEN {NO_CONSTANT} = 0 THEN {name} END"
    return name


def _listed(argument: Any, length: int) -> list[Any]:
    """Return the values of an argument; a constant arrives as a scalar and is repeated for every row.

    See facts/python_sinks.
    """
    tolist = getattr(argument, "tolist", None)
    if tolist is None or isinstance(argument, (str, bytes)):
        return [argument] * length
    values = tolist()
    return values if isinstance(values, list) else [values] * length


def _taker(type_: str) -> Take:
    root, _, digits = (part.strip() for part in type_.partition("("))
    if root == "DATE":
        return lambda values: _taken(values, date.fromisoformat, _day_text)
    if root not in _RANGES:
        return list
    read = datetime.fromisoformat if digits.partition(")")[0].strip() in _ISO_DIGITS else _moment
    if root == "TIMESTAMP":
        return lambda values: _taken(values, read, calendar_text)
    return lambda values: _taken(values, lambda text: read(f"{text}+00:00"), calendar_text)


def _taken(values: Sequence[Any], read: Callable[[str], Any], show: Callable[[int], str]) -> list[Any]:
    try:
        return [None if value is None else read(value) for value in values]
    except ValueError:  # a value is outside of Python's calendar: read the others as usual
        return [
            OutOfRange(show(int(value[1:]))) if value is not None and value.startswith(_OUTSIDE)
            else None if value is None else read(value)
            for value in values
        ]  # fmt: skip


def _moment(text: str) -> datetime:
    """Read a timestamp with any number of fraction digits, with or without a zone."""
    head, point, rest = text.partition(".")
    fraction, plus, zone = rest.partition("+")
    digits = fraction.ljust(9, "0")
    moment = datetime.fromisoformat(f"{head}.{digits[:6]}{plus}{zone}" if point else text)
    return NanoMoment.of(moment, int(digits[6:])) if digits[6:] != "000" else moment


def _day_text(seconds: int) -> str:
    return calendar_text(seconds).partition(" ")[0]
