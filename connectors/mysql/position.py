"""A position in the log of one server."""

from __future__ import annotations

from dataclasses import dataclass

from streamjobs.changes.position import Position


@dataclass(frozen=True, order=True)
class LogPosition:
    """A position in one server's log: file name and byte offset, such as `bin.000008:373`."""

    file: str
    offset: int

    @property
    def number(self) -> int:
        """The file's number: 8 for `bin.000008`; 0 if the name has none, as in a copy named `bin.copy`."""
        number = self.file.rpartition(".")[2]
        return int(number) if number.isdecimal() else 0

    def position(self, epoch: int, row: int = 0) -> Position:
        """Return the same position in the form that the source uses."""
        return Position(epoch, self.number, self.offset, row)

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}"
