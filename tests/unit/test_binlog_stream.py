"""Where the events of a stream stand: told by the server, or counted from their sizes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mysql.binlog.stream import _Offsets
from connectors.mysql.codec.framing import EventType, Header
from connectors.mysql.errors import BinlogError

ARTIFICIAL = 0x20
GIB4 = 1 << 32
SIZES = st.integers(19, 1 << 30)
TRANSACTIONS = st.lists(st.lists(SIZES, min_size=1, max_size=6), min_size=1, max_size=8)


def header(kind: int, size: int, end: int, flags: int = 0) -> Header:
    return Header(0, kind, 1, size, end % GIB4, flags)


def begin(offsets: _Offsets) -> None:
    """Let the server say in which file it starts, and how that file is written."""
    assert offsets.of(header(EventType.ROTATE, 40, 0, ARTIFICIAL)) == (None, None)
    assert offsets.of(header(EventType.FORMAT_DESCRIPTION, 252, 256)) == (4, 256)


def placed(offsets: _Offsets, transactions: Sequence[Sequence[int]], *, ends: bool) -> None:
    """Send transactions whose inner events tell their ends or not, and compare with where they are."""
    at = 256
    for sizes in transactions:
        for number, size in enumerate(sizes):
            told = at + size if ends or number == 0 else 0
            kind = EventType.WRITE_ROWS_V1 if number else EventType.MARIA_GTID
            assert offsets.of(header(kind, size, told)) == (at, at + size)
            at += size


@given(TRANSACTIONS, st.booleans())
def test_offsets_are_those_of_the_file_whether_events_tell_their_ends_or_not(
    transactions: list[list[int]], ends: bool
) -> None:
    offsets = _Offsets()
    begin(offsets)
    placed(offsets, transactions, ends=ends)


def test_what_is_in_no_file_is_not_counted() -> None:
    offsets = _Offsets()
    begin(offsets)
    assert offsets.of(header(EventType.MARIA_GTID, 42, 298)) == (256, 298)
    assert offsets.of(header(EventType.HEARTBEAT, 40, 298)) == (None, None)
    assert offsets.of(header(EventType.MARIA_GTID_LIST, 60, 0, ARTIFICIAL)) == (None, None)
    assert offsets.of(header(EventType.TABLE_MAP, 50, 0)) == (298, 348)


def test_a_stream_that_starts_in_the_middle_of_a_file_counts_from_its_first_event() -> None:
    offsets = _Offsets()
    offsets.of(header(EventType.ROTATE, 40, 0, ARTIFICIAL))
    assert offsets.of(header(EventType.FORMAT_DESCRIPTION, 252, 0)) == (None, None)
    assert offsets.of(header(EventType.MARIA_GTID, 42, 9042)) == (9000, 9042)
    assert offsets.of(header(EventType.TABLE_MAP, 50, 0)) == (9042, 9092)


def test_a_new_file_begins_to_count_anew() -> None:
    offsets = _Offsets()
    begin(offsets)
    placed(offsets, [[100, 200]], ends=False)
    assert offsets.of(header(EventType.ROTATE, 40, 596)) == (556, 596)
    begin(offsets)
    placed(offsets, [[100, 200]], ends=False)


def test_transactions_that_the_server_passes_over_leave_a_gap() -> None:
    offsets = _Offsets()
    begin(offsets)
    placed(offsets, [[100, 200]], ends=False)
    assert offsets.of(header(EventType.MARIA_GTID, 42, 1042)) == (1000, 1042)


def test_sizes_that_go_past_the_next_event_are_refused() -> None:
    offsets = _Offsets()
    begin(offsets)
    placed(offsets, [[100, 200]], ends=False)
    with pytest.raises(BinlogError) as caught:
        offsets.of(header(EventType.MARIA_GTID, 42, 590))
    assert str(caught.value) == "an event of type 162 ends at 590, and the one before it at 556"
