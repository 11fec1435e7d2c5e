"""GTID sets of MySQL against plain sets of numbers; MariaDB's positions; the wire forms."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mysql.binlog.transactions import GtidEvent, read_gtid
from connectors.mysql.codec.framing import EventType
from connectors.mysql.errors import BinlogError, RefusedError
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
    assert members(of(one).without(of(other))) == one - other
    assert (str(of(one).without(of(other))) == "") == (one <= other)
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


SERVER = "37f66d08-e73d-11f1-83d2-02fc00000001"
TAGGED = {
    "026a000000026ed903da109d037a22c5030d02490304f10300000002040406026208080a0c0c7f275e7d3af1600610390412"
    "83120b": GtidEvent(f"{SERVER}:b:1", 1795439044943399, explicit=False, prepared_xa=False),
    "02a6000000026ed903da109d037a22c5030d02490304f103000000020404063e626c75655f7461675f6f665f736f6d655f6c"
    "656e6774685f30313233343536080c0a100c7f8e867d3af1600610b1041283120b": GtidEvent(
        f"{SERVER}:blue_tag_of_some_length_0123456:1", 1795439044953742, explicit=False, prepared_xa=False
    ),
    "028a0000000222446688aaccee21026502a902ed0231037503b903fd0300044f80e14e6806047a7a08140a180c7f3aba7d3a"
    "f160060e7f40e2a50731af051079041283120b": GtidEvent(
        "11223344-5566-7788-99aa-bbccddeeff00:zz:7000000001",
        1795439044966970,
        explicit=False,
        prepared_xa=False,
    ),
}
"""Events as MySQL 9.7 wrote them, and what `SELECT @@gtid_executed` and the clock gave."""


@pytest.mark.parametrize("event", TAGGED)
def test_tagged_gtids_of_a_server_are_read(event: str) -> None:
    assert read_gtid(EventType.TAGGED_GTID, bytes.fromhex(event), 1) == TAGGED[event]


@given(st.binary(max_size=60))
def test_a_damaged_tagged_gtid_is_refused(data: bytes) -> None:
    whole = bytes.fromhex(next(iter(TAGGED)))
    for damaged in (data, whole[: len(data) % len(whole)], b"\2" + data):
        with contextlib.suppress(BinlogError, RefusedError):
            GtidSet().with_gtid(read_gtid(EventType.TAGGED_GTID, damaged, 1).gtid)


def test_a_later_tagged_gtid_is_refused() -> None:
    with pytest.raises(RefusedError, match="requires field 11"):
        read_gtid(EventType.TAGGED_GTID, b"\x02\x20\x16", 1)
