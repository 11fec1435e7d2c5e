"""How rows reach a Python sink exactly: the SQL that packs a column and the Python that takes it out.

pandas cannot carry every SQL value: a BIGINT column with a NULL becomes float64 (2^53 + 1 is lost), a NULL
double looks like NaN, timestamps end in the year 2262. So numbers travel with their NULLs in a mask, and
timestamps as text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from streamjobs.job.native import quoted
from streamjobs.sink import SinkTable

_MASKED = {
    "TINYINT": "CAST(0 AS TINYINT)",
    "SMALLINT": "CAST(0 AS SMALLINT)",
    "INT": "0",
    "BIGINT": "CAST(0 AS BIGINT)",
    "FLOAT": "CAST(0 AS FLOAT)",
    "DOUBLE": "CAST(0 AS DOUBLE)",
    "BOOLEAN": "FALSE",
}
"""Types whose NULLs travel in the mask -> what stands in their place."""

_MASK_BITS = 62
_ISO_DIGITS = ("0", "3", "6")
"""Fraction digits that Python 3.10 reads; Flink writes all that the type has."""

NO_CONSTANT = "RAND_INTEGER(1)"
"""A column of zeros that the planner cannot fold: of rows that are all constants PyFlink tells no number."""

Take = Callable[[Sequence[Any]], list[Any]]


@dataclass(frozen=True)
class Handover:
    """The arguments of the sink operator: one an `expressions`, the masks last.

    `masked` holds, for each column in table order, the bit of its NULL (counted over all masks) or None.
    """

    expressions: tuple[str, ...]
    types: tuple[str, ...]
    masked: tuple[int | None, ...]

    def columns(self, arguments: Sequence[Any], length: int) -> list[list[Any]]:
        """Turn the operator's arguments (pandas Series, or a scalar for a constant) into exact columns.

        Shape: one list of `length` Python values a table column; None is SQL NULL.
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


def handover(table: SinkTable) -> Handover:
    """Plan how a table's columns travel."""
    expressions: list[str] = []
    masked: list[int | None] = []
    flags: list[str] = []
    for column in table.columns:
        name, root = quoted(column.name), column.type.partition("(")[0].strip()
        if root in _MASKED:  # a key too: its NULL is refused by the sink, but must not spoil its neighbours
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
    return Handover(tuple(expressions), tuple(column.type for column in table.columns), tuple(masked))


def _unmasked(name: str, root: str) -> str:
    if root.startswith("TIMESTAMP"):
        return f"CAST({name} AS STRING)"
    if root in ("BYTES", "BINARY", "VARBINARY"):  # PyFlink 2.3.0 takes no bytes for a constant
        return f"CASE WHEN {NO_CONSTANT} = 0 THEN {name} END"
    return name


def _listed(argument: Any, length: int) -> list[Any]:
    """A constant arrives as a scalar (facts/python_sinks): give it to every row."""
    tolist = getattr(argument, "tolist", None)
    if tolist is None or isinstance(argument, (str, bytes)):
        return [argument] * length
    values = tolist()
    return values if isinstance(values, list) else [values] * length


def _taker(type_: str) -> Take:
    root, _, digits = type_.partition("(")
    read = datetime.fromisoformat if digits.partition(")")[0].strip() in _ISO_DIGITS else _moment
    if root.strip() == "TIMESTAMP_LTZ":
        return lambda values: [None if v is None else read(v).replace(tzinfo=timezone.utc) for v in values]
    if root.strip() == "TIMESTAMP":
        return lambda values: [None if v is None else read(v) for v in values]
    return list


def _moment(text: str) -> datetime:
    head, _, fraction = text.partition(".")
    if fraction[6:].strip("0"):
        message = f"{text} has more than microseconds, which Python's datetime cannot hold"
        raise ValueError(message)
    return datetime.fromisoformat(f"{head}.{fraction[:6].ljust(6, '0')}" if fraction else head)
