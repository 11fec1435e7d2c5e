"""GTID sets of MySQL against plain sets of numbers; MariaDB's positions; the wire forms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mysql.errors import BinlogError
from connectors.mysql.gtid import GtidSet, MariaGtids
from streamjobs.errors import ConfigError

A, B = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "00000000-0000-0000-0000-000000000001"
NUMBERS = st.sets(st.tuples(st.sampled_from((A, B, f"{A}:tag")), st.integers(1, 30)), max_size=40)
Plain = set[tuple[str, int]]


def of(numbers: Plain) -> GtidSet:
    found = GtidSet()
    for source, number in sorted(numbers, key=lambda gtid: (gtid[1] * 7 % 31, gtid)):
        found = found.with_gtid(f"{source}:{number}")
    return found


def members(gtids: GtidSet) -> Plain:
    return {
        (source, n)
        for source, ranges in gtids.intervals.items()
        for low, high in ranges
        for n in range(low, high + 1)
    }


@given(NUMBERS)
def test_a_set_reads_back_from_text_and_bytes(numbers: Plain) -> None:
    found = of(numbers)
    assert members(found) == numbers
    assert GtidSet.parse(str(found)) == found
    assert GtidSet.decode(found.encoded()) == found
    assert str(GtidSet.parse(str(found).upper().replace(",", ",\n"))) == str(found)


@given(NUMBERS, NUMBERS)
def test_union_and_cover_are_those_of_sets(one: Plain, other: Plain) -> None:
    assert members(of(one).union(of(other))) == one | other
    assert of(one).covers(of(other)) == (other <= one)
    assert all((f"{source}:{number}" in of(one)) == ((source, number) in one) for source, number in other)


@given(st.binary(max_size=60))
def test_random_bytes_are_a_set_or_an_error(data: bytes) -> None:
    for read in (GtidSet.decode, MariaGtids.decode):
        try:
            read(data)
        except BinlogError:
            continue


@pytest.mark.parametrize("text", ["x:1", f"{A}:0", f"{A}:5-3", f"{A}:1-", f"{A}:9x"])
def test_what_is_no_set_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        GtidSet.parse(text)


def test_mariadb_positions_follow_each_domain() -> None:
    found = MariaGtids.parse("0-1-590, 7-2-3").with_gtid("0-2-591").with_gtid("9-1-1")
    assert str(found) == "0-2-591,7-2-3,9-1-1"
    assert found.covers(MariaGtids.parse("0-1-590"))
    assert not found.covers(MariaGtids.parse("8-1-1"))
    for wrong in ("0-1", "0-1-2,0-2-3", "a-b-c"):
        with pytest.raises(ConfigError):
            MariaGtids.parse(wrong)
