"""A followed definition held against the server's: in what rows would be read differently."""

from __future__ import annotations

from itertools import zip_longest

from connectors.mysql.codec import charsets
from connectors.mysql.rows.stored_types import stored_of
from connectors.mysql.schema.definitions import ColumnDefinition, TableDefinition

_SIGNED = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})


_ALIASES = {"geomcollection": "geometrycollection"}


def differences(followed: TableDefinition, shown: TableDefinition) -> list[str]:
    """Say how a definition that was followed through the log is not the one that the server shows.

    Only what rows depend on counts: the columns' names, storage, signs, sets and labels, the set of columns
    that are added later, and the primary key.
    A label that the server's catalogue cannot spell is like any other. Shape of a line: "column 2 is `a` int
    in the log and `b` int on the server".
    """
    found = [
        f"column {place} is {_spelled(ours)} in the log and {_spelled(theirs)} on the server"
        for place, (ours, theirs) in enumerate(zip_longest(followed.columns, shown.columns), start=1)
        if ours is None or theirs is None or not _alike(ours, theirs)
    ]
    if followed.charset and _charset(followed.charset) != _charset(shown.charset):
        found.append(f"new columns are of {followed.charset} in the log and of {shown.charset} on the server")
    if followed.primary_key != shown.primary_key:
        keys = [f"({', '.join(one.primary_key)})" for one in (followed, shown)]
        found.append(f"the primary key is {keys[0]} in the log and {keys[1]} on the server")
    return found


def _alike(ours: ColumnDefinition, theirs: ColumnDefinition) -> bool:
    return (
        ours.name == theirs.name
        and _ALIASES.get(ours.type, ours.type) == _ALIASES.get(theirs.type, theirs.type)
        and stored_of(ours) == stored_of(theirs)
        and (ours.unsigned == theirs.unsigned or ours.type not in _SIGNED)
        and _charset(ours.charset) == _charset(theirs.charset)
        and _labels_alike(ours, theirs)
    )


def _charset(name: str) -> str:
    """One name for a set: older servers say utf8 for utf8mb3."""
    return charsets.charset(name).name if name else ""


def _labels_alike(ours: ColumnDefinition, theirs: ColumnDefinition) -> bool:
    lost = {*ours.lost_labels, *theirs.lost_labels}
    pairs = zip_longest(ours.labels, theirs.labels)
    return all(number in lost or one == other for number, (one, other) in enumerate(pairs, start=1))


def _spelled(column: ColumnDefinition | None) -> str:
    if column is None:
        return "not there"
    charset = f" CHARACTER SET {column.charset}" if column.charset else ""
    return f"`{column.name}` {column.native_type}{charset}"
