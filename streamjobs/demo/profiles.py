"""Profile tables that change: rows are inserted, updated, get another key, are deleted and inserted again."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

from streamjobs.changes.position import Half, Position
from streamjobs.changes.row_change import Row, RowChange, TableSchema, Value

Columns = Callable[[random.Random], tuple[Value, ...]]
"""Returns random values of a row without its key."""

TITLES: Final = (
    "plain cotton shirt",
    "Ünïcode café crème",
    "手机壳 透明防摔",
    "наушники беспроводные",
    "🎧 wireless 🎧",
    'quoted "title", with comma',
    "back\\slash and\ttab",
    "two\nlines",
    "مصباح مكتب",
    "👩‍👩‍👧‍👦 family set",
    "NULL",
    "",
)
CITIES: Final = ("杭州", "São Paulo", "Kraków", "New York", "Αθήνα", "東京都", "Reykjavík 🌋", "", "O'Fallon")
PRICES: Final = (
    "0.01",
    "0.00",
    "9.90",
    "19.99",
    "100.00",
    "1234567.89",
    "99999999.99",
    "-5.00",
    "0.10",
    "33.30",
)


def item_columns(rng: random.Random) -> tuple[Value, ...]:
    """Draw title, category_id and price; each is sometimes NULL."""
    title = TITLES[int(rng.random() * len(TITLES))]
    tagged = f"{title} #{rng.randrange(1000)}" if title else title
    price = (
        PRICES[int(rng.random() * len(PRICES))]
        if rng.random() < 0.3
        else f"{rng.randrange(1, 10**5) / 100:.2f}"
    )
    return (
        None if rng.random() < 0.05 else tagged.encode(),
        None if rng.random() < 0.05 else b"%d" % (4_756_105 + rng.randrange(60)),
        None if rng.random() < 0.05 else price.encode(),
    )


def user_columns(rng: random.Random) -> tuple[Value, ...]:
    """Draw city, age and level; each is sometimes NULL."""
    return (
        None if rng.random() < 0.1 else CITIES[int(rng.random() * len(CITIES))].encode(),
        None if rng.random() < 0.2 else b"%d" % rng.randrange(14, 90),
        None if rng.random() < 0.05 else b"%d" % rng.randrange(-1, 8),
    )


class ProfileTable:
    """One table of the source database with its current rows; generates the row changes of its log.

    Promise: the changes are a log that a database could have written: INSERT only of an absent key, UPDATE
    and DELETE with the true before image, a key change as DELETE then INSERT at one position, positions
    ascending. Call it with times that never decrease.
    """

    def __init__(
        self,
        schema: TableSchema,
        ids: Sequence[int],
        columns: Columns,
        undescribed: float,
        rng: random.Random,
    ) -> None:
        self._schema = schema
        self._columns = columns
        self._rng = rng
        self._rows: dict[int, Row] = {}
        self._absent: list[int] = []
        self._offset = 4
        for key in ids:
            if rng.random() < undescribed:
                self._absent.append(key)
            else:
                self._rows[key] = self._drawn(key)

    def snapshot(self, at_ms: int) -> list[RowChange]:
        """Return all current rows as a snapshot taken at `at_ms`."""
        position = Position(0, 1, self._offset)
        return [RowChange.snapshot(self._schema, row, position, at_ms) for row in self._rows.values()]

    def change(self, key: int, at_ms: int) -> list[RowChange]:
        """Change the row of `key` in one transaction; return one change, or two for a change of the key."""
        before = self._rows.get(key)
        chance = self._rng.random()
        if before is None:
            return [self._insert(key, at_ms)]
        if chance < 0.15:
            return [self._delete(key, before, at_ms)]
        if chance < 0.25 and self._absent:
            return self._change_key(key, before, at_ms)
        after = self._drawn(key)
        self._rows[key] = after
        return [RowChange.update(self._schema, before, after, self._next(), at_ms, self._transaction())]

    def _insert(self, key: int, at_ms: int) -> RowChange:
        row = self._rows[key] = self._drawn(key)
        self._absent.remove(key)
        return RowChange.insert(self._schema, row, self._next(), at_ms, self._transaction())

    def _delete(self, key: int, before: Row, at_ms: int) -> RowChange:
        del self._rows[key]
        self._absent.append(key)
        return RowChange.delete(self._schema, before, self._next(), at_ms, self._transaction())

    def _change_key(self, key: int, before: Row, at_ms: int) -> list[RowChange]:
        target = self._absent.pop(self._rng.randrange(len(self._absent)))
        after = self._rows[target] = (b"%d" % target, *before[1:])
        del self._rows[key]
        self._absent.append(key)
        place, name = self._next(), self._transaction()
        return [
            RowChange.delete(self._schema, before, place, at_ms, name, Half.KEY_CHANGE_DELETE),
            RowChange.insert(self._schema, after, place, at_ms, name, Half.KEY_CHANGE_INSERT),
        ]

    def _drawn(self, key: int) -> Row:
        return (b"%d" % key, *self._columns(self._rng))

    def _next(self) -> Position:
        self._offset += 1
        return Position(0, 1, self._offset)

    def _transaction(self) -> str:
        return f"{self._schema.table}:{self._offset}"
