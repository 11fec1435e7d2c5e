"""Texts of ENUM and SET values, where one of them is not known, or does not tell its value from another.

In a primary key, an ENUM's invalid value (number 0) reads as '', which may be a label too; a SET of the one
label '' reads as the empty one; without strict mode a label may be there twice. Such rows would be one row
downstream, so one of the numbers has no text: its rows are set aside.

A label may be lost on its way: the servers' catalogues show `?` for characters above U+FFFF and for bytes
that are none, and MariaDB keeps the bytes of labels when it converts their column. Such rows are set aside,
too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from connectors.mysql.codec import charsets
from connectors.mysql.codec.charsets import Charset
from connectors.mysql.codec.values import Remembered, Sets
from connectors.mysql.schema.definitions import ColumnDefinition

_ALIKE = (
    "the value number {} reads as {!r}, as another one does, and the server tells keys apart by numbers: "
    "one row would take the place of the other"
)
_IN_CATALOGUE: Final = (
    "label {0} of column {2} is {1!r} in the server's catalogue, which also spells so what it cannot show; "
    "SET GLOBAL binlog_row_metadata = 'FULL'"
)
_IN_LOG: Final = (
    "label {} is {!r} in the log, which is not {}; declare the column again with its labels (MODIFY)"
)

_BYTES: Final = "label {} is {!r}, and its column has no character set (binary); declare it with one (MODIFY)"


def doubtful_labels(labels: Sequence[str], charset: str) -> tuple[int, ...]:
    """Which of the labels that a catalogue shows may have been others, by their numbers from 1 on.

    In a column of bytes (`binary`) they are those of whoever declared it.
    """
    if charset == "binary":
        return tuple(number for number, label in enumerate(labels, start=1) if not label.isascii())
    if not charset or charsets.shown_as_they_are(charsets.charset(charset)):
        return ()
    return tuple(number for number, label in enumerate(labels, start=1) if "?" in label)


def lost_in_catalogue(column: ColumnDefinition) -> Mapping[int, str]:
    """Why labels of a declared column are not known, by their numbers."""
    return {
        number: (_BYTES if column.charset == "binary" else _IN_CATALOGUE).format(
            number, column.labels[number - 1], column.name
        )
        for number in column.lost_labels
    }


def labels_in_log(labels: Sequence[bytes], charset: Charset) -> tuple[tuple[str, ...], Mapping[int, str]]:
    """The labels that a TABLE_MAP has, and why some are not known, by their numbers."""
    found, lost = [], {}
    for number, data in enumerate(labels, start=1):
        try:
            found.append(charset.decode(data))
        except UnicodeDecodeError:
            found.append(data.decode("ascii", "backslashreplace"))
            lost[number] = (_BYTES if charset.is_binary else _IN_LOG).format(number, data, charset.name)
    return tuple(found), lost


def enum_texts(
    labels: Sequence[str], lost: Mapping[int, str], *, in_key: bool
) -> Sequence[bytes] | Mapping[int, bytes]:
    """The texts of an ENUM's numbers; ValueError for one that is not known, or in a key reads as another."""
    texts = (b"", *(label.encode() for label in labels))
    if not lost and not (in_key and read_alike(labels, lost)):
        return texts

    def text(number: int) -> bytes:
        if number in lost:
            raise ValueError(lost[number])
        found = texts[number]
        if in_key and (found in texts[1:number] or (number == 0 and b"" in texts[1:])):
            raise ValueError(_ALIKE.format(number, found.decode()))
        return found

    return Remembered(text)


def set_texts(labels: Sequence[str], lost: Mapping[int, str], *, in_key: bool) -> Mapping[int, bytes]:
    """The texts of a SET's bitmaps; ValueError for one that is not known, or in a key reads as another."""
    sets = Sets([label.encode() for label in labels])
    if not lost and not (in_key and read_alike(labels, lost)):
        return sets
    again = sum(1 << place for place, label in enumerate(labels) if label in labels[:place])
    empty = 1 << labels.index("") if "" in labels else -1

    def text(bits: int) -> bytes:
        for number, reason in lost.items():
            if bits >> number - 1 & 1:
                raise ValueError(reason)
        found = sets[bits]
        if in_key and (bits & again or bits == empty):
            raise ValueError(_ALIKE.format(bits, found.decode()))
        return found

    return Remembered(text)


def read_alike(labels: Sequence[str], lost: Collection[int]) -> bool:
    """Whether two values of labels that are known may have one text."""
    known = [label for number, label in enumerate(labels, start=1) if number not in lost]
    return "" in known or len({*known}) < len(known)
