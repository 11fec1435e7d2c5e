"""SQL for Flink with the offsets of its pieces in the job's file, to locate Flink's errors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """`sql[start:end]` of a statement copies the file's text from `offset` on (`exact`), or replaces it."""

    start: int
    end: int
    offset: int
    exact: bool = True


@dataclass(frozen=True)
class Written:
    """A statement for Flink. `offset` is the offset in the file of the text that it is made of."""

    sql: str
    offset: int
    pieces: tuple[Piece, ...] = ()

    def place(self, line: int, column: int) -> int:
        """Return the offset in the file of Flink's line and column; both count from 1, in UTF-16."""
        lines = self.sql.split("\n")
        if not 1 <= line <= len(lines):
            return self.offset
        before = lines[line - 1].encode("utf-16-le")[: 2 * (column - 1)].decode("utf-16-le", "ignore")
        at = sum(len(each) + 1 for each in lines[: line - 1]) + len(before)
        for piece in self.pieces:
            if piece.start <= at <= piece.end:
                return piece.offset + (at - piece.start if piece.exact else 0)
        return self.offset

    def inside(self, head: str, tail: str = "") -> Written:
        """Return it with text of ours before and after."""
        by = len(head)
        moved = (Piece(each.start + by, each.end + by, each.offset, each.exact) for each in self.pieces)
        return Written(head + self.sql + tail, self.offset, tuple(moved))


def copied(text: str, offset: int) -> Written:
    """Return a piece of the file, unchanged, from `offset` on."""
    return Written(text, offset, (Piece(0, len(text), offset),))


def joined(parts: list[Written]) -> Written:
    """Join parts; the result has the offset of the first."""
    sql, pieces = "", list[Piece]()
    for part in parts:
        pieces += part.inside(sql).pieces
        sql += part.sql
    return Written(sql, parts[0].offset, tuple(pieces))


def standing_for(text: str, offset: int) -> Written:
    """Return text of ours that replaces something at `offset` of the file."""
    return Written(text, offset, (Piece(0, len(text), offset, exact=False),))
