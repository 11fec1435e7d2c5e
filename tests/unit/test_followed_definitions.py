"""Statements that one may misread: the definition is the server's afterwards, or the table is refused."""

from __future__ import annotations

import pytest

from connectors.mysql.rows.table_plan import schema_of
from connectors.mysql.schema.definitions import Altered, Created, Dropped, Unknown
from connectors.mysql.schema.history import Catalog
from connectors.mysql.schema.statement import Query
from streamjobs.changes.row_change import TableId

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
        ([FOUR, "ALTER TABLE t MODIFY IF EXISTS a INT KEY, CHANGE IF EXISTS b b INT PRIMARY KEY"], ("id",)),
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
            "the primary key has the period p, whose columns are not known",
        ),
        (
            "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (nope)",
            "the primary key of d.t has 'nope', which is not a column",
        ),
        ("CREATE TABLE t (a INT) WOBBLY", "'WOBBLY' after the columns of a table is not understood"),
        (
            "ALTER TABLE t ADD x ENUM('é') CHARSET ascii",
            "the label 'é' of column x cannot be encoded in ascii",
        ),
        (
            "ALTER TABLE t ADD x SET('€') CHARSET cp850",
            "the label '€' of column x cannot be encoded in cp850",
        ),
        (
            "ALTER TABLE t ADD x ENUM('😀') CHARSET utf8",
            "the label '😀' of column x cannot be encoded in utf8mb3",
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


@pytest.mark.parametrize(
    "declared",
    [
        "g INT AS (id * 2)",
        "g INT AS (id * 2) VIRTUAL",
        "g INT GENERATED ALWAYS AS (id * 2) STORED COMMENT 'x'",
        "g INT AS (id * 2) PERSISTENT UNIQUE",
        "g INT NOT NULL GENERATED ALWAYS AS ((id) + (2)) STORED",
    ],
)
def test_generated_columns_are_known_as_such(declared: str) -> None:
    for statements in (
        [f"CREATE TABLE t (id INT PRIMARY KEY, {declared}, v INT)"],
        ["CREATE TABLE t (id INT PRIMARY KEY, v INT)", f"ALTER TABLE t ADD COLUMN {declared}"],
        ["CREATE TABLE t (id INT PRIMARY KEY, g INT, v INT)", f"ALTER TABLE t MODIFY {declared}"],
    ):
        found = catalog_after(*statements).table(T)
        assert found is not None
        assert [one.name for one in found.columns if one.generated] == ["g"]
