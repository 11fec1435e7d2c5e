"""Texts of ENUM and SET values, with values whose text is unknown or equals the text of another value.

In a primary key, an ENUM's invalid value (number 0) reads as '', which may also be a label; a SET with the
one label '' reads as the empty set; without strict mode a label may occur twice. Such rows would be one row
downstream, so one of the numbers has no text: its rows are sent to the dead-letter topic.

A label may be lost: the servers' catalogues show `?` for characters above U+FFFF and for bytes that are not
characters, and MariaDB keeps the bytes of labels when it converts their column. Rows with such a label are
sent to the dead-letter topic, too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from connectors.mysql.codec import charsets
from connectors.mysql.codec.charsets import Charset
from connectors.mysql.codec.values import Remembered, Sets
from connectors.mysql.schema.definitions import ColumnDefinition

_ALIKE = (
    "the value number {} reads as {!r}, like another value, but the server compares keys by number: one row "
    "would replace the other"
)
_IN_CATALOGUE: Final = (
    "label {0} of column {2} is {1!r} in the server's catalogue, which shows '?' for what it cannot encode; "
    "SET GLOBAL binlog_row_metadata = 'FULL'"
)
_IN_LOG: Final = (
    "label {} is {!r} in the log, which is not {}; declare the column again with its labels (MODIFY)"
)

_BYTES: Final = "label {} is {!r}, and its column has no character set (binary); declare it with one (MODIFY)"


def doubtful_labels(labels: Sequence[str], charset: str) -> tuple[int, ...]:
    """Return the numbers, from 1 on, of labels that may not be what the catalogue shows.

    In a column of bytes (`binary`) the declaring client's character set decides, which is not known.
    """
    if charset == "binary":
        return tuple(number for number, label in enumerate(labels, start=1) if not label.isascii())
    if not charset or charsets.shown_as_they_are(charsets.charset(charset)):
        return ()
    return tuple(number for number, label in enumerate(labels, start=1) if "?" in label)


def lost_in_catalogue(column: ColumnDefinition) -> Mapping[int, str]:
    """Return why labels of a declared column are not known: number -> reason."""
    return {
        number: (_BYTES if column.charset == "binary" else _IN_CATALOGUE).format(
            number, column.labels[number - 1], column.name
        )
        for number in column.lost_labels
    }


def labels_in_log(labels: Sequence[bytes], charset: Charset) -> tuple[tuple[str, ...], Mapping[int, str]]:
    """Return the labels in a TABLE_MAP, and why some are not known: number -> reason."""
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
    """Return the texts of an ENUM's numbers.

    A look-up raises ValueError for a number whose text is unknown, or in a key equals another's.
    """
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
    """Return the texts of a SET's bitmaps.

    A look-up raises ValueError for a bitmap whose text is unknown, or in a key equals another's.
    """
    sets = Sets([label.encode() for label in labels])
    if not lost and not (in_key and read_alike(labels, lost)):
        return sets
    again = sum(1 << index for index, label in enumerate(labels) if label in labels[:index])
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
    """Return whether two values with known labels may have the same text."""
    known = [label for number, label in enumerate(labels, start=1) if number not in lost]
    return "" in known or len({*known}) < len(known)
