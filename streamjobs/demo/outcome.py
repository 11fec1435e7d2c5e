"""The actual results: samples and dead letters, read from where the job wrote them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Final

from streamjobs.brokers.contract import Envelope
from streamjobs.changes.dead_letter import DeadLetter, Replayed
from streamjobs.demo.truth import SampleRow, Samples, SampleValue

TIME_COLUMN: Final = "event_time"
DECIMAL_COLUMNS: Final = frozenset({"item_price"})

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")


@dataclass(frozen=True)
class ReadSamples:
    """Samples by impression id, and how many were found more than once."""

    samples: Samples
    duplicates: int


def samples_of_messages(messages: Iterable[Envelope], columns: Sequence[str]) -> ReadSamples:
    """Read the JSON samples of a topic. Raises ValueError when one has another format or other columns."""
    samples: dict[int, SampleRow] = {}
    duplicates = 0
    for envelope in messages:
        row = sample_row(json.loads(envelope.payload, parse_float=Decimal), columns)
        duplicates += _key(row) in samples
        samples[_key(row)] = row
    return ReadSamples(samples, duplicates)


def samples_of_records(records: Iterable[Mapping[str, object]], columns: Sequence[str]) -> ReadSamples:
    """Read the rows of a store's table. Raises ValueError when one has another format or other columns."""
    samples: dict[int, SampleRow] = {}
    duplicates = 0
    for record in records:
        row = sample_row(record, columns)
        duplicates += _key(row) in samples
        samples[_key(row)] = row
    return ReadSamples(samples, duplicates)


def dead_letters_of_messages(messages: Iterable[Envelope]) -> dict[str, DeadLetter]:
    """Return the dead letters by id: one that was written again after a restart counts once.

    Notes of replays among them are skipped.
    """
    payloads = [each.payload for each in messages if Replayed.from_json(each.payload) is None]
    return {letter.id: letter for letter in map(DeadLetter.from_json, payloads)}


def sample_row(fields: Mapping[str, object], columns: Sequence[str]) -> SampleRow:
    """Return the values in column order, in the form of the truth: times in epoch ms, exact decimals.

    Raises: ValueError when the columns are others, or a value has a type that its column cannot have.
    """
    if fields.keys() != set(columns):
        message = f"a sample has the columns {sorted(fields)}, expected {sorted(columns)}"
        raise ValueError(message)
    return tuple(_value(column, fields[column]) for column in columns)


def _value(column: str, value: object) -> SampleValue:
    if column == TIME_COLUMN:
        return _epoch_ms(value)
    if column in DECIMAL_COLUMNS and isinstance(value, int | str):
        return Decimal(value)
    if value is None or (isinstance(value, int | str | Decimal) and not isinstance(value, bool)):
        return value
    message = f"{column} of a sample is {value!r} of type {type(value).__name__}"
    raise ValueError(message)


def _epoch_ms(value: object) -> int:
    """Return epoch milliseconds of an aware datetime or of text like `2024-06-01 09:00:00.123Z`."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return (value - _EPOCH) // timedelta(milliseconds=1)
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        message = f"{TIME_COLUMN} of a sample is {value!r}, expected a time in UTC"
        raise ValueError(message)
    date, clock, fraction = found.groups()
    whole = datetime.fromisoformat(f"{date}T{clock}+00:00")
    return (whole - _EPOCH) // timedelta(seconds=1) * 1000 + int((fraction or "0").ljust(9, "0")[:3])


def _key(row: SampleRow) -> int:
    key = row[0]
    if not isinstance(key, int):
        message = f"the impression id of a sample is {key!r}"
        raise ValueError(message)
    return key
