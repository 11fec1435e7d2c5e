"""The demo's tables, topics and times: what the generator writes and the sample jobs read."""

from __future__ import annotations

from typing import Final

from streamjobs.changes.row_change import Column, SqlType, TableId, TableSchema

ATTRIBUTION_MS: Final = 30 * 60 * 1000
"""A click counts for an impression when 0 <= click time - impression time <= this."""

DISORDER_MS: Final = 5_000
"""How much older than an earlier row of its partition a row may be; an even older row is late."""

EVENT_TIME: Final = "event_time_ms"

IMPRESSION_TOPIC: Final = "ad.impression"
CLICK_TOPIC: Final = "ad.click"
ITEM_TOPIC: Final = "shop.item"
USER_TOPIC: Final = "shop.user"
CTR_TOPICS: Final = (IMPRESSION_TOPIC, CLICK_TOPIC, ITEM_TOPIC, USER_TOPIC)

BEHAVIOR_IMPRESSION_TOPIC: Final = "ub.impression"
BEHAVIOR_CONVERSION_TOPIC: Final = "ub.conversion"
BEHAVIOR_TOPICS: Final = (BEHAVIOR_IMPRESSION_TOPIC, BEHAVIOR_CONVERSION_TOPIC)

DEAD_LETTER_TOPIC: Final = "streamjobs.dead_letters"


def _table(database: str, table: str, *columns: tuple[str, SqlType, str]) -> TableSchema:
    """Return a table schema; the first column is the primary key."""
    return TableSchema(
        TableId(database, table),
        tuple(
            Column(name, sql_type, native, key=place == 0, nullable=place > 0)
            for place, (name, sql_type, native) in enumerate(columns)
        ),
    )


IMPRESSION: Final = _table(
    "ad",
    "impression",
    ("impression_id", SqlType.BIGINT, "bigint(20)"),
    ("user_id", SqlType.BIGINT, "bigint(20)"),
    ("item_id", SqlType.BIGINT, "bigint(20)"),
    ("scene", SqlType.TEXT, "varchar(32)"),
    ("slot", SqlType.INT, "int(11)"),
    (EVENT_TIME, SqlType.BIGINT, "bigint(20)"),
)

CLICK: Final = _table(
    "ad",
    "click",
    ("click_id", SqlType.BIGINT, "bigint(20)"),
    ("impression_id", SqlType.BIGINT, "bigint(20)"),
    ("user_id", SqlType.BIGINT, "bigint(20)"),
    (EVENT_TIME, SqlType.BIGINT, "bigint(20)"),
)

ITEM: Final = _table(
    "shop",
    "item",
    ("item_id", SqlType.BIGINT, "bigint(20)"),
    ("title", SqlType.TEXT, "varchar(128)"),
    ("category_id", SqlType.BIGINT, "bigint(20)"),
    ("price", SqlType.DECIMAL, "decimal(10,2)"),
)

USER: Final = _table(
    "shop",
    "user",
    ("user_id", SqlType.BIGINT, "bigint(20)"),
    ("city", SqlType.TEXT, "varchar(64)"),
    ("age", SqlType.INT, "int(11)"),
    ("level", SqlType.INT, "int(11)"),
)

BEHAVIOR_IMPRESSION: Final = _table(
    "ub",
    "impression",
    ("impression_id", SqlType.BIGINT, "bigint(20)"),
    ("user_id", SqlType.BIGINT, "bigint(20)"),
    ("item_id", SqlType.BIGINT, "bigint(20)"),
    ("category_id", SqlType.BIGINT, "bigint(20)"),
    (EVENT_TIME, SqlType.BIGINT, "bigint(20)"),
)

BEHAVIOR_CONVERSION: Final = _table(
    "ub",
    "conversion",
    ("event_id", SqlType.BIGINT, "bigint(20)"),
    ("user_id", SqlType.BIGINT, "bigint(20)"),
    ("item_id", SqlType.BIGINT, "bigint(20)"),
    ("behavior", SqlType.TEXT, "varchar(8)"),
    (EVENT_TIME, SqlType.BIGINT, "bigint(20)"),
)

EVENT_TIME_COLUMNS: Final[dict[str, str | None]] = {
    IMPRESSION_TOPIC: EVENT_TIME,
    CLICK_TOPIC: EVENT_TIME,
    ITEM_TOPIC: None,
    USER_TOPIC: None,
    BEHAVIOR_IMPRESSION_TOPIC: EVENT_TIME,
    BEHAVIOR_CONVERSION_TOPIC: EVENT_TIME,
}
"""The event-time column of each topic's table; None: the commit time."""

CTR_COLUMNS: Final = (
    "impression_id",
    "user_id",
    "item_id",
    "scene",
    "slot",
    "event_time",
    "item_title",
    "item_category_id",
    "item_price",
    "user_city",
    "user_age",
    "user_level",
    "clicks",
    "first_click_delay_ms",
    "label",
    "copies",
)

BEHAVIOR_COLUMNS: Final = (
    "impression_id",
    "user_id",
    "item_id",
    "category_id",
    "event_time",
    "clicks",
    "first_click_delay_ms",
    "label",
    "copies",
)

TABLES: Final = {
    IMPRESSION_TOPIC: IMPRESSION,
    CLICK_TOPIC: CLICK,
    ITEM_TOPIC: ITEM,
    USER_TOPIC: USER,
    BEHAVIOR_IMPRESSION_TOPIC: BEHAVIOR_IMPRESSION,
    BEHAVIOR_CONVERSION_TOPIC: BEHAVIOR_CONVERSION,
}
"""The table of each topic, one per topic."""
