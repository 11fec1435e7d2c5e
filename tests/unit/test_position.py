"""A position is totally ordered, and its seq sorts in the same order and reads back."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamjobs.changes.position import SEQ_BYTES, Half, Position
from tests.unit.changes import POSITIONS

PLACES = st.tuples(POSITIONS, st.sampled_from(Half))
NEAR = st.builds(Position, st.integers(0, 1), st.integers(0, 1), st.integers(0, 257), st.integers(0, 1))
NEAR_PLACES = st.tuples(NEAR, st.sampled_from(Half))


@given(st.one_of(PLACES, NEAR_PLACES), st.one_of(PLACES, NEAR_PLACES))
def test_seqs_sort_as_places_do(one: tuple[Position, Half], other: tuple[Position, Half]) -> None:
    first, second = one[0].seq(one[1]), other[0].seq(other[1])
    assert (first < second) == (one < other)
    assert (first == second) == (one == other)


@given(PLACES)
def test_a_seq_reads_back(place: tuple[Position, Half]) -> None:
    position, half = place
    assert Position.of_seq(position.seq(half)) == place
    assert len(position.seq(half)) == SEQ_BYTES == 19


@given(st.lists(POSITIONS))
def test_positions_are_totally_ordered(positions: list[Position]) -> None:
    ordered = sorted(positions)
    assert all(a <= b for a, b in pairwise(ordered))
    assert ordered == sorted(reversed(positions))


def test_the_layout_is_the_published_one() -> None:
    seq = Position(epoch=1, file=2, offset=3, row=4).seq(Half.KEY_CHANGE_INSERT)
    assert seq.hex() == "0001" + "00000002" + "0000000000000003" + "00000004" + "03"


def test_a_snapshot_row_sorts_before_the_change_that_starts_there() -> None:
    position = Position(0, 3, 1547)
    assert position.seq(Half.SNAPSHOT) < position.seq() < position.seq(Half.KEY_CHANGE_DELETE)


def test_a_failover_sorts_after_everything_before_it() -> None:
    assert Position(0, 2**32 - 1, 2**64 - 1, 2**32 - 1).seq() < Position(1, 0, 0).seq()


@pytest.mark.parametrize("seq", [b"", b"\0" * 18, b"\0" * 20, b"\0" * 18 + b"\x04"])
def test_what_is_not_a_seq_is_refused(seq: bytes) -> None:
    with pytest.raises(ValueError, match=r"seq|Half"):
        Position.of_seq(seq)


def test_a_position_prints_its_parts() -> None:
    assert str(Position(0, 3, 1547, 2)) == "0:3:1547:2"
