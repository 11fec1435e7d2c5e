"""Records that a store refuses become dead letters: one each, named by origin, and never a flood."""

from __future__ import annotations

import pytest

from streamjobs.changes.dead_letter import DeadLetter, Stage
from streamjobs.delivery import (
    DeadLetterCap,
)
from streamjobs.delivery.rejected import dead_letter_of
from streamjobs.errors import SystemicError
from streamjobs.sinks.contract import Rejection, SinkTable
from tests.unit.test_delivery import (
    COLUMNS,
    bench,
    delete,
    upsert,
)


@pytest.mark.parametrize("tells", [True, False])
def test_one_poison_in_a_thousand_is_one_dead_letter(tells: bool) -> None:
    it = bench(refuses=frozenset({(437,)}), tells=tells)
    it.delivery.write([upsert(n, origin=f"topic/0/{n}/0") for n in range(1000)])
    assert set(it.rows) == {(n,) for n in range(1000)} - {(437,)}
    assert it.letters.kept == [
        DeadLetter(
            id="topic/0/437/0", stage=Stage.SINK, reason="refused",
            detail=("this record" if tells else "one of the batch")
            + "; UPSERT key=(437,) values={'id': 437, 'a': None, 'b': None}",
            job="j", table="t", topic="topic", partition=0, offset=437, row=0, at_ms=1_000_000,
        )
    ]  # fmt: skip
    assert len(it.sink.batches) <= (1 if tells else 21)


@pytest.mark.parametrize(
    ("kept", "place"),
    [
        ("shop.item/1/437/2", ("shop.item", 1, 437, 2)),
        ("a/b/1/437/-1", ("a/b", 1, 437, -1)),
        (None, ("", -1, -1, -1)),
        ("no origin", ("", -1, -1, -1)),
        ("shop.item/1/437", ("", -1, -1, -1)),
        ("shop.item/1/437/x", ("", -1, -1, -1)),
    ],
)
def test_poison_names_the_message_that_the_query_keeps(
    kept: str | None, place: tuple[str, int, int, int]
) -> None:
    table = SinkTable("t", COLUMNS, ("id",), {"originColumn": "b"})
    rejected = Rejection(upsert(1, b=kept), "refused", "this record")
    letter = dead_letter_of(rejected, "j", table, 1000)
    assert (letter.topic, letter.partition, letter.offset, letter.row) == place
    assert letter.has_origin is (place[1] >= 0)
    assert letter.id.startswith("t/")
    assert dead_letter_of(Rejection(delete(1), "refused", "x"), "j", table, 1000).has_origin is False


def test_two_rows_of_one_message_are_two_letters() -> None:
    table = SinkTable("t", COLUMNS, ("id",), {"originColumn": "b"})
    letters = [
        dead_letter_of(Rejection(upsert(key, b="shop.item/1/437/2"), "refused", "x"), "j", table, 1000)
        for key in (1, 2)
    ]
    assert len({letter.id for letter in letters}) == 2
    assert len({(letter.topic, letter.partition, letter.offset) for letter in letters}) == 1


def test_poison_without_origin_has_the_same_id_on_every_replay() -> None:
    ids = []
    for version in (1, 2):
        it = bench(refuses=frozenset({(1,)}))
        it.delivery.write([upsert(1, version, a="x")])
        ids += [letter.id for letter in it.letters.kept]
    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_flood_of_poison_stops_the_job_before_it_is_dead_lettered() -> None:
    it = bench(refuses=frozenset((n,) for n in range(500)), tells=False, cap=DeadLetterCap(0.05, 100, 60))
    with pytest.raises(SystemicError, match=r"refused 101 of \d+ records .* Last: key \(\d+,\): refused"):
        it.delivery.write([upsert(n) for n in range(500)])
    assert it.letters.kept == []


def test_dead_letters_are_retried_until_they_are_durable() -> None:
    it = bench(refuses=frozenset({(1,)}))
    it.letters.failures = 3
    it.delivery.write([upsert(1), upsert(2)])
    assert [letter.table for letter in it.letters.kept] == ["t"]
    assert it.metrics.counts()["dead_letters"] == 1
