"""The three tables of item_wide.sql in a real server: what writes them, and the server's own batch join."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

TABLES = (
    "CREATE DATABASE shop CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    "CREATE TABLE shop.item (item_id BIGINT PRIMARY KEY, shop_id BIGINT, schedule_id BIGINT, "
    "title VARCHAR(64), price DECIMAL(10, 2), updated_at DATETIME(3))",
    "CREATE TABLE shop.shop (shop_id BIGINT PRIMARY KEY, name VARCHAR(64), city VARCHAR(64), rating DOUBLE)",
    "CREATE TABLE shop.schedule (schedule_id BIGINT PRIMARY KEY, label VARCHAR(64), starts_on DATE, "
    "ends_on DATE, discount DECIMAL(5, 2))",
)
BATCH_JOIN = """
    SELECT i.item_id, i.title, i.price, i.updated_at,
           i.shop_id, s.name AS shop_name, s.city AS shop_city, s.rating AS shop_rating,
           i.schedule_id, c.label AS schedule_label, c.starts_on, c.ends_on, c.discount
    FROM shop.item i
    LEFT JOIN shop.shop s ON i.shop_id = s.shop_id
    LEFT JOIN shop.schedule c ON i.schedule_id = c.schedule_id
"""
_TITLES = ("'tea pot'", "''", "'Ünï 🦊'", "'it''s; --'", "'cup\\0s'", "NULL")


@dataclass(frozen=True)
class ShopSize:
    """How many keys each table can have."""

    items: int
    shops: int
    schedules: int


def filling(size: ShopSize, chance: random.Random) -> list[str]:
    """Statements that give half of all keys a row."""
    rows = [
        ("item", _item, size.items),
        ("shop", _shop, size.shops),
        ("schedule", _schedule, size.schedules),
    ]
    return [
        f"INSERT INTO shop.{table} VALUES {', '.join(row(key, size, chance) for key in range(0, keys, 2))}"
        for table, row, keys in rows
    ]


def statement(size: ShopSize, chance: random.Random) -> str:
    """One random statement on one of the tables; several items by one now and then."""
    key = chance.randrange(size.items)
    match chance.choices(
        ("shop", "schedule", "close", "delete", "move", "many", "item"), (5, 3, 2, 8, 6, 2, 74)
    )[0]:
        case "shop":
            return f"REPLACE INTO shop.shop VALUES {_shop(chance.randrange(size.shops), size, chance)}"
        case "schedule":
            row = _schedule(chance.randrange(size.schedules), size, chance)
            return f"REPLACE INTO shop.schedule VALUES {row}"
        case "close":
            return chance.choice(
                [
                    f"DELETE FROM shop.shop WHERE shop_id = {chance.randrange(size.shops)}",
                    f"DELETE FROM shop.schedule WHERE schedule_id = {chance.randrange(size.schedules)}",
                ]
            )
        case "delete":
            return f"DELETE FROM shop.item WHERE item_id = {key}"
        case "move":
            new = chance.randrange(size.items)
            return f"UPDATE IGNORE shop.item SET item_id = {new} WHERE item_id = {key}"
        case "many":
            shop = _number(chance, size.shops)
            return f"UPDATE shop.item SET shop_id = {shop} WHERE item_id BETWEEN {key} AND {key + 20}"
        case _:
            return f"REPLACE INTO shop.item VALUES {_item(key, size, chance)}"


def writer(size: ShopSize) -> Callable[[random.Random], str]:
    """Give what makes statements for writers."""
    return lambda chance: statement(size, chance)


def _item(key: int, size: ShopSize, chance: random.Random) -> str:
    price = chance.choice(["NULL", f"{chance.randrange(10**9) / 100:.2f}"])
    moment = f"'2026-11-{chance.randint(1, 30):02} 12:34:56.{chance.randrange(1000):03}'"
    shop, schedule = _number(chance, size.shops), _number(chance, size.schedules)
    return f"({key}, {shop}, {schedule}, {chance.choice(_TITLES)}, {price}, {moment})"


def _shop(key: int, _: ShopSize, chance: random.Random) -> str:
    rating = chance.choice(["NULL", "4.5", "0", repr(chance.random() * 5)])
    return (
        f"({key}, {chance.choice(_TITLES)}, {chance.choice([_TITLES[2], _TITLES[1], _TITLES[-1]])}, {rating})"
    )


def _schedule(key: int, _: ShopSize, chance: random.Random) -> str:
    ends = chance.choice(["NULL", f"'2026-12-{chance.randint(1, 31):02}'"])
    return (
        f"({key}, 'sale 🦊', '2026-11-{chance.randint(1, 30):02}', {ends}, {chance.randrange(10000) / 100})"
    )


def _number(chance: random.Random, below: int) -> str:
    return "NULL" if chance.random() < 0.1 else str(chance.randrange(below))
