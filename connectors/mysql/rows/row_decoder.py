"""Row images -> rows, by straight-line Python code that is generated once for each table and set of columns.

The fast function decodes all rows of an event. It raises if anything in them is wrong; then the careful one
reads the same event value by value and finds the row, the column and the bytes.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from connectors.mysql.errors import BinlogError
from connectors.mysql.rows.column_codecs import Codec
from connectors.mysql.rows.table_plan import TablePlan
from streamjobs.changes.row_change import ABSENT, Row, Value

FAILURES: Final = (ValueError, IndexError, KeyError, OverflowError, TypeError, struct.error)
"""The errors that the generated code raises for bytes that are not rows."""

Present = tuple[bool, ...]
"""For each column of the table: whether it is in an image."""

FastDecoder = Callable[[bytes, int, "tuple[list[Row], ...]"], None]
"""Decodes from an offset to the end of the bytes; appends the images of each row to one list each."""


@dataclass(frozen=True)
class Undecodable:
    """The first value of an image that cannot be decoded."""

    column: int
    data: bytes
    reason: str


def compile_rows(plan: TablePlan, images: Sequence[Present]) -> FastDecoder:
    """Generate the function for events whose rows have these images in this order."""
    names: dict[str, Any] = {"from_bytes": int.from_bytes, "ABSENT": ABSENT, "BinlogError": BinlogError}
    lines = ["def decode(d, o, outs):", " end = len(d)"]
    lines += [f" add{number} = outs[{number}].append" for number in range(len(images))]
    lines.append(" while o < end:")
    for number, present in enumerate(images):
        lines += [f"  {line}" for line in _image_lines(plan, present, f"add{number}", names)]
    lines.append(" if o != end: raise IndexError(o)")
    exec(compile("\n".join(lines), f"<rows of {plan.schema.table}>", "exec"), names)  # noqa: S102
    decode: FastDecoder = names["decode"]
    return decode


def _image_lines(plan: TablePlan, present: Present, add: str, names: dict[str, Any]) -> Iterator[str]:
    here = [index for index, there in enumerate(present) if there]
    size = (len(here) + 7) // 8
    mask = (1 << len(here)) - 1
    yield f"n = {_unsigned('d', 'o', size)} & {mask:#x}"
    yield f"o += {size}"
    yield "if n:"
    for number, index in enumerate(here):
        codec = plan.codecs[index]
        yield f" if n & {1 << number:#x}: v{index} = None"
        yield " else:"
        for line in _read_lines([(index, codec)], names):
            yield f"  {line}"
        yield f"  v{index} = {_expression(codec, index, f'r{index}', names)}"
    values = [f"v{index}" if there else "ABSENT" for index, there in enumerate(present[: plan.width])]
    yield f" {add}(({', '.join(values)},))"
    yield "else:"
    for line in _read_lines([(index, plan.codecs[index]) for index in here], names):
        yield f" {line}"
    values = [
        _expression(codec, index, f"r{index}", names) if present[index] else "ABSENT"
        for index, codec in enumerate(plan.codecs[: plan.width])
    ]
    yield f" {add}(({', '.join(values)},))"


def _read_lines(columns: Sequence[tuple[int, Codec]], names: dict[str, Any]) -> Iterator[str]:
    """Yield lines that read raw values into r0, r1, …: neighbours of fixed size with one unpack."""
    run: list[tuple[int, str]] = []
    for index, codec in columns:
        if codec.form is not None:
            run.append((index, codec.form))
            continue
        yield from _run_lines(run, names)
        run = []
        size = codec.length_bytes or 0
        yield f"e = o + {size}; e += {_unsigned('d', 'o', size)}"
        yield f"r{index} = d[o + {size}:e]; o = e"
    yield from _run_lines(run, names)


def _run_lines(run: list[tuple[int, str]], names: dict[str, Any]) -> Iterator[str]:
    if not run:
        return
    if len(run) == 1 and run[0][1] == "B":
        yield f"r{run[0][0]} = d[o]; o += 1"
        return
    form = struct.Struct("<" + "".join(code for _, code in run))
    name = f"unpack_{form.format.replace('<', '')}"
    names[name] = form.unpack_from
    targets = "".join(f"r{index}, " for index, _ in run)
    yield f"{targets}= {name}(d, o); o += {form.size}"


def _unsigned(data: str, at: str, size: int) -> str:
    if size == 1:
        return f"{data}[{at}]"
    if size == 2:
        return f"({data}[{at}] | {data}[{at} + 1] << 8)"
    return f'from_bytes({data}[{at}:{at} + {size}], "little")'


def _expression(codec: Codec, index: int, variable: str, names: dict[str, Any]) -> str:
    """Return the codec's expression over a variable, its names made unique to the column."""
    expression = codec.expression
    for name, value in codec.names.items():
        names[f"{name}_{index}"] = value
        expression = re.sub(rf"\b{name}\b", f"{name}_{index}", expression)
    return expression.replace("{v}", variable)


class CarefulDecoder:
    """Reads a table's images value by value."""

    def __init__(self, plan: TablePlan) -> None:
        self._plan = plan
        self._converters = [_converter(codec, index) for index, codec in enumerate(plan.codecs)]

    def raw(self, data: bytes, at: int, present: Present) -> tuple[list[bytes | None], int]:
        """Split one image into the bytes of its columns, None for NULL; also return where it ends.

        Raises: BinlogError when it ends after the end of the data: then nothing in the event can be trusted.
        """
        here = [codec for codec, there in zip(self._plan.codecs, present, strict=True) if there]
        size = (len(here) + 7) // 8
        nulls = int.from_bytes(_slice(data, at, size), "little")
        at += size
        values: list[bytes | None] = []
        for number, codec in enumerate(here):
            if nulls >> number & 1:
                values.append(None)
                continue
            value, at = raw_value(codec, data, at)
            values.append(value)
        return values, at

    def convert(self, raw: Sequence[bytes | None], present: Present) -> Row | Undecodable:
        """Return the row of one image, or its first value that cannot be decoded."""
        row: list[Value] = []
        values = iter(raw)
        for index, there in enumerate(present):
            if not there:
                if index < self._plan.width:
                    row.append(ABSENT)
                continue
            data = next(values)
            if index >= self._plan.width:
                continue
            try:
                row.append(None if data is None else self._converters[index](data))
            except FAILURES as exc:
                return Undecodable(index, data or b"", reason_of(exc))
        return tuple(row)


def raw_value(codec: Codec, data: bytes, at: int) -> tuple[bytes, int]:
    """Return one value's bytes, without the length before them, and where they end. Raises BinlogError."""
    if codec.form is not None:
        size = struct.calcsize("<" + codec.form)
    else:
        width = codec.length_bytes or 0
        size = int.from_bytes(_slice(data, at, width), "little")
        at += width
    return _slice(data, at, size), at + size


def _slice(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        message = f"a row event of {len(data)} bytes with a value that ends at byte {at + size}"
        raise BinlogError(message)
    return data[at : at + size]


def _converter(codec: Codec, index: int) -> Callable[[bytes], Value]:
    names: dict[str, Any] = {"from_bytes": int.from_bytes}
    expression = _expression(codec, index, "v", names)
    function: Callable[[Any], Value] = eval(f"lambda v: {expression}", names)  # noqa: S307
    if codec.form is None:
        return function
    unpack = struct.Struct("<" + codec.form).unpack
    return lambda data: function(unpack(data)[0])


def reason_of(exc: BaseException) -> str:
    """Return why a value could not be decoded."""
    return str(exc) if isinstance(exc, ValueError) else f"out of range: {exc}"
