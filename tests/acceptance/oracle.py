"""A batch computation of the samples in SQLite, over the decoded log or over the raw event file.

It shares no code with the generator's truth: rows go into tables as they are, and one SQL statement
says what a sample is.
"""

from __future__ import annotations

import csv
import gzip
import sqlite3
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

from streamjobs.brokers.contract import Envelope
from streamjobs.changes.row_change import ChangeKind, RowChange, SqlType
from streamjobs.errors import DecodeError
from thrift_idl.codec import decode

Row = tuple[int | str | Decimal | None, ...]

INTEGERS = {SqlType.BIGINT, SqlType.INT}

TABLES = {
    "ad.impression": ("impression_id", "user_id", "item_id", "scene", "slot", "event_time_ms"),
    "ad.click": ("click_id", "impression_id", "user_id", "event_time_ms"),
    "shop.item": ("item_id", "title", "category_id", "price"),
    "shop.user": ("user_id", "city", "age", "level"),
    "ub.impression": ("impression_id", "user_id", "item_id", "category_id", "event_time_ms"),
    "ub.conversion": ("event_id", "user_id", "item_id", "behavior", "event_time_ms"),
}
TEXTS = {"scene", "title", "price", "city", "behavior"}

CTR = """
WITH
  impression AS (
    SELECT DISTINCT impression_id, user_id, item_id, scene, slot, event_time_ms AS t,
           count(*) OVER (PARTITION BY impression_id) AS copies
    FROM "ad.impression" WHERE event_time_ms >= message_ms),
  click AS (SELECT DISTINCT click_id, impression_id, event_time_ms AS t FROM "ad.click" WHERE event_time_ms >= message_ms),
  attributed AS (
    SELECT i.impression_id, count(*) AS clicks, min(c.t - i.t) AS delay
    FROM impression i JOIN click c ON c.impression_id = i.impression_id
    WHERE c.t - i.t BETWEEN 0 AND 1800000 GROUP BY i.impression_id)
SELECT i.impression_id, i.user_id, i.item_id, i.scene, i.slot, i.t,
       it.title, it.category_id, it.price, u.city, u.age, u.level,
       coalesce(a.clicks, 0), a.delay, a.clicks IS NOT NULL, i.copies
FROM impression i
LEFT JOIN attributed a ON a.impression_id = i.impression_id
LEFT JOIN "shop.item" it ON NOT it.deleted AND it.place = (
  SELECT place FROM "shop.item" v WHERE v.item_id = i.item_id AND v.committed_ms <= i.t AND v.committed_ms >= v.message_ms
  ORDER BY v.committed_ms DESC, v.place DESC LIMIT 1)
LEFT JOIN "shop.user" u ON NOT u.deleted AND u.place = (
  SELECT place FROM "shop.user" v WHERE v.user_id = i.user_id AND v.committed_ms <= i.t AND v.committed_ms >= v.message_ms
  ORDER BY v.committed_ms DESC, v.place DESC LIMIT 1)
"""  # noqa: E501

BEHAVIOR = """
WITH
  impression AS (
    SELECT DISTINCT impression_id, user_id, item_id, category_id, event_time_ms AS t,
           count(*) OVER (PARTITION BY impression_id) AS copies
    FROM "ub.impression" WHERE event_time_ms >= message_ms),
  conversion AS (SELECT DISTINCT event_id, user_id, item_id, event_time_ms AS t
                 FROM "ub.conversion" WHERE event_time_ms >= message_ms),
  attributed AS (
    SELECT i.impression_id, count(*) AS clicks, min(c.t - i.t) AS delay
    FROM impression i JOIN conversion c ON c.user_id = i.user_id AND c.item_id = i.item_id
    WHERE c.t - i.t BETWEEN 0 AND 1800000 GROUP BY i.impression_id)
SELECT i.impression_id, i.user_id, i.item_id, i.category_id, i.t,
       coalesce(a.clicks, 0), a.delay, a.clicks IS NOT NULL, i.copies
FROM impression i LEFT JOIN attributed a ON a.impression_id = i.impression_id
"""

EVENTS = """
SELECT i.line, i.user, i.item, i.category, i.t * 1000, count(c.line), min(c.t - i.t) * 1000, count(c.line) > 0
FROM event i
LEFT JOIN event c
  ON c.user = i.user AND c.item = i.item AND c.behavior <> 'pv' AND c.t - i.t BETWEEN 0 AND 1800
WHERE i.behavior = 'pv'
GROUP BY i.line
"""


class Oracle:
    """Raw rows in tables; one table a topic, with the message's time and the row's place in the log."""

    def __init__(self) -> None:
        self._db = sqlite3.connect(":memory:")
        self.broken = 0
        """Messages that cannot be decoded."""
        self.unfit = 0
        """Rows whose columns are not of the declared types, or without an event time."""
        for table, columns in TABLES.items():
            named = ", ".join(f'"{name}" {"TEXT" if name in TEXTS else "INTEGER"}' for name in columns)
            self._db.execute(f'CREATE TABLE "{table}" ({named}, deleted, committed_ms, message_ms, place)')
        for table, column in (
            ("ad.click", "impression_id"),
            ("shop.item", "item_id"),
            ("shop.user", "user_id"),
        ):
            self._db.execute(f'CREATE INDEX "{table}_{column}" ON "{table}" ({column}, committed_ms)')
        self._db.execute('CREATE INDEX item_place ON "shop.item" (place)')
        self._db.execute('CREATE INDEX user_place ON "shop.user" (place)')
        self._db.execute('CREATE INDEX conversion_pair ON "ub.conversion" (user_id, item_id)')

    def load(self, messages: Iterable[Envelope]) -> None:
        """Insert every row of the log; a broken message is counted and left out."""
        for envelope in messages:
            try:
                message = decode(envelope.payload)
            except DecodeError:
                self.broken += 1
                continue
            for number, change in enumerate(message.changes):
                values = _values(change)
                if values is None:
                    self.unfit += 1
                    continue
                place = f"{envelope.offset:012d}/{number:06d}/{envelope.partition}"
                row = (
                    *values,
                    change.kind is ChangeKind.DELETE,
                    change.committed_at_ms,
                    message.time_ms,
                    place,
                )
                marks = ", ".join("?" * len(row))
                self._db.execute(f'INSERT INTO "{change.schema.table}" VALUES ({marks})', row)

    def ctr_samples(self) -> dict[int, Row]:
        """Give what `ctr_samples` must hold, by impression id."""
        rows = self._db.execute(CTR).fetchall()
        price = 8
        return _keyed([(*row[:price], row[price] and Decimal(row[price]), *row[price + 1 :]) for row in rows])

    def behavior_samples(self) -> dict[int, Row]:
        """Give what `behavior_samples` must hold, by impression id."""
        return _keyed(self._db.execute(BEHAVIOR).fetchall())

    def late(self, table: str) -> int:
        """Count the rows of an event table that are older than their message's time."""
        query = f'SELECT count(*) FROM "{table}" WHERE event_time_ms < message_ms'
        return int(self._db.execute(query).fetchone()[0])


def behavior_samples_of_file(path: Path) -> dict[int, Row]:
    """Compute the samples of an event file by impression id, without their copies."""
    db = sqlite3.connect(":memory:")
    db.execute(
        "CREATE TABLE event (line INTEGER PRIMARY KEY, user INT, item INT, category INT, behavior, t INT)"
    )
    with gzip.open(path, "rt", newline="") if path.suffix == ".gz" else path.open(newline="") as file:
        db.executemany(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)",
            ((n, *e) for n, e in enumerate(csv.reader(file), 1)),
        )
    db.execute("CREATE INDEX pair ON event (user, item)")
    return _keyed(db.execute(EVENTS).fetchall())


def _keyed(rows: list[Row]) -> dict[int, Row]:
    keyed = {int(row[0]): row for row in rows if isinstance(row[0], int)}
    assert len(keyed) == len(rows), "the oracle computed two samples for one impression"
    return keyed


def _values(change: RowChange) -> tuple[int | str | None, ...] | None:
    """Give Python values, or None when the row does not fit its declared table."""
    values: list[int | str | None] = []
    for column, value in zip(change.schema.columns, change.image, strict=True):
        if (column.type in INTEGERS) == (column.name in TEXTS):
            return None
        if column.name == "event_time_ms" and value is None:
            return None
        if value is None:
            values.append(None)
        else:
            assert isinstance(value, bytes)
            values.append(int(value) if column.type in INTEGERS else value.decode())
    return tuple(values)
