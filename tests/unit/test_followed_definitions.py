"""Statements that one may misread: the definition is the server's afterwards, or the table is refused."""

from __future__ import annotations

import pytest

from connectors.mysql.catalog import Catalog
from connectors.mysql.table_changes import Altered, Created, Dropped, Unknown
from connectors.mysql.table_plan import schema_of
from connectors.mysql.transactions import Query
from streamjobs.rowchange import TableId

T = TableId("d", "t")


def catalog_after(*statements: str, mariadb: bool = True, **charsets: str) -> Catalog:
    catalog = Catalog(mariadb=mariadb, database_charsets={"d": "utf8mb4", **charsets})
    for statement in statements:
        catalog.apply(Query("d", statement))
    return catalog


def columns(*statements: str, mariadb: bool = True, **charsets: str) -> list[str]:
    """The followed table: each column as `name type charset`."""
    found = catalog_after(*statements, mariadb=mariadb, **charsets).table(T)
    assert found is not None
    return [f"{one.name} {one.native_type} {one.charset}".strip() for one in found.columns]


def key(*statements: str) -> tuple[str, ...]:
    found = catalog_after(*statements).table(T)
    assert found is not None
    assert tuple(column.name for column in schema_of(found).columns if column.key) == tuple(
        column.name for column in found.columns if column.name in found.primary_key
    )
    return found.primary_key


FOUR = "CREATE TABLE t (id INT PRIMARY KEY, t INT, a INT, b INT)"


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("ALTER TABLE t DROP COLUMN t.a", "id t b"),
        ("ALTER TABLE t DROP d.t.a", "id t b"),
        ("ALTER TABLE t DROP COLUMN IF EXISTS .a RESTRICT", "id t b"),
        ("ALTER TABLE t ADD COLUMN t.x INT AFTER t", "id t x a b"),
        ("ALTER TABLE t ADD (`t`.`x` INT, d.t.y INT)", "id t a b x y"),
        ("ALTER TABLE t CHANGE t.a t.c INT FIRST", "c id t b"),
        ("ALTER TABLE t MODIFY COLUMN d.t.b BIGINT AFTER id", "id b t a"),
        ("ALTER TABLE t ALTER COLUMN t.a SET DEFAULT 5, ALTER t.b DROP DEFAULT, DROP t", "id a b"),
        ("ALTER TABLE t ORDER BY t.a, b DESC", "id t a b"),
        ("ALTER TABLE t CHANGE d . t . `a` .`c` INT", "id t c b"),
    ],
)
def test_columns_may_be_named_with_their_table(statement: str, names: str) -> None:
    assert [one.split()[0] for one in columns(FOUR, statement)] == names.split()


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
        Unknown(T, "the character set that its texts are converted to is not known"),
    )
    catalog = catalog_after("CREATE TABLE t (c TEXT) CHARSET latin1", d="greek", e="gbk")
    assert catalog.apply(Query("e", "ALTER TABLE d.t CONVERT TO CHARACTER SET DEFAULT")) == (
        Unknown(T, "DEFAULT is one character set for the table's database, and another for the session's"),
    )


@pytest.mark.parametrize(
    ("statements", "columns_of_key"),
    [
        (
            [
                "CREATE TABLE t (id INT, d1 DATE, d2 DATE, PERIOD FOR p(d1,d2), PRIMARY KEY (id, p "
                "WITHOUT OVERLAPS))"
            ],
            ("id", "d2", "d1"),
        ),
        (
            [
                "CREATE TABLE t (id INT, p INT, d1 DATE, d2 DATE, PERIOD FOR q(d1,d2), PRIMARY KEY (p "
                "DESC, id))"
            ],
            ("p", "id"),
        ),
        (
            [
                "CREATE TABLE t (id INT, d1 DATE, d2 DATE)",
                "ALTER TABLE t ADD PERIOD FOR P(d1, d2), ADD PRIMARY KEY (id, p WITHOUT OVERLAPS)",
            ],
            ("id", "d2", "d1"),
        ),
        (
            [
                FOUR,
                "ALTER TABLE t DROP PRIMARY KEY, ADD CONSTRAINT pk PRIMARY KEY USING BTREE (b, a) "
                "COMMENT 'x'",
            ],
            ("b", "a"),
        ),
        ([FOUR, "ALTER TABLE t ADD PRIMARY KEY IF NOT EXISTS (a)"], ("id",)),
        (["CREATE TABLE t (a INT)", "ALTER TABLE t ADD PRIMARY KEY IF NOT EXISTS (a)"], ("a",)),
        ([FOUR, "ALTER TABLE t ADD COLUMN IF NOT EXISTS a INT PRIMARY KEY"], ("id",)),
        ([FOUR, "ALTER TABLE t ADD COLUMN IF NOT EXISTS x INT PRIMARY KEY"], ("id",)),
        (["CREATE TABLE t (a INT)", "ALTER TABLE t ADD IF NOT EXISTS x INT KEY"], ("x",)),
        (
            [FOUR, "ALTER TABLE t MODIFY IF EXISTS nope INT PRIMARY KEY, CHANGE IF EXISTS nope x INT KEY"],
            ("id",),
        ),
        (
            [
                "CREATE TABLE t (id INT PRIMARY KEY)",
                "ALTER TABLE t ADD COLUMN c INT PARTITION BY KEY (id) PARTITIONS 2",
            ],
            ("id",),
        ),
        (["CREATE TABLE t (id INT, c INT) PARTITION BY LINEAR KEY ALGORITHM=2 (c) PARTITIONS 2"], ()),
        (
            [
                FOUR,
                "ALTER TABLE t ADD COLUMN c INT UNIQUE KEY, MODIFY a INT COMMENT 'PRIMARY KEY' REMOVE "
                "PARTITIONING",
            ],
            ("id",),
        ),
    ],
)
def test_the_primary_key_is_the_servers(statements: list[str], columns_of_key: tuple[str, ...]) -> None:
    assert key(*statements) == columns_of_key


@pytest.mark.parametrize(
    ("statement", "names"),
    [
        ("ALTER TABLE t RENAME INDEX IF EXISTS i TO j", "id t a b"),
        (
            "ALTER TABLE t RENAME KEY i TO j, RENAME COLUMN IF EXISTS nope TO x, RENAME COLUMN a TO c",
            "id t c b",
        ),
        (
            "ALTER TABLE IF EXISTS t ADD COLUMN IF NOT EXISTS (a INT, x INT), ADD IF NOT EXISTS x BIGINT",
            "id t a b x",
        ),
        ("ALTER TABLE t DROP COLUMN IF EXISTS nope, DROP IF EXISTS a, DROP INDEX IF EXISTS i", "id t b"),
        (
            "ALTER TABLE t ADD CONSTRAINT IF NOT EXISTS c CHECK (a > 0), ADD INDEX IF NOT EXISTS i (a)",
            "id t a b",
        ),
        ("ALTER TABLE t DROP CONSTRAINT IF EXISTS c, DROP FOREIGN KEY IF EXISTS f, DROP CHECK x", "id t a b"),
        (
            "ALTER TABLE t ALTER COLUMN IF EXISTS nope SET DEFAULT (1 + 2), ALTER INDEX IF EXISTS "
            "i NOT IGNORED",
            "id t a b",
        ),
        ("ALTER TABLE t ADD UNIQUE KEY IF NOT EXISTS u (a), MODIFY COLUMN IF EXISTS b INT FIRST", "b id t a"),
    ],
)
def test_if_exists_is_read_in_every_part(statement: str, names: str) -> None:
    assert [one.split()[0] for one in columns(FOUR, statement)] == names.split()


NAMES = (
    "vector period system versioning first after comment engine type partitions date time timestamp year "
    "json enum2 status value role user charset character2 at begin end row rows sequence serial2 bit bool "
    "text data fixed ascii unicode byte key2 hash uuid inet4 invisible visible stored virtual always "
    "generated2 level local nowait wait force online ignore2 validation cascade2 storage comment_ "
    "column_format encryption expire reorganize remove2 upgrade2 tablespace overlaps portion next previous"
).split()


@pytest.mark.parametrize("mariadb", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_words_that_name_columns_are_names(name: str, mariadb: bool) -> None:
    made = f"CREATE TABLE t (id INT PRIMARY KEY, {name} VARCHAR(20), z INT, KEY (z))"
    expected = ["id int", f"{name} varchar(20) utf8mb4", "z int"]
    assert columns(made, mariadb=mariadb) == expected
    placed = [made, f"ALTER TABLE t ADD c INT AFTER {name}, ALTER {name} SET DEFAULT 'x'"]
    assert columns(*placed, mariadb=mariadb) == [*expected[:2], "c int", expected[2]]
    moved = [
        made,
        f"ALTER TABLE t DROP {name}",
        f"ALTER TABLE t ADD {name} INT FIRST",
        f"ALTER TABLE t MODIFY {name} DATE",
    ]
    assert columns(*moved, mariadb=mariadb) == [f"{name} date", "id int", "z int"]
    renamed = [made, f"ALTER TABLE t RENAME COLUMN {name} TO q", f"ALTER TABLE t CHANGE q {name} INT"]
    assert columns(*renamed, mariadb=mariadb) == ["id int", f"{name} int", "z int"]


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
            f"the labels of column g are converted from {charset} to {to}, of which MariaDB makes other "
            "labels",
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


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE .`t` ADD x INT FIRST",
        "ALTER TABLE t FROBNICATE x",
        "ALTER TABLE t ADD x FANCY",
        "ALTER TABLE t ADD x INT WOBBLY",
        "CREATE TABLE t (id INT) WOBBLY",
        "CREATE TABLE t (id INT PRIMARY KEY, x INT) ENGINE=InnoDB PARTITION BY WOBBLE (x)",
        "ALTER TABLE t COMMENT 'x",
        "ALTER TABLE t ADD c ENUM(0x61)",
    ],
)
def test_what_is_not_understood_is_of_its_table_alone(statement: str) -> None:
    for change in catalog_after().apply(Query("d", statement)):
        assert isinstance(change, Unknown | Altered | Created)
        assert change.table == T


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("ALTER TABLE t ADD x INT WOBBLY", "'WOBBLY' in the definition of column x is not understood"),
        ("ALTER TABLE t WOBBLE", "a change that begins with 'WOBBLE' is not understood"),
        ("ALTER TABLE t DROP a b", "'b' after the change that begins with 'DROP' is not understood"),
        (
            "ALTER TABLE t ENGINE=InnoDB WOBBLY",
            "'WOBBLY' after the change that begins with 'ENGINE' is not understood",
        ),
        (
            "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (p WITHOUT OVERLAPS)",
            "the primary key has the period p, and its columns are not known",
        ),
        (
            "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (nope)",
            "the primary key of d.t has 'nope', which is no column",
        ),
        ("CREATE TABLE t (a INT) WOBBLY", "'WOBBLY' after the columns of a table is not understood"),
        (
            "ALTER TABLE t ADD x ENUM('é') CHARSET ascii",
            "the label 'é' of column x cannot be spelled in ascii",
        ),
        (
            "ALTER TABLE t ADD x SET('€') CHARSET cp850",
            "the label '€' of column x cannot be spelled in cp850",
        ),
        (
            "ALTER TABLE t ADD x ENUM('😀') CHARSET utf8",
            "the label '😀' of column x cannot be spelled in utf8mb3",
        ),
        ("ALTER TABLE t ADD x\xa0y INT", "a no-break space outside of quotes: 'x\\xa0y'"),
        ("ALTER TABLE t SEQUENCE=1", "a table that becomes a sequence, or a sequence that becomes a table"),
    ],
)
def test_what_is_not_known_entirely_refuses_the_table(statement: str, reason: str) -> None:
    catalog = catalog_after(FOUR)
    assert catalog.apply(Query("d", statement)) == (Unknown(T, reason),)
    assert catalog.table(T) is None


@pytest.mark.parametrize(
    ("statement", "of_mariadb", "of_mysql"),
    [
        ("ALTER TABLE t /*M! ADD x INT */ DROP b", "", "id t a"),
        ("ALTER TABLE t ADD x INT /*!50100 AFTER id */", "id x t a b", "id x t a b"),
        ("ALTER TABLE t /* ADD x INT, */ ADD y INT -- , ADD z INT\n FIRST", "y id t a b", "y id t a b"),
        (
            "ALTER TABLE t ADD x INT /*!80023 INVISIBLE */ /*!50100 FIRST /* a */ */",
            "x id t a b",
            "x id t a b",
        ),
        ("ALTER TABLE t ADD x INT DEFAULT -1 --1\n", "", ""),
        ("ALTER TABLE t ADD x\x0bINT\x0cFIRST", "x id t a b", "x id t a b"),
        ("/*M!100203 ALTER TABLE t ADD x INT FIRST */", "x id t a b", "id t a b"),
    ],
)
def test_comments_count_where_the_server_executes_them(
    statement: str, of_mariadb: str, of_mysql: str
) -> None:
    for mariadb, names in ((True, of_mariadb), (False, of_mysql)):
        found = catalog_after(FOUR, statement, mariadb=mariadb).table(T)
        assert (found is None) == (not names)
        assert found is None or [column.name for column in found.columns] == names.split()


def test_a_statement_that_failed_did_what_it_did_before() -> None:
    catalog = catalog_after(FOUR)
    failed = Query("d", "CREATE OR REPLACE TABLE t (a INT, a INT)", error=1060)
    assert set(catalog.apply(failed)) == {Dropped(T)}
    assert catalog.table(T) is None
    catalog = catalog_after(FOUR)
    reason = "it ended with error 1317, and what it did before is not known"
    assert catalog.apply(Query("d", "ALTER TABLE t DROP a", error=1317)) == (Unknown(T, reason),)
    assert catalog.apply(Query("d", "DROP TABLE t, nope", error=1051)) == (
        Dropped(T),
        Dropped(TableId("d", "nope")),
    )
    catalog = catalog_after("CREATE SEQUENCE s")
    catalog.apply(Query("d", "CREATE OR REPLACE SEQUENCE s INCREMENT x", error=1064))
    assert not catalog.sequences
