"""The bounds of a message, and the walk that enforces them before any object is built from it.

Thrift's C extension makes an object for every element that a message claims to have, and an empty struct is
one byte. A body up to `WALK_FREE_BYTES` cannot cost much; a bigger one is first walked, with a budget of
items.
"""

from __future__ import annotations

import struct

from streamjobs.errors import DecodeError
from thrift_idl import reasons

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""Size of the largest payload that is written or read."""
MAX_LIST_ITEMS = 16_384
"""Maximum number of elements in a list."""
MAX_COLUMNS = 4_096
"""Maximum number of columns of a table (MySQL's own limit)."""
MAX_SCHEMA_BYTES = 256 * 1024
"""Maximum UTF-8 bytes of one table's names and native types."""
WALK_FREE_BYTES = 64 * 1024
"""A body up to this size is decoded without a walk: its worst case is bounded by its size."""
MAX_ITEMS = 49_152
"""Maximum sum of struct fields and list elements in a body that is walked."""
MAX_DEPTH = 60
"""Maximum nesting of structs and containers; the C extension stops at 64."""

STOP, STRING, STRUCT, MAP, SET, LIST = 0, 11, 12, 13, 14, 15
_FIXED_BYTES = {2: 1, 3: 1, 4: 8, 6: 2, 8: 4, 10: 8, 16: 16}
_LENGTH = struct.Struct(">i")
_LIST_HEAD = struct.Struct(">Bi")
_MAP_HEAD = struct.Struct(">BBi")


class Walk:
    """Skips Thrift binary values in `data` without building them.

    Promise: it needs time for at most `budget` fields and elements, and no memory.
    Raises: DecodeError (truncated, too_large, protocol) from every method.
    """

    def __init__(self, data: bytes, budget: int = MAX_ITEMS) -> None:
        self._data = data
        self._left = budget

    def spend(self, items: int) -> None:
        """Subtract `items` from the budget."""
        self._left -= items
        if self._left < 0:
            raise DecodeError(reasons.TOO_LARGE, "more fields and list elements than a message may have")

    def skip(self, kind: int, at: int, depth: int = 0) -> int:
        """Return the offset after the value of wire type `kind` that starts at `at`."""
        size = _FIXED_BYTES.get(kind)
        if size is not None:
            return self._within(at + size)
        if kind == STRING:
            (length,) = self._unpack(_LENGTH, at)
            return self._within(at + 4 + _natural(length))
        if depth >= MAX_DEPTH:
            raise DecodeError(reasons.PROTOCOL, f"values nest deeper than {MAX_DEPTH} at byte {at}")
        if kind == STRUCT:
            return self._skip_struct(at, depth + 1)
        if kind in (LIST, SET):
            element, count = self._unpack(_LIST_HEAD, at)
            return self._skip_elements((element,), count, at + 5, depth + 1)
        if kind == MAP:
            key, value, count = self._unpack(_MAP_HEAD, at)
            return self._skip_elements((key, value), count, at + 6, depth + 1)
        raise DecodeError(reasons.PROTOCOL, f"{kind} at byte {at} is not a wire type")

    def _skip_struct(self, at: int, depth: int) -> int:
        data = self._data
        while at < len(data):
            kind = data[at]
            if kind == STOP:
                return at + 1
            self.spend(1)
            size = _FIXED_BYTES.get(kind)
            at = at + 3 + size if size else self.skip(kind, at + 3, depth)
        return self._within(at + 1)

    def _skip_elements(self, kinds: tuple[int, ...], count: int, at: int, depth: int) -> int:
        if _natural(count) > MAX_LIST_ITEMS:
            raise DecodeError(reasons.TOO_LARGE, f"a list of {count} elements; at most {MAX_LIST_ITEMS}")
        self.spend(count * len(kinds))
        sizes = [_FIXED_BYTES.get(kind, 0) for kind in kinds]
        if all(sizes):
            return self._within(at + count * sum(sizes))
        if kinds == (STRUCT,) and depth < MAX_DEPTH:
            for _ in range(count):
                at = self._skip_struct(at, depth + 1)
            return at
        if kinds == (STRING,):
            for _ in range(count):
                (length,) = self._unpack(_LENGTH, at)
                at += 4 + _natural(length)
            return self._within(at)
        for _ in range(count):
            for kind in kinds:
                at = self.skip(kind, at, depth)
        return at

    def _unpack(self, shape: struct.Struct, at: int) -> tuple[int, ...]:
        try:
            return shape.unpack_from(self._data, at)
        except struct.error:
            self._within(at + shape.size)
            raise

    def _within(self, end: int) -> int:
        if end > len(self._data):
            raise DecodeError(reasons.TRUNCATED, f"{len(self._data)} bytes, but a value ends at byte {end}")
        return end


def _natural(length: int) -> int:
    if length < 0:
        raise DecodeError(reasons.PROTOCOL, f"a length of {length}")
    return length
