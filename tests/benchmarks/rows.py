"""The rows that the benchmarks share: ten columns of an impression log."""

from __future__ import annotations

import random
from typing import Final

from streamjobs.changes.position import Position
from streamjobs.changes.row_change import Column, RowChange, SqlType, TableId, TableSchema

SCHEMA: Final = TableSchema(
    TableId("bench", "impression"),
    tuple(
        Column(name, type_, native, key=place == 0, nullable=place > 0)
        for place, (name, type_, native) in enumerate(
            (
                ("imp_id", SqlType.BIGINT, "bigint(20)"),
                ("user_id", SqlType.BIGINT, "bigint(20)"),
                ("item_id", SqlType.BIGINT, "bigint(20)"),
                ("scene", SqlType.TEXT, "varchar(32)"),
                ("pos", SqlType.INT, "int(11)"),
                ("ts", SqlType.BIGINT, "bigint(20)"),
                ("device", SqlType.TEXT, "varchar(32)"),
                ("city", SqlType.TEXT, "varchar(32)"),
                ("query", SqlType.TEXT, "varchar(64)"),
                ("bid", SqlType.TEXT, "varchar(16)"),
            )
        )
    ),
)

COLUMNS: Final = (
    "imp_id BIGINT, user_id BIGINT, item_id BIGINT, scene STRING, pos INT, ts BIGINT, "
    "device STRING, city STRING, `query` STRING, bid STRING"
)
"""The same columns as SQL."""

NAMES: Final = "imp_id, user_id, item_id, scene, pos, ts, device, city, `query`, bid"

_START_MS = 1_717_200_000_000
_SCENES = (b"home_feed", b"search", b"cart", "首页".encode())
_DEVICES = (b"iphone15,3", b"android-14", b"web", b"pad")
_CITIES = ("杭州".encode(), b"Shanghai", b"Sao Paulo", b"Berlin")


def changes(count: int, seed: int = 7) -> list[RowChange]:
    """Return `count` inserts, a millisecond apart."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        time_ms = _START_MS + number
        row = (
            b"%d" % (10_000_000_000 + number),
            b"%d" % rng.randrange(50_000_000),
            b"%d" % rng.randrange(900_000_000),
            _SCENES[number % 4],
            b"%d" % (number % 40),
            b"%d" % time_ms,
            _DEVICES[rng.randrange(4)],
            _CITIES[rng.randrange(4)],
            b"running shoes %d" % rng.randrange(10_000),
            b"0.%04d" % rng.randrange(10_000),
        )
        made.append(RowChange.insert(SCHEMA, row, Position(0, 1, 400 * number), time_ms))
    return made
