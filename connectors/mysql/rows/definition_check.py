"""Compares a definition that was followed through the log with the server's."""

from __future__ import annotations

from itertools import zip_longest

from connectors.mysql.codec import charsets
from connectors.mysql.rows.stored_types import stored_of
from connectors.mysql.schema.definitions import ColumnDefinition, TableDefinition

_SIGNED = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})


_ALIASES = {"geomcollection": "geometrycollection"}


def differences(followed: TableDefinition, shown: TableDefinition) -> list[str]:
    """Return how a definition that was followed through the log differs from the server's.

    Only what rows depend on counts: the columns' names, storage, signs, character sets and labels, the
    character set of new columns, and the primary key. A label that the server's catalogue cannot show equals
    any other. Shape of a line: "column 2 is `a` int in the log and `b` int on the server".
    """
    found = [
        f"column {number} is {_shown(ours)} in the log and {_shown(theirs)} on the server"
        for number, (ours, theirs) in enumerate(zip_longest(followed.columns, shown.columns), start=1)
        if ours is None or theirs is None or not _alike(ours, theirs)
    ]
    if followed.charset and _charset(followed.charset) != _charset(shown.charset):
        found.append(f"new columns get {followed.charset} in the log and {shown.charset} on the server")
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
    """Return one name for a character set: older servers call utf8mb3 utf8."""
    return charsets.charset(name).name if name else ""


def _labels_alike(ours: ColumnDefinition, theirs: ColumnDefinition) -> bool:
    lost = {*ours.lost_labels, *theirs.lost_labels}
    pairs = zip_longest(ours.labels, theirs.labels)
    return all(number in lost or one == other for number, (one, other) in enumerate(pairs, start=1))


def _shown(column: ColumnDefinition | None) -> str:
    if column is None:
        return "missing"
    charset = f" CHARACTER SET {column.charset}" if column.charset else ""
    return f"`{column.name}` {column.native_type}{charset}"
