"""Log files that end in the middle of a transaction, because MariaDB was killed while it wrote.

Such a transaction was never committed: the server rolls it back at its restart, begins another file, and
leaves the torn one as it is (MySQL cuts it off). A server sends only complete transactions of the file that
it is writing, so only older files can be torn: those that had a successor when the stream was opened.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from connectors.mysql.binlog.event_groups import Group, begun
from connectors.mysql.codec.framing import EventSource, EventType, Format, FramedEvent
from connectors.mysql.codec.packet import PackedReader
from connectors.mysql.errors import PositionLostError
from connectors.mysql.gtid import MariaGtids
from connectors.mysql.position import LogPosition

logger = logging.getLogger(__name__)

_END_OF_FILE: Final = (EventType.ROTATE, EventType.FORMAT_DESCRIPTION)


class TruncatedFileError(PositionLostError):
    """The server reports that a file ends in the middle of an event."""


class ReopeningSource(EventSource, Protocol):
    """A stream that can be opened again after a torn file."""

    def skip_to_next_file(self, torn: LogPosition) -> None:
        """Continue with the file after that of `torn`, which is the end of its last complete transaction.

        Raises: PositionLostError if more than one transaction is missing between, and as Session does.
        """


class WholeTransactions:
    """Removes transactions without an end from the events of a stream; implements `EventSource`.

    The events of each transaction are held until its last one has arrived, in files before the number
    `written`. A warning is logged for each transaction that is left out.
    """

    def __init__(self, source: ReopeningSource, file: str, written: int) -> None:
        self._source = source
        self._file = file
        self._written = written
        self._end = 4
        self._held: Group | None = None

    def __iter__(self) -> Iterator[tuple[FramedEvent, Format]]:
        while True:
            try:
                yield from self._events()
            except TruncatedFileError:
                if self._is_written:
                    raise
                self._leave_out()
                self._source.skip_to_next_file(LogPosition(self._file, self._end))
            else:
                return

    def close(self) -> None:
        """Free the source."""
        self._source.close()
        self._let_go()

    @property
    def _is_written(self) -> bool:
        """Return whether the server is writing the file, or has not yet sent the file's name."""
        return not self._file or LogPosition(self._file, 4).number >= self._written

    def _events(self) -> Iterator[tuple[FramedEvent, Format]]:
        for event, used in self._source:
            kind = event.header.type
            if kind in _END_OF_FILE and self._held is not None:
                self._leave_out()
            if kind == EventType.ROTATE:
                self._rotated(event, used)
            if kind == EventType.MARIA_GTID and not self._is_written:
                yield from self._released(event.start)  # another follows: it was complete
                self._held = begun(event, used)
            if self._held is None:
                self._end = event.end or self._end
                yield event, used
                continue
            self._held.add(event)
            if self._held.ended_by(event):
                yield from self._released(event.end)

    def _released(self, end: int | None) -> Iterator[tuple[FramedEvent, Format]]:
        if self._held is not None:
            self._end = end or self._end
            yield from self._held.events()
        self._let_go()

    def _rotated(self, event: FramedEvent, used: Format) -> None:
        reader = PackedReader(used.body(event.data, self._file))
        reader.take(8)
        file = reader.rest().decode("utf-8", "replace")
        if file != self._file:
            self._file, self._end = file, 4

    def _leave_out(self) -> None:
        if self._held is not None:
            logger.warning(
                "the server was killed while it wrote transaction %s at %s:%d; the transaction was never "
                "committed and is skipped", self._held.gtid, self._file, self._end,
            )  # fmt: skip
        self._let_go()

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.close()


def next_file(
    names: list[str], torn: LogPosition, state_at: Callable[[LogPosition], MariaGtids]
) -> LogPosition:
    """Return where the log continues after a torn file. Raises PositionLostError.

    `state_at` returns the last GTID of each domain before a position. Only the torn transaction may be
    missing between the last complete one and the next file: if more are missing, the file is damaged.
    """
    following = names[names.index(torn.file) + 1 :] if torn.file in names else []
    if not following:
        message = f"{torn.file} ends in the middle of an event, and no file follows it: take a new snapshot"
        raise PositionLostError(message, str(torn))
    place = LogPosition(following[0], 4)
    before, after = state_at(torn).domains, state_at(place).domains
    missing = sum(number - before.get(domain, (0, 0))[1] for domain, (_, number) in after.items())
    if missing > 1:
        message = (
            f"{torn.file} is damaged after this position: {missing} transactions are missing before "
            f"{place.file} begins. Take a new snapshot"
        )
        raise PositionLostError(message, str(torn))
    return place
