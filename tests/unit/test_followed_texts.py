"""Texts of followed definitions: the character sets, sizes and labels that the server gives them."""

from __future__ import annotations

import pytest

from connectors.mysql.schema.definitions import Unknown
from connectors.mysql.schema.history import Catalog
from connectors.mysql.schema.statement import Query
from streamjobs.changes.row_change import TableId

T = TableId("d", "t")


def catalog_after(*statements: str, **charsets: str) -> Catalog:
    catalog = Catalog(mariadb=True, database_charsets={"d": "utf8mb4", **charsets})
    for statement in statements:
        catalog.apply(Query("d", statement))
    return catalog


def columns(*statements: str, **charsets: str) -> list[str]:
    """The followed table: each column as `name type charset`."""
    found = catalog_after(*statements, **charsets).table(T)
    assert found is not None
    return [f"{one.name} {one.native_type} {one.charset}".strip() for one in found.columns]


@pytest.mark.parametrize(
    ("options", "charset"),
    [
        ("ENGINE=InnoDB DEFAULT CHARSET=utf8mb4", "utf8mb4"),
        ("ENGINE InnoDB CHARSET utf8mb4 COMMENT 'x'", "utf8mb4"),
        ("COMMENT='CHARSET=gbk' ROW_FORMAT=DYNAMIC CHARACTER SET = utf8mb4", "utf8mb4"),
        ("COMMENT 'CHARSET utf8mb4' ENGINE=InnoDB", "latin1"),
        ("`some_option`=utf8mb4 PAGE_COMPRESSED=1, STATS_PERSISTENT=0 CHARSET='utf8mb4'", "utf8mb4"),
        ("AUTO_INCREMENT 7 COLLATE utf8mb4_bin ENGINE=InnoDB", "utf8mb4"),
        ("ALGORITHM=COPY, UNION=(a, b) DEFAULT COLLATE=utf8mb4_bin, LOCK=SHARED", "utf8mb4"),
        ("MAX_ROWS=7 CHAR SET utf8mb4", "utf8mb4"),
    ],
)
def test_options_of_a_table_need_no_commas(options: str, charset: str) -> None:
    base = "CREATE TABLE t (id INT PRIMARY KEY) ENGINE=InnoDB CHARSET=latin1"
    add = "ALTER TABLE t ADD COLUMN c VARCHAR(9)"
    assert columns(base, f"ALTER TABLE t {options}", add) == ["id int", f"c varchar(9) {charset}"]
    of_create = options.replace("ALGORITHM=COPY, ", "").replace(", LOCK=SHARED", "")
    created = f"CREATE TABLE t (id INT PRIMARY KEY, c VARCHAR(9)) {of_create}"
    assert columns(created, d="latin1") == ["id int", f"c varchar(9) {charset}"]


@pytest.mark.parametrize(
    ("statements", "charset"),
    [
        (["CREATE TABLE t (c TEXT COLLATE uca1400_as_ci) CHARACTER SET utf16"], "utf16"),
        (["CREATE TABLE t (c TEXT COLLATE uca1400_as_ci)"], "ucs2"),
        (["CREATE TABLE t (c TEXT) COLLATE uca1400_as_ci"], "ucs2"),
        (["CREATE TABLE t (c TEXT) CHARACTER SET utf16 COLLATE uca1400_as_ci"], "utf16"),
        (["CREATE TABLE t (c TEXT COLLATE utf8mb4_uca1400_as_ci)"], "utf8mb4"),
        (["CREATE TABLE t (c TEXT COLLATE DEFAULT) CHARSET utf32 COLLATE DEFAULT"], "utf32"),
        (
            [
                "CREATE TABLE t (i INT) CHARSET utf32",
                "ALTER TABLE t ADD c TEXT COLLATE UCA1400_AI_CI, DROP i",
            ],
            "utf32",
        ),
        (
            [
                "CREATE TABLE t (c TEXT) CHARSET latin1",
                "ALTER TABLE t CONVERT TO CHARACTER SET utf16 COLLATE uca1400_ai_ci",
            ],
            "utf16",
        ),
        (["CREATE TABLE t (c TEXT CHARACTER SET utf16 COLLATE uca1400_as_ci) CHARSET latin1"], "utf16"),
    ],
)
def test_collations_without_a_set_in_their_name_are_of_the_set_around_them(
    statements: list[str], charset: str
) -> None:
    found = catalog_after(*statements, d="ucs2").table(T)
    assert found is not None
    assert found.columns[0].charset == charset


@pytest.mark.parametrize(
    ("statements", "charset"),
    [
        (["CREATE TABLE t (c TEXT) DEFAULT CHARACTER SET DEFAULT"], "greek"),
        (["CREATE TABLE t (c TEXT) CHARSET=DEFAULT COLLATE DEFAULT"], "greek"),
        (
            ["CREATE TABLE t (c TEXT) CHARSET latin1", "ALTER TABLE t CONVERT TO CHARACTER SET DEFAULT"],
            "greek",
        ),
        (
            [
                "CREATE TABLE t (i INT) CHARSET latin1",
                "ALTER TABLE t CHARACTER SET DEFAULT, ADD c TEXT, DROP i",
            ],
            "greek",
        ),
    ],
)
def test_the_set_default_is_the_databases(statements: list[str], charset: str) -> None:
    found = catalog_after(*statements, d="greek").table(T)
    assert found is not None
    assert found.columns[0].charset == charset


def test_a_conversion_to_a_default_that_is_not_known_is_refused() -> None:
    catalog = Catalog()
    catalog.apply(Query("d", "CREATE TABLE t (c TEXT) CHARSET latin1"))
    assert catalog.apply(Query("d", "ALTER TABLE t CONVERT TO CHARACTER SET DEFAULT")) == (
        Unknown(T, "the character set to which its texts are converted is not known"),
    )
    catalog = catalog_after("CREATE TABLE t (c TEXT) CHARSET latin1", d="greek", e="gbk")
    assert catalog.apply(Query("e", "ALTER TABLE d.t CONVERT TO CHARACTER SET DEFAULT")) == (
        Unknown(T, "DEFAULT is one character set in the table's database and another in the session's"),
    )


@pytest.mark.parametrize(
    ("before", "charset", "after"),
    [
        ("TEXT", "utf8mb4", "mediumtext utf8mb4"),
        ("VARCHAR(20000)", "utf8mb4", "mediumtext utf8mb4"),
        ("VARCHAR(9)", "utf8mb4, CHARSET=gbk", "varchar(9) utf8mb4"),
        ("VARCHAR(9)", "utf8mb4 COLLATE utf8mb4_bin, COMMENT 'x' COLLATE gbk_bin", "varchar(9) utf8mb4"),
        ("VARCHAR(16383)", "utf8mb4", "varchar(16383) utf8mb4"),
        ("TINYTEXT", "utf8mb4", "text utf8mb4"),
        ("MEDIUMTEXT", "utf8mb4", "longtext utf8mb4"),
        ("LONGTEXT", "utf8mb4", "longtext utf8mb4"),
        ("TEXT CHARSET utf8mb3", "utf8mb4", "mediumtext utf8mb4"),
        ("TEXT CHARSET utf8mb4", "latin1", "text latin1"),
        ("TEXT", "cp1251", "text cp1251"),
        ("CHAR(9)", "binary", "binary(9)"),
        ("ENUM('a') CHARACTER SET binary", "utf8mb4", "enum('a') binary"),
    ],
)
def test_a_conversion_widens_types_to_hold_as_many_characters(before: str, charset: str, after: str) -> None:
    made = f"CREATE TABLE t (id INT PRIMARY KEY, c {before}) CHARSET latin1"
    assert columns(made, f"ALTER TABLE t CONVERT TO CHARACTER SET {charset}") == ["id int", f"c {after}"]


def test_labels_of_a_column_of_bytes_are_those_of_who_wrote_them() -> None:
    found = catalog_after("CREATE TABLE t (g ENUM('a ','é') CHARACTER SET binary)").table(T)
    assert found is not None
    assert (found.columns[0].labels, found.columns[0].lost_labels) == (("a ", "é"), (2,))


@pytest.mark.parametrize(
    ("column", "to"),
    [
        ("ENUM('é') CHARSET latin1", "utf8mb4"),
        ("SET('a') CHARSET utf16", "latin1"),
        ("ENUM('a') CHARSET latin1", "ucs2"),
        ("SET('Ж') CHARSET cp1251", "greek"),
    ],
)
def test_a_conversion_of_labels_that_are_other_bytes_is_refused(column: str, to: str) -> None:
    charset = column.rpartition(" ")[2]
    catalog = catalog_after(f"CREATE TABLE t (id INT PRIMARY KEY, g {column})")
    assert catalog.apply(Query("d", f"ALTER TABLE t CONVERT TO CHARACTER SET {to}")) == (
        Unknown(
            T,
            f"the labels of column g are converted from {charset} to {to}, which turns them into other "
            "labels in MariaDB",
        ),
    )


@pytest.mark.parametrize(
    ("column", "to"),
    [
        ("ENUM('é') CHARSET utf8mb3", "utf8mb4"),
        ("SET('é') CHARSET utf8mb3", "utf8mb4"),
        ("ENUM('é')", "utf8mb4"),
    ],
)
def test_a_conversion_of_labels_that_are_the_same_bytes_is_followed(column: str, to: str) -> None:
    found = catalog_after(
        f"CREATE TABLE t (g {column})", f"ALTER TABLE t CONVERT TO CHARACTER SET {to}"
    ).table(T)
    assert found is not None
    assert (found.columns[0].charset, found.columns[0].labels) == (to, ("é",))


def test_a_text_that_is_too_long_for_a_row_is_made_a_larger_one() -> None:
    made = "CREATE TABLE t (a VARCHAR(20000), b VARBINARY(70000), c VARCHAR(65535) CHARSET latin1)"
    assert columns(made) == ["a mediumtext utf8mb4", "b mediumblob", "c varchar(65535) latin1"]
    assert columns("CREATE TABLE t (a TEXT(90), b TEXT(20000) CHARSET utf8mb4) CHARSET binary") == [
        "a tinyblob",
        "b mediumtext utf8mb4",
    ]
