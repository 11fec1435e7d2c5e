"""Texts of ENUM and SET values in a primary key, where the server may tell values apart that read alike.

An ENUM's invalid value (number 0) reads as '', which may be a label too; a SET of the one label '' reads as
the empty one; without strict mode a label may be there twice. Such rows would be one row downstream,
so one of the numbers has no text: its rows are set aside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectors.mysql.values import Remembered, Sets

_ALIKE = (
    "the value number {} reads as {!r}, as another one does, and the server tells keys apart by numbers: "
    "one row would take the place of the other"
)


def read_alike(labels: Sequence[str]) -> bool:
    """Whether two values may have one text."""
    return "" in labels or len({*labels}) < len(labels)


def enum_keys(labels: Sequence[str]) -> Mapping[int, bytes]:
    """Give the texts of an ENUM's numbers; ValueError for one that reads as another, or is none."""
    texts = (b"", *(label.encode() for label in labels))

    def text(number: int) -> bytes:
        found = texts[number]
        if found in texts[1:number] or (number == 0 and b"" in texts[1:]):
            raise ValueError(_ALIKE.format(number, found.decode()))
        return found

    return Remembered(text)


def set_keys(labels: Sequence[str]) -> Mapping[int, bytes]:
    """Give the texts of a SET's bitmaps; ValueError for one that reads as another, or is none."""
    sets = Sets([label.encode() for label in labels])
    again = sum(1 << place for place, label in enumerate(labels) if label in labels[:place])
    empty = 1 << labels.index("") if "" in labels else -1

    def text(bits: int) -> bytes:
        found = sets[bits]
        if bits & again or bits == empty:
            raise ValueError(_ALIKE.format(bits, found.decode()))
        return found

    return Remembered(text)
