"""Reading samples and dead letters back, and comparing them with the truth."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from streamjobs.brokers.contract import Envelope
from streamjobs.changes.dead_letter import DeadLetter, Replayed, Stage
from streamjobs.demo.comparison import compare, compare_dead_letters
from streamjobs.demo.ledger import ExpectedDeadLetter
from streamjobs.demo.outcome import (
    dead_letters_of_messages,
    sample_row,
    samples_of_messages,
    samples_of_records,
)

COLUMNS = ("impression_id", "event_time", "item_price", "item_title", "copies")


def envelope(payload: bytes) -> Envelope:
    return Envelope("ctr_samples", 0, payload, 0, 0)


def test_a_json_sample_is_read_exactly() -> None:
    payload = (
        '{"impression_id": 9007199254740993, "event_time": "2024-06-01 09:00:00.12Z",'
        ' "item_price": 99999999.99, "item_title": "手机壳 🎧", "copies": 2}'
    )
    read = samples_of_messages([envelope(payload.encode())], COLUMNS)
    key = 9007199254740993
    assert read.samples == {key: (key, 1717232400120, Decimal("99999999.99"), "手机壳 🎧", 2)}
    assert read.duplicates == 0


def test_a_second_sample_of_an_impression_is_counted() -> None:
    fields = {
        "impression_id": 1,
        "event_time": "2024-06-01T09:00:00Z",
        "item_price": None,
        "item_title": "",
        "copies": 1,
    }
    read = samples_of_messages([envelope(json.dumps(fields).encode())] * 3, COLUMNS)
    assert read.duplicates == 2
    assert list(read.samples) == [1]


def test_a_stores_values_read_like_json() -> None:
    at = datetime(2024, 6, 1, 11, 0, 0, 120_999, timezone(timedelta(hours=2)))
    record = {
        "impression_id": 1,
        "event_time": at,
        "item_price": Decimal("1.50"),
        "item_title": None,
        "copies": 1,
    }
    assert samples_of_records([record], COLUMNS).samples == {1: (1, 1717232400120, Decimal("1.5"), None, 1)}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("impression_id", "1"),
        ("event_time", None),
        ("event_time", "2024-06-01 09:00:00"),
        ("event_time", datetime(2024, 6, 1)),  # noqa: DTZ001 (a naive one must be refused)
        ("item_price", 1.5),
        ("copies", True),
        ("item_title", b"bytes"),
    ],
)
def test_a_value_of_another_type_is_refused(column: str, value: object) -> None:
    fields: dict[str, object] = {
        "impression_id": 1,
        "event_time": "2024-06-01 09:00:00Z",
        "item_price": 1,
        "item_title": "",
        "copies": 1,
    }
    with pytest.raises(ValueError, match="of a sample is"):
        samples_of_records([fields | {column: value}], COLUMNS)


def test_other_columns_are_refused() -> None:
    with pytest.raises(ValueError, match="a sample has the columns"):
        sample_row({"impression_id": 1}, COLUMNS)


def test_dead_letters_written_twice_count_once() -> None:
    letter = DeadLetter("t/0/1/2", Stage.LATE, "late", "", "job", "t", "t", 0, 1, 2, 5)
    note = Replayed(letter.id, "shop.item/1", 0)
    messages = [envelope(letter.to_json()), envelope(note.to_json()), envelope(letter.to_json())]
    assert dead_letters_of_messages(messages) == {letter.id: letter}


def test_comparison_counts_by_column_and_shows_the_first() -> None:
    expected = {key: (key, 10, None, "a", 1) for key in range(1, 15)}
    actual = {key: (key, 10, None, "b", 1) for key in range(2, 15)} | {99: (99, 1, None, "", 1)}
    found = compare(actual, expected, COLUMNS)
    assert not found.equal
    assert found.by_column == Counter({"item_title": 13, "(missing)": 1, "(unexpected)": 1})
    assert len(found.first) == 10
    assert found.first[2] == "impression 2: item_title is 'b', expected 'a'"
    assert str(found).startswith(
        "14 against 14 expected; item_title: 13, (missing): 1, (unexpected): 1\n  impression 1:"
    )


def test_equal_samples_compare_equal() -> None:
    rows = {1: (1, 10, Decimal("1.5"), "a", 1)}
    found = compare({1: (1, 10, Decimal("1.50"), "a", 1)}, rows, COLUMNS)
    assert (found.equal, str(found)) == (True, "all 1 equal")


def test_dead_letters_compare_by_id_and_stage() -> None:
    letters = {
        key: DeadLetter(key, stage, "why", "detail", "job", "t", "t", 0, 1, 2, 5)
        for key, stage in (("t/0/1/2", Stage.LATE), ("t/0/9/9", Stage.DECODE))
    }
    expected = {
        key: ExpectedDeadLetter(key, stage, "t")
        for key, stage in (("t/0/1/2", Stage.CONVERT), ("t/0/3/0", Stage.LATE))
    }
    assert compare_dead_letters(letters, expected).first == [
        "dead letter t/0/3/0 (late): not written",
        "dead letter t/0/9/9 (decode, why: detail)",
        "dead letter t/0/1/2: stage is late, expected convert",
    ]
    assert compare_dead_letters(letters, expected).by_column.total() == 3
