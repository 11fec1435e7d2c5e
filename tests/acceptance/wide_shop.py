"""A shop whose items, shops and schedules change: the changes as messages, and a batch over the end."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from streamjobs.changes.position import Half, Position
from streamjobs.changes.row_change import Column, Row, RowChange, SqlType, TableId, TableSchema
from thrift_idl.codec import BuiltMessage, Header, Limits, PartitionMessageBuilder

PARTITIONS = 2
COLUMNS = (
    "item_id", "title", "price", "updated_at", "shop_id", "shop_name", "shop_city", "shop_rating",
    "schedule_id", "schedule_label", "starts_on", "ends_on", "discount",
)  # fmt: skip
_BIG = (SqlType.BIGINT, "bigint(20)")
_TEXT = (SqlType.TEXT, "varchar(64)")
_DAY = (SqlType.DATE, "date")
_MOMENT = datetime(2026, 11, 1)  # noqa: DTZ001 - DATETIME columns have no zone
_FIRST_DAY = date(2026, 11, 1)
_TITLES = ("tea pot", "", "Ünï 🦊", "it's; --", None, "cup\u0000s")
_BATCH = """
SELECT i.item_id, i.title, i.price, i.updated_at, i.shop_id, s.name, s.city, s.rating,
       i.schedule_id, c.label, c.starts_on, c.ends_on, c.discount
FROM item AS i LEFT JOIN shop AS s ON i.shop_id = s.shop_id
LEFT JOIN schedule AS c ON i.schedule_id = c.schedule_id
"""


def _schema(name: str, *columns: tuple[str, SqlType, str]) -> TableSchema:
    made = tuple(Column(c, type_, native, key=place == 0) for place, (c, type_, native) in enumerate(columns))
    return TableSchema(TableId("shop", name), made)


ITEM = _schema(
    "item", ("item_id", *_BIG), ("shop_id", *_BIG), ("schedule_id", *_BIG), ("title", *_TEXT),
    ("price", SqlType.DECIMAL, "decimal(10,2)"), ("updated_at", SqlType.DATETIME, "datetime(3)"),
)  # fmt: skip
SHOP = _schema(
    "shop", ("shop_id", *_BIG), ("name", *_TEXT), ("city", *_TEXT), ("rating", SqlType.DOUBLE, "double")
)
SCHEDULE = _schema(
    "schedule", ("schedule_id", *_BIG), ("label", *_TEXT), ("starts_on", *_DAY), ("ends_on", *_DAY),
    ("discount", SqlType.DECIMAL, "decimal(5,2)"),
)  # fmt: skip


@dataclass
class SourceTable:
    """A table with its rows now, by key, and the changes that led to them."""

    schema: TableSchema
    rows: dict[int, tuple[Any, ...]] = field(default_factory=dict)
    changes: list[RowChange] = field(default_factory=list)

    def put(self, *row: Any) -> None:
        """Insert or update."""
        before, place = self.rows.get(row[0]), self._next()
        if before is None:
            self.changes.append(RowChange.insert(self.schema, _wire(row), place, 1000))
        else:
            self.changes.append(RowChange.update(self.schema, _wire(before), _wire(row), place, 1000))
        self.rows[row[0]] = row

    def drop(self, key: int) -> None:
        """Delete."""
        self.changes.append(RowChange.delete(self.schema, _wire(self.rows.pop(key)), self._next(), 1000))

    def change_key(self, old: int, new: int) -> None:
        """Give a row another key, as one event of the source does."""
        row, place = self.rows.pop(old), self._next()
        self.rows[new] = (new, *row[1:])
        self.changes += [
            RowChange.delete(self.schema, _wire(row), place, 1000, half=Half.KEY_CHANGE_DELETE),
            RowChange.insert(self.schema, _wire(self.rows[new]), place, 1000, half=Half.KEY_CHANGE_INSERT),
        ]

    def _next(self) -> Position:
        return Position(0, 1, 100 + len(self.changes))


@dataclass(frozen=True)
class Shop:
    """The three tables after their changes."""

    item: SourceTable
    shop: SourceTable
    schedule: SourceTable

    @property
    def tables(self) -> dict[str, SourceTable]:
        """Each topic's table."""
        return {"shop.item": self.item, "shop.shop": self.shop, "shop.schedule": self.schedule}

    def wide(self) -> dict[int, dict[str, Any]]:
        """What a batch SQL join over the final tables gives, by item."""
        with closing(sqlite3.connect(":memory:")) as batch:
            for table in (self.item, self.shop, self.schedule):
                names = ", ".join(table.schema.names)
                places = ", ".join("?" * len(table.schema.names))
                batch.execute(f"CREATE TABLE {table.schema.table.table} ({names})")
                rows = [tuple(map(_spelled, row)) for row in table.rows.values()]
                batch.executemany(f"INSERT INTO {table.schema.table.table} VALUES ({places})", rows)
            found = batch.execute(_BATCH).fetchall()
        return {row[0]: dict(zip(COLUMNS, row, strict=True)) for row in found}


def changed_shop(seed: int, changes: int, *, items: int, shops: int, schedules: int) -> Shop:
    """Give a shop after so many random changes: inserts, updates, deletes, changes of keys."""
    rng = random.Random(seed)
    made = Shop(SourceTable(ITEM), SourceTable(SHOP), SourceTable(SCHEDULE))
    for number in range(changes):
        chance = rng.random()
        if chance < 0.05:
            _change_shop(made.shop, rng, rng.randrange(shops))
        elif chance < 0.08:
            _change_schedule(made.schedule, rng, rng.randrange(schedules))
        else:
            _change_item(made.item, rng, rng.randrange(items), items, shops, schedules, number)
    return made


def messages(table: SourceTable, rng: random.Random, rows: int = 50) -> list[tuple[int, BuiltMessage]]:
    """Give the table's changes by partition, a tenth of the messages twice and out of order."""
    builder = PartitionMessageBuilder(PARTITIONS, disorder_ms=1000, limits=Limits(max_rows=rows))
    for change in table.changes:
        builder.add(change)
    built = list(builder.flush(Header("test")))
    for message in rng.sample(built, len(built) // 10):
        built.insert(rng.randrange(len(built)), message)
    return built


def _change_shop(table: SourceTable, rng: random.Random, key: int) -> None:
    if rng.random() < 0.2 and key in table.rows:
        table.drop(key)
    else:
        rating = rng.choice([None, rng.random() * 5, 4.5, 0.0])
        table.put(key, rng.choice(["Tea & Co", "Ünï", None]), rng.choice(["Bonn", "", None]), rating)


def _change_schedule(table: SourceTable, rng: random.Random, key: int) -> None:
    if rng.random() < 0.2 and key in table.rows:
        table.drop(key)
    else:
        starts = _FIRST_DAY + timedelta(days=rng.randrange(30))
        ends = rng.choice([None, starts + timedelta(days=7)])
        table.put(key, rng.choice(["sale", "🦊"]), starts, ends, Decimal(rng.randrange(10000)) / 100)


def _change_item(
    table: SourceTable, rng: random.Random, key: int, items: int, shops: int, schedules: int, number: int
) -> None:
    chance, new = rng.random(), rng.randrange(items)
    if chance < 0.1 and key in table.rows:
        table.drop(key)
    elif chance < 0.15 and key in table.rows and new not in table.rows:
        table.change_key(key, new)
    else:
        shop = rng.choice([None, rng.randrange(shops), rng.randrange(shops)])
        schedule = rng.choice([None, rng.randrange(schedules)])
        price = rng.choice([None, Decimal(rng.randrange(10**9)) / 100])
        moment = _MOMENT + timedelta(milliseconds=number * 1001)
        table.put(key, shop, schedule, rng.choice(_TITLES), price, moment)


def _wire(row: Sequence[Any]) -> Row:
    return tuple(None if value is None else _text(value).encode() for value in row)


def _text(value: Any) -> str:
    match value:
        case Decimal():
            return f"{value:.2f}"
        case datetime():
            text = value.isoformat(" ")
            return text
        case date():
            return value.isoformat()
        case _:
            return str(value)


def _spelled(value: Any) -> Any:
    """Give a value as SQLite keeps it: text for what it has no type for."""
    match value:
        case Decimal():
            return f"{value:.2f}"
        case datetime():
            return value.isoformat(" ", "milliseconds")
        case date():
            return value.isoformat()
        case _:
            return value
