"""SQL that is written for Flink, with the places of its pieces in the job's file: for Flink's errors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """`sql[start:end]` of a statement is the file's text from `offset` on, or stands for it (not `exact`)."""

    start: int
    end: int
    offset: int
    exact: bool = True


@dataclass(frozen=True)
class Written:
    """A statement for Flink. `offset` is the place in the file of what it is made of."""

    sql: str
    offset: int
    pieces: tuple[Piece, ...] = ()

    def place(self, line: int, column: int) -> int:
        """Give the place in the file of a line and column that Flink names; both count from 1, in UTF-16."""
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
        """Put text of ours in front and behind."""
        by = len(head)
        moved = (Piece(each.start + by, each.end + by, each.offset, each.exact) for each in self.pieces)
        return Written(head + self.sql + tail, self.offset, tuple(moved))


def copied(text: str, offset: int) -> Written:
    """Give a piece of the file as it stands there, from `offset` on."""
    return Written(text, offset, (Piece(0, len(text), offset),))


def joined(parts: list[Written]) -> Written:
    """Put parts together; the whole has the place of the first."""
    sql, pieces = "", list[Piece]()
    for part in parts:
        pieces += part.inside(sql).pieces
        sql += part.sql
    return Written(sql, parts[0].offset, tuple(pieces))


def standing_for(text: str, offset: int) -> Written:
    """Give text of ours that stands for something at `offset` of the file."""
    return Written(text, offset, (Piece(0, len(text), offset, exact=False),))
