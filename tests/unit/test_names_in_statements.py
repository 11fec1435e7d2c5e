"""Names in statements: which table is meant, whatever its bytes, its case, or what had its name before."""

from __future__ import annotations

import pytest

from connectors.mysql.codec.charsets import decode_all
from connectors.mysql.schema.definitions import Dropped, Renamed, TableChange, Truncated, Unknown
from connectors.mysql.schema.history import Catalog
from connectors.mysql.schema.statement import Query
from connectors.mysql.server.table_names import ServerNames
from streamjobs.changes.row_change import TableId

T, ITEMS = TableId("d", "t"), TableId("dbname", "items")
UTF8, LATIN1, GBK, BINARY = 45, 8, 28, 63
"""Collations of clients."""
TABLE = "CREATE TABLE t (id INT PRIMARY KEY)"


def catalog_after(*statements: str) -> Catalog:
    catalog = Catalog(mariadb=True, database_charsets={"d": "utf8mb4"})
    for statement in statements:
        catalog.apply(Query("d", statement))
    return catalog


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("TRUNCATE TABLE d.2024", "2024"),
        ("TRUNCATE TABLE d.2024e5", "2024e5"),
        ("TRUNCATE TABLE d.1e5", "1e5"),
        ("TRUNCATE d.0x1F", "0x1F"),
        ("TRUNCATE `d`.`2024`", "2024"),
        ("TRUNCATE TABLE d . `2024`", "2024"),
        ("TRUNCATE TABLE 2024t", "2024t"),
        ("TRUNCATE TABLE .`t`", "t"),
        ("TRUNCATE TABLE .t", "t"),
    ],
)
def test_names_after_a_dot_are_names(statement: str, named: str) -> None:
    assert catalog_after().apply(Query("d", statement)) == (Truncated(TableId("d", named)),)


def test_a_table_of_digits_is_followed() -> None:
    catalog = Catalog()
    catalog.apply(Query("d", "CREATE TABLE d.2024 (id INT PRIMARY KEY, a INT DEFAULT 1.5)"))
    catalog.apply(Query("d", "ALTER TABLE d.2024 ADD x INT FIRST, RENAME TO d.2025"))
    found = catalog.table(TableId("d", "2025"))
    assert found is not None
    assert [column.name for column in found.columns] == ["x", "id", "a"]


@pytest.mark.parametrize(
    ("data", "collation", "named"),
    [
        ("TRUNCATE TABLE `größe` /* f".encode() + b"\xfcr */", UTF8, "größe"),
        ("TRUNCATE TABLE `größe` -- f".encode() + b"\xfcr \xf0\x9f\n", None, "größe"),
        ("TRUNCATE TABLE `größe` /* \xfc */".encode(), BINARY, "größe"),
        ("TRUNCATE TABLE `größe` /* \x81 */".encode("latin1"), LATIN1, "größe"),
        ("TRUNCATE TABLE `表` /* ".encode("gbk") + b"\xff\x81' */", GBK, "表"),
        ("TRUNCATE TABLE `größe` # ".encode() + b"\xe3\x80", UTF8, "größe"),
    ],
)
def test_a_byte_that_is_no_character_spoils_itself_alone(
    data: bytes, collation: int | None, named: str
) -> None:
    assert catalog_after().apply(Query("d", decode_all(data, collation))) == (Truncated(TableId("d", named)),)


def test_names_and_labels_with_such_bytes_are_refused() -> None:
    spoiled = decode_all(b"ALTER TABLE t ADD c ENUM('a', '\xfc')", UTF8)
    assert catalog_after(TABLE).apply(Query("d", spoiled)) == (
        Unknown(T, "the label '\\udcfc' of column c cannot be encoded in utf8mb4"),
    )
    spoiled = decode_all(b"ALTER TABLE t ADD `\xfc` INT", UTF8)
    assert catalog_after(TABLE).apply(Query("d", spoiled)) == (
        Unknown(T, "the name '\\udcfc' has bytes that are not characters of its client's set"),
    )


ORDERS = TableId("d", "orders")


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE SEQUENCE orders", "DROP TABLE orders", "CREATE TABLE orders (id INT PRIMARY KEY)"],
        ["CREATE SEQUENCE orders", "CREATE OR REPLACE TABLE orders (id INT PRIMARY KEY)"],
        ["CREATE SEQUENCE orders", "RENAME TABLE orders TO s", "CREATE TABLE orders (id INT PRIMARY KEY)"],
        ["CREATE SEQUENCE orders", "ALTER TABLE orders RENAME s", "CREATE TABLE orders (id INT PRIMARY KEY)"],
        ["CREATE SEQUENCE orders", "DROP DATABASE d", "CREATE TABLE orders (id INT PRIMARY KEY)"],
        [
            "CREATE SEQUENCE s",
            "CREATE TABLE t (id INT PRIMARY KEY)",
            "DROP TABLE s",
            "RENAME TABLE t TO orders",
        ],
        ["CREATE TABLE orders (id INT PRIMARY KEY)", "CREATE SEQUENCE IF NOT EXISTS orders"],
    ],
)
def test_a_table_under_the_name_of_a_sequence_is_a_table(statements: list[str]) -> None:
    catalog = catalog_after(*statements)
    assert not catalog.is_sequence(ORDERS)
    assert catalog.table(ORDERS) is not None


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE orders (id INT)", "CREATE OR REPLACE SEQUENCE orders"],
        ["CREATE TABLE orders (id INT)", "DROP TABLE orders", "CREATE SEQUENCE orders"],
        ["CREATE TABLE orders (next_not_cached_value BIGINT) ENGINE=InnoDB SEQUENCE=1"],
        ["CREATE SEQUENCE s", "ALTER TABLE s RENAME TO orders"],
        ["CREATE SEQUENCE s", "CREATE TABLE orders LIKE s"],
        ["CREATE SEQUENCE orders", "ALTER TABLE orders ENGINE=MyISAM"],
        ["CREATE SEQUENCE orders", "CREATE TABLE IF NOT EXISTS orders (id INT)"],
    ],
)
def test_a_sequence_under_the_name_of_a_table_is_a_sequence(statements: list[str]) -> None:
    catalog = catalog_after(*statements)
    assert catalog.is_sequence(ORDERS)
    assert catalog.table(ORDERS) is None


def test_statements_on_sequences_are_nobodys_business() -> None:
    catalog = catalog_after("CREATE SEQUENCE orders", "CREATE SEQUENCE s")
    for statement in ("DROP TABLE orders", "ALTER TABLE s ENGINE=MyISAM", "RENAME TABLE s TO s2"):
        assert catalog.apply(Query("d", statement)) == ()
    assert catalog.sequences == {TableId("d", "s2")}


def lowered(names: ServerNames) -> Catalog:
    catalog = Catalog(names=names, database_charsets={"dbname": "utf8mb4"})
    catalog.apply(Query("dbname", "CREATE TABLE items (id INT PRIMARY KEY)"))
    return catalog


@pytest.mark.parametrize("names", [ServerNames.IN_LOWER_CASE, ServerNames.ALIKE])
@pytest.mark.parametrize(
    ("statement", "changes"),
    [
        ("TRUNCATE TABLE DBNAME.ITEMS", (Truncated(ITEMS),)),
        ("DROP TABLE DbName.Items", (Dropped(ITEMS),)),
        ("RENAME TABLE ITEMS TO stock", (Renamed(ITEMS, TableId("dbname", "stock")),)),
    ],
)
def test_names_are_compared_as_the_server_compares_them(
    names: ServerNames, statement: str, changes: tuple[TableChange, ...]
) -> None:
    assert lowered(names).apply(Query("DBNAME", statement)) == changes


@pytest.mark.parametrize("names", [ServerNames.IN_LOWER_CASE, ServerNames.ALIKE])
def test_a_table_is_followed_under_other_spellings_of_its_name(names: ServerNames) -> None:
    catalog = lowered(names)
    catalog.apply(Query("DBNAME", "ALTER TABLE ITEMS ADD X INT FIRST"))
    found = catalog.table(ITEMS)
    assert found is not None
    assert [column.name for column in found.columns] == ["X", "id"]
    catalog.apply(Query("", "DROP DATABASE DBNAME"))
    assert catalog.tables == ()


def test_names_that_differ_in_case_are_two_where_the_server_keeps_them_apart() -> None:
    catalog = lowered(ServerNames.AS_SPELLED)
    catalog.apply(Query("dbname", "DROP TABLE ITEMS"))
    assert catalog.table(ITEMS) is not None
