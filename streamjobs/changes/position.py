"""The position of a change in its source, and the sortable `seq` made from it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

_SEQ = struct.Struct(">HIQIB")
SEQ_BYTES = _SEQ.size
"""Length of every `seq`: 2 epoch + 4 file + 8 offset + 4 row + 1 half = 19 bytes."""


class Half(IntEnum):
    """Which part of one row event a change is; orders changes that share a position."""

    SNAPSHOT = 0
    ONLY = 1
    KEY_CHANGE_DELETE = 2
    KEY_CHANGE_INSERT = 3


@dataclass(frozen=True, order=True)
class Position:
    """A position in one source's log, totally ordered.

    Shape: `Position(epoch=0, file=3, offset=1547, row=2)`. `offset` is a byte offset in the file (for a
    generator: a running number). A stored position means *where the next read starts*.

    `epoch` grows by one whenever the source is replaced by another server (failover), so that positions
    of the new server sort after all of the old one's.
    """

    epoch: int
    file: int
    offset: int
    row: int = 0

    def seq(self, half: Half = Half.ONLY) -> bytes:
        """Return the fixed-width bytes that sort in the order of the changes.

        Promise: deterministic; two captures of the same log give the same bytes. Big-endian unsigned
        fields, so a byte comparison (SQL: BYTES, ORDER BY) is the order of the changes. A snapshot row
        has the snapshot's position with `Half.SNAPSHOT`: it sorts before any event that starts there.
        It orders ingest only and is never a sink's version.
        """
        return _SEQ.pack(self.epoch, self.file, self.offset, self.row, half)

    @classmethod
    def of_seq(cls, seq: bytes) -> tuple[Position, Half]:
        """Read the position of a `seq`. Raises ValueError when it is not a `seq`."""
        if len(seq) != SEQ_BYTES:
            message = f"a seq has {SEQ_BYTES} bytes, this has {len(seq)}: {seq.hex()}"
            raise ValueError(message)
        epoch, file, offset, row, half = _SEQ.unpack(seq)
        return cls(epoch, file, offset, row), Half(half)

    @classmethod
    def of_text(cls, text: str) -> Position:
        """Read the text that `str` returns. Raises ValueError when it is not a position."""
        epoch, file, offset, row = map(int, text.split(":"))
        return cls(epoch, file, offset, row)

    def __str__(self) -> str:
        return f"{self.epoch}:{self.file}:{self.offset}:{self.row}"
