"""Guards: they find values that a column accepts without an error but returns changed.

Even the strictest sql_mode lets a server cut off spaces, pad with zero bytes, read a number as the index of a
label, and rewrite addresses. Each guard handles one such column.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from connectors.mysql.store.columns import Found
from streamjobs.sinks.stored_types import Reason, UnfitValueError

Look = Callable[[Any], None]
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LOW, _HIGH = -(1 << 63), (1 << 64) - 1
_MAX_BYTES = {"utf8mb4": 4, "utf8mb3": 3, "utf8": 3, "ucs2": 2, "utf16": 4, "utf16le": 4, "utf32": 4}


@dataclass(frozen=True)
class Guard:
    """Finds values that would come back changed: `one` raises UnfitValueError, `many` returns if all fit."""

    one: Look
    many: Callable[[Sequence[Any]], bool]


def char(found: Found) -> Guard:
    """Return the guard of CHAR(n): the server cuts off all spaces at the end."""

    def one(value: str) -> None:
        if value.endswith(" "):
            raise UnfitValueError(
                Reason.TYPE,
                f"{value!r:.100} ends with spaces, which {found.declared} cuts off; a VARCHAR keeps them",
            )

    return Guard(one, lambda values: not any(value.endswith(" ") for value in values))


def varchar(found: Found) -> Guard:
    """Return the guard of VARCHAR(n): spaces beyond n are cut off without an error.

    The server refuses other characters beyond n.
    """
    most = found.length

    def one(value: str) -> None:
        if len(value) > most and not value[most:].strip(" "):
            raise _cut(value, found)

    return Guard(one, lambda values: max(map(len, values)) <= most)


def text(found: Found) -> Guard:
    """Return the guard of TEXT types: as VARCHAR, but bytes count."""
    most = found.octets
    widest = _MAX_BYTES.get(found.charset, 1)

    def one(value: str) -> None:
        is_utf8 = found.charset.startswith("utf8")
        size = len(value.encode("utf-8", "replace")) if is_utf8 else len(value) * widest
        if size > most and value.endswith(" "):
            raise _cut(value, found)

    return Guard(one, lambda values: max(map(len, values)) * widest <= most)


def binary(found: Found) -> Guard:
    """Return the guard of BINARY(n): shorter values are filled up with zero bytes."""
    size = found.length

    def one(value: bytes) -> None:
        if len(value) < size:
            detail = f"x'{value.hex()}' has {len(value)} bytes; {found.declared} fills it up with zero bytes"
            raise UnfitValueError(Reason.TYPE, f"{detail}; a VARBINARY keeps it")

    return Guard(one, lambda values: min(map(len, values)) >= size)


def enum(found: Found) -> Guard:
    """Return the guard of ENUM: a number in a text is the index of a label; the collation compares labels."""
    labels = frozenset(found.labels)

    def one(value: str) -> None:
        if value not in labels:
            raise UnfitValueError(Reason.RANGE, f"{value!r:.100} is not a label of {found.declared:.200}")

    return Guard(one, labels.issuperset)


def label_set(found: Found) -> Guard:
    """Return the guard of SET: as ENUM; and labels come back in the declared order, each once."""
    indexes = {label: index for index, label in enumerate(found.labels)}

    def one(value: str) -> None:
        labels = value.split(",") if value else []
        if any(label not in indexes for label in labels):
            raise UnfitValueError(
                Reason.RANGE, f"{value!r:.100} has a label that {found.declared:.200} lacks"
            )
        order = [indexes[label] for label in labels]
        if order != sorted(set(order)):
            detail = f"{value!r:.100} would come back in the order of {found.declared:.200}, each label once"
            raise UnfitValueError(Reason.TYPE, detail)

    return _each(one)


def uuid(found: Found) -> Guard:
    """Return the guard of UUID: it comes back in lower case and with dashes."""

    def one(value: str) -> None:
        if not _UUID.fullmatch(value):
            raise UnfitValueError(
                Reason.TYPE,
                f"{value!r:.100} is not a {found.type} as the server writes it: 8-4-4-4-12 of 0-9 and a-f",
            )

    return _each(one)


def inet(found: Found) -> Guard:
    """Return the guard of INET4 and INET6: they come back in their shortest form."""

    def one(value: str) -> None:
        try:
            spelled = _address(value, found.type)
        except ValueError as exc:
            raise UnfitValueError(Reason.TYPE, f"{value!r:.100} is not an {found.type}: {exc}") from exc
        if spelled != value:
            raise UnfitValueError(
                Reason.TYPE, f"{value!r:.100} would come back from {found.declared} as {spelled!r}"
            )

    return _each(one)


def json_document(found: Found) -> Guard:
    """Return the guard of MySQL's JSON: it is parsed; the last of equal names wins, numbers have 64 bits."""

    def one(value: str) -> None:
        try:
            json.loads(value, object_pairs_hook=_names_once, parse_int=_whole, parse_float=_double,
                       parse_constant=_whole)  # fmt: skip
        except (ValueError, RecursionError, ArithmeticError) as exc:
            raise UnfitValueError(
                Reason.TYPE, f"{value!r:.100} would be another document in {found.declared}: {exc}"
            ) from exc

    return _each(one)


def _each(one: Look) -> Guard:
    def many(values: Sequence[Any]) -> bool:
        try:
            for value in values:
                one(value)
        except UnfitValueError:
            return False
        return True

    return Guard(one, many)


def _cut(value: str, found: Found) -> UnfitValueError:
    detail = f"{value!r:.100} ends with spaces beyond the end of {found.declared}, which cuts them off"
    return UnfitValueError(Reason.SIZE, detail)


def _address(value: str, kind: str) -> str:
    """Return an address as MariaDB writes it: "::" is the first of the longest runs of 0, also of one 0."""
    if kind == "inet4":
        return str(ipaddress.IPv4Address(value))
    address = ipaddress.IPv6Address(value)
    number = int(address)
    if address.ipv4_mapped is not None:
        return f"::ffff:{address.ipv4_mapped}"
    if 0xFFFF < number <= 0xFFFFFFFF:
        return f"::{ipaddress.IPv4Address(number)}"
    groups = [f"{int(group, 16):x}" for group in address.exploded.split(":")]
    start, length = _longest_zeros(groups)
    if not length:
        return ":".join(groups)
    return f"{':'.join(groups[:start])}::{':'.join(groups[start + length :])}"


def _longest_zeros(groups: Sequence[str]) -> tuple[int, int]:
    """Return start and length of the longest run of 0; of the first one if several are as long."""
    start = longest = at = 0
    for group, same in itertools.groupby(groups):
        length = len(list(same))
        if group == "0" and length > longest:
            start, longest = at, length
        at += length
    return start, longest


def _names_once(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        message = f"a name is twice in {names}"
        raise ValueError(message)


def _whole(digits: str) -> None:
    if not _LOW <= int(digits) <= _HIGH:
        message = f"{digits} has more than 64 bits"
        raise ValueError(message)


def _double(digits: str) -> None:
    if Decimal(repr(float(digits))) != Decimal(digits):
        message = f"{digits} is not a double"
        raise ValueError(message)
