"""The contract of every sink: what a store holds after replays, zombies, deletes and poison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import pytest

from streamjobs.errors import RetriableError, SystemicError
from streamjobs.sinks.contract import Attempt, Record, RecordKind, Sink, SinkTable, SinkTraits
from tests.contract.delivering import delivering
from tests.contract.stores import (
    FULL,
    LEAST,
    POISON_ID,
    TEXT_COLUMNS,
    Row,
    Store,
    attempt,
    delete,
    patient,
    row,
    upsert,
)

pytestmark = pytest.mark.services


@contextmanager
def opened(store: Store, table: SinkTable, who: Attempt | None = None) -> Iterator[Sink]:
    sink = store.sink(table)
    sink.open(who or attempt())
    try:
        yield sink
    finally:
        sink.close()


def accepted(sink: Sink, *batches: Sequence[Record]) -> None:
    for batch in batches:
        assert sink.write(batch).rejected == ()


def written_late(zombie: Sink, batch: Sequence[Record]) -> None:
    """Write as a delivery does: a newer attempt may have ended the connection, which tells nothing yet."""
    for _ in range(5):
        with suppress(RetriableError):
            accepted(zombie, batch)
            return
    raise AssertionError(batch)


def test_all_types_read_back_exactly_by_another_client(store: Store) -> None:
    table = store.table()
    with opened(store, table) as sink:
        accepted(sink, [upsert(1, **FULL), upsert(2), upsert(3, **LEAST)])
    assert store.rows(table) == {(1,): row(1, **FULL), (2,): row(2), (3,): row(3, **LEAST)}


def test_a_row_changes_in_every_column_and_back_to_null(store: Store) -> None:
    table = store.table()
    with opened(store, table) as sink:
        accepted(sink, [upsert(1, **FULL), upsert(2, **LEAST), upsert(3, **FULL)])
        accepted(sink, [upsert(1, 2, **LEAST), upsert(2, 2, **FULL), upsert(3, 2)])
    assert store.rows(table) == {(1,): row(1, **LEAST), (2,): row(2, **FULL), (3,): row(3)}


def test_written_twice_is_written_once(store: Store) -> None:
    table = store.table()
    batch = [upsert(1, name="a"), delete(2), upsert(3, name="c")]
    with opened(store, table) as sink:
        accepted(sink, batch, batch)
    assert store.rows(table) == {(1,): row(1, name="a"), (3,): row(3, name="c")}


@pytest.mark.parametrize("suffix", range(6))
def test_any_suffix_replayed_by_a_newer_attempt_gives_the_same_rows(store: Store, suffix: int) -> None:
    log = [upsert(1, 1, name="a"), upsert(2, 2, name="b"), delete(1, 3), upsert(3, 4), upsert(2, 5, name="z")]
    table = store.table()
    with opened(store, table) as first:
        accepted(first, *([record] for record in log))
        before = store.rows(table)
        with opened(store, table, attempt(1)) as newer:
            accepted(newer, *([record] for record in log[suffix:]))
    assert store.rows(table) == before == {(2,): row(2, name="z"), (3,): row(3)}


def test_an_older_attempt_changes_nothing_that_a_newer_one_wrote(store: Store) -> None:
    table = store.table()
    with opened(store, table) as zombie:
        accepted(zombie, [upsert(1, name="old"), upsert(2, name="old"), upsert(3, name="old")])
        with opened(store, table, attempt(1)) as newer:
            accepted(newer, [upsert(1, name="new"), delete(2), upsert(3, name="new"), upsert(4, name="new")])
            late = [upsert(1, 99, name="zombie"), upsert(2, 99, name="zombie"), delete(3, 99), delete(4, 99)]
            if store.fences:
                with pytest.raises(SystemicError, match="newer attempt"):
                    written_late(zombie, late)
            else:
                written_late(zombie, late)
            expected = {(1,): row(1, name="new"), (3,): row(3, name="new"), (4,): row(4, name="new")}
            assert store.rows(table) == expected
            accepted(newer, [upsert(5, 2)])
    assert store.rows(table) == {**expected, (5,): row(5)}


def test_an_older_attempt_that_opens_late_does_not_take_over(store: Store) -> None:
    table = store.table()
    with opened(store, table, attempt(1)) as newer:
        accepted(newer, [upsert(1, name="new")])
        zombie = store.sink(table)
        with suppress(SystemicError):
            zombie.open(attempt(0))
            written_late(zombie, [upsert(1, 99, name="zombie")])
        zombie.close()
        accepted(newer, [upsert(2, 2)])
    assert store.rows(table) == {(1,): row(1, name="new"), (2,): row(2)}


def test_a_submission_of_the_job_anew_takes_over_from_its_end(store: Store) -> None:
    table = store.table()
    with opened(store, table, attempt(7)) as sink:
        accepted(sink, [upsert(1, 99, name="a"), upsert(2, 98, name="a")])
    with opened(store, table, attempt(0, run="later")) as later:
        accepted(later, [upsert(1, 1, name="b"), delete(2, 2)])
    assert store.rows(table) == {(1,): row(1, name="b")}


def test_another_parallelism_takes_over_from_all_subtasks(store: Store) -> None:
    table = store.table()
    with (
        opened(store, table, attempt(parallelism=2)) as first,
        opened(store, table, attempt(subtask=1, parallelism=2)) as second,
    ):
        accepted(first, [upsert(1, 1, name="a")])
        accepted(second, [upsert(2, 1, name="b")])
        assert store.rows(table) == {(1,): row(1, name="a"), (2,): row(2, name="b")}
        with opened(store, table, attempt(1)) as alone:
            accepted(alone, [delete(1, 1), upsert(2, 2, name="c")])
            for zombie in (first, second):
                with suppress(SystemicError):
                    written_late(zombie, [upsert(1, 99, name="z"), upsert(2, 99, name="z")])
    assert store.rows(table) == {(2,): row(2, name="c")}


def test_a_restarted_subtask_leaves_its_sibling_alone(store: Store) -> None:
    table = store.table()
    with (
        opened(store, table, attempt(parallelism=2)) as first,
        opened(store, table, attempt(subtask=1, parallelism=2)),
        opened(store, table, attempt(1, subtask=1, parallelism=2)) as restarted,
    ):
        accepted(first, [upsert(1, name="a")])
        accepted(restarted, [upsert(2, name="b")])
    assert store.rows(table) == {(1,): row(1, name="a"), (2,): row(2, name="b")}


def test_deleting_a_missing_row_changes_nothing(store: Store) -> None:
    table = store.table()
    with opened(store, table) as sink:
        accepted(sink, [delete(1)])
    assert store.rows(table) == {}


def test_a_deleted_row_comes_back_with_its_new_values_only(store: Store) -> None:
    table = store.table()
    with opened(store, table) as sink:
        accepted(sink, [upsert(1, **FULL)], [delete(1, 2)], [upsert(1, 3, big=5)])
    assert store.rows(table) == {(1,): row(1, big=5)}


def test_key_change_is_a_delete_and_an_insert(store: Store) -> None:
    table = store.table()
    with opened(store, table) as sink:
        accepted(sink, [upsert(1, name="a")], [delete(1, 2), upsert(2, 3, name="a")])
    assert store.rows(table) == {(2,): row(2, name="a")}


def test_null_overwrites_and_absent_keeps(store: Store) -> None:
    table = store.table()
    with opened(store, table) as sink:
        accepted(sink, [upsert(1, name="a", big=5)])
        accepted(sink, [Record((1,), {"id": 1, "name": None}, RecordKind.UPSERT, 2)])
        accepted(sink, [Record((2,), {"id": 2, "big": 7}, RecordKind.UPSERT, 3)])
    assert store.rows(table) == {(1,): row(1, big=5), (2,): row(2, big=7)}


def test_keys_of_any_text_stay_apart(store: Store) -> None:
    table = store.table(TEXT_COLUMNS, ("a", "b"))
    keys = sorted(store.text_keys())
    with opened(store, table) as sink:
        accepted(sink, [Record(key, {"a": key[0], "b": key[1]}, RecordKind.UPSERT, 1) for key in keys])
        assert store.rows(table) == {(a, b): {"a": a, "b": b} for a, b in keys}
        gone, left = keys[::2], keys[1::2]
        accepted(sink, [Record(key, {}, RecordKind.DELETE, 2) for key in gone])
    assert store.rows(table) == {(a, b): {"a": a, "b": b} for a, b in left}


def test_full_batch_is_written_whole(store: Store) -> None:
    table = store.table()
    with opened(store, table) as sink:
        count = sink.traits.max_batch_rows
        accepted(sink, [upsert(n, name=f"n{n}") for n in range(count)])
    assert store.rows(table) == {(n,): row(n, name=f"n{n}") for n in range(count)}


def test_biggest_row_is_written_and_a_bigger_one_is_a_dead_letter(store: Store) -> None:
    table = patient(store.table())
    big = "x" * store.biggest_text
    with delivering(store, table) as (delivery, letters):
        delivery.write([upsert(1, name=big), upsert(2, name="x" * store.too_big_text), upsert(3)])
    assert [letter.table for letter in letters.kept] == [table.name]
    assert "key=(2,)" in letters.kept[0].detail
    found = store.rows(table)
    assert found.keys() == {(1,), (3,)}
    assert found[1,] == row(1, name=big)


def test_one_poison_in_a_thousand_is_one_dead_letter(store: Store) -> None:
    table = store.table()
    with delivering(store, table) as (delivery, letters):
        delivery.write([upsert(n, **(store.poison if n == POISON_ID else {})) for n in range(1000)])
    assert [f"key=({POISON_ID},)" in letter.detail for letter in letters.kept] == [True]
    assert store.rows(table) == {(n,): row(n) for n in range(1000) if n != POISON_ID}


def test_null_in_the_key_is_a_dead_letter(store: Store) -> None:
    table = store.table(TEXT_COLUMNS, ("a", "b"))
    with delivering(store, table) as (delivery, letters):
        whole: Row = {"a": "x", "b": "y"}
        delivery.write(
            [
                Record(("x", None), {"a": "x", "b": None}, RecordKind.UPSERT, 1),
                Record(("x", "y"), whole, RecordKind.UPSERT, 2),
            ]
        )
    assert ["key=('x', None)" in letter.detail for letter in letters.kept] == [True]
    assert store.rows(table) == {("x", "y"): whole}


def test_rows_of_two_subtasks_are_one_table(store: Store) -> None:
    table = store.table()
    with (
        opened(store, table, attempt(parallelism=2)) as first,
        opened(store, table, attempt(subtask=1, parallelism=2)) as second,
    ):
        accepted(first, [upsert(1, name="a")])
        accepted(second, [upsert(2, name="b")])
    assert store.rows(table) == {(1,): row(1, name="a"), (2,): row(2, name="b")}


def test_traits_are_all_said(store: Store) -> None:
    traits: SinkTraits = store.sink(store.table()).traits
    texts = (traits.guarantee, traits.idempotence, traits.deletes, traits.ordering, traits.rejects)
    assert all(text.endswith(".") and len(text) > 15 for text in texts)
    assert traits.max_batch_rows > 0
    assert traits.max_batch_bytes > 0
