"""Statements on tables: definitions as the server has them afterwards, and nothing misread in silence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mysql.rows.table_plan import schema_of
from connectors.mysql.schema.definitions import (
    Altered,
    Created,
    DatabaseDropped,
    Dropped,
    Modified,
    Renamed,
    RowsReplaced,
    TableDefinition,
    Truncated,
    Unknown,
)  # fmt: skip
from connectors.mysql.schema.history import Catalog
from connectors.mysql.schema.statement import Query
from streamjobs.changes.row_change import SqlType, TableId
from streamjobs.errors import ConfigError

T = TableId("d", "t")
BASE = (
    "CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(20) CHARACTER SET latin1) DEFAULT CHARSET=utf8mb4"
)


def after(*statements: str, mariadb: bool = False) -> TableDefinition:
    catalog = Catalog(mariadb=mariadb)
    for statement in statements:
        for change in catalog.apply(Query("d", statement)):
            assert not isinstance(change, Unknown), change
    found = catalog.table(T)
    assert found is not None
    return found


def altered(table: str) -> Altered:
    """A table without a known definition, altered in nothing that rows show."""
    return Altered(TableId("d", table), None, ())


def shape(definition: TableDefinition) -> list[tuple[str, str]]:
    return [(column.name, column.native_type) for column in definition.columns]


@pytest.mark.parametrize(
    ("written", "native", "sql_type"),
    [
        ("INTEGER UNSIGNED ZEROFILL", "int unsigned zerofill", SqlType.BIGINT),
        ("INT(10) UNSIGNED", "int(10) unsigned", SqlType.BIGINT),
        ("BOOL", "tinyint(1)", SqlType.TINYINT),
        ("NUMERIC", "decimal(10,0)", SqlType.DECIMAL),
        ("DEC(8,3) UNSIGNED", "decimal(8,3) unsigned", SqlType.DECIMAL),
        ("FLOAT(25)", "double", SqlType.DOUBLE),
        ("FLOAT(7,4)", "float(7,4)", SqlType.FLOAT),
        ("DOUBLE PRECISION", "double", SqlType.DOUBLE),
        ("CHARACTER VARYING(5)", "varchar(5)", SqlType.TEXT),
        ("NATIONAL VARCHAR(5)", "varchar(5)", SqlType.TEXT),
        ("CHAR BYTE", "binary(1)", SqlType.BYTES),
        ("VARCHAR(9) CHARACTER SET binary", "varbinary(9)", SqlType.BYTES),
        ("TEXT(100)", "text", SqlType.TEXT),
        ("TEXT(20) CHARSET latin1", "tinytext", SqlType.TEXT),
        ("LONG VARBINARY", "mediumblob", SqlType.BYTES),
        ("BIT", "bit(1)", SqlType.BIT),
        ("TIMESTAMP(6) NULL DEFAULT NULL ON UPDATE CURRENT_TIMESTAMP(6)", "timestamp(6)", SqlType.TIMESTAMP),
        ("enum('a','b,c','d''e','x\\'y') COLLATE utf8mb4_bin DEFAULT 'b,c'", "enum('a','b,c','d''e','x''y')",
         SqlType.ENUM),
        ("SET('r','g') COMMENT 'primary, (key)'", "set('r','g')", SqlType.SET),
        ("JSON DEFAULT (JSON_ARRAY(1, 2))", "json", SqlType.JSON),
        ("POINT NOT NULL /*!80003 SRID 4326 */", "point", SqlType.GEOMETRY),
        ("INT GENERATED ALWAYS AS (id * (2 + 1)) STORED", "int", SqlType.INT),
        ("VARCHAR(3) CHECK (c <> 'first')", "varchar(3)", SqlType.TEXT),
        ("VECTOR(4)", "vector(4)", SqlType.BYTES),
    ],
)  # fmt: skip
def test_every_spelling_of_a_type_is_known(written: str, native: str, sql_type: SqlType) -> None:
    definition = after(f"CREATE TABLE t (id INT PRIMARY KEY, c {written}, z INT) CHARACTER SET utf8mb4")
    assert shape(definition) == [("id", "int"), ("c", native), ("z", "int")]
    assert schema_of(definition).columns[1].type is sql_type


@pytest.mark.parametrize(
    ("statement", "expected", "kinds"),
    [
        ("ALTER TABLE t ADD c INT", ["id", "a", "b", "c"], ("add column",)),
        ("ALTER TABLE d.t ADD COLUMN c INT FIRST, ADD `e f` INT AFTER a", ["c", "id", "a", "e f", "b"],
         ("add column",)),
        ("ALTER TABLE t ADD (x INT, y ENUM('a','b'))", ["id", "a", "b", "x", "y"], ("add column",)),
        ("ALTER TABLE t DROP a, DROP COLUMN IF EXISTS nope", ["id", "b"], ("drop column",)),
        ("ALTER TABLE t RENAME COLUMN a TO aa", ["id", "aa", "b"], ("rename column",)),
        ("ALTER TABLE t CHANGE a aa BIGINT AFTER b", ["id", "b", "aa"], ("rename column", "modify column")),
        ("ALTER TABLE t MODIFY b VARCHAR(40) FIRST", ["b", "id", "a"], ("modify column",)),
        ("ALTER TABLE t ADD INDEX i (a), ENGINE=InnoDB, COMMENT 'DROP a', LOCK=NONE", ["id", "a", "b"], ()),
        ("ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (a, b(3))", ["id", "a", "b"], ("primary key",)),
        ("ALTER TABLE t ADD CONSTRAINT c FOREIGN KEY (a) REFERENCES o (i), DROP KEY j", ["id", "a", "b"], ()),
        ("ALTER TABLE t RENAME COLUMN a TO b, RENAME COLUMN b TO a", ["id", "b", "a"], ("rename column",)),
        ("ALTER TABLE t CHANGE a b INT, CHANGE b c INT, CHANGE id a INT", ["a", "b", "c"],
         ("rename column", "modify column")),
        ("ALTER TABLE t ADD y INT AFTER x, CHANGE a x INT", ["id", "x", "y", "b"],
         ("add column", "rename column", "modify column")),
        ("ALTER TABLE t ADD a BIGINT FIRST, DROP a", ["a", "id", "b"], ("add column", "drop column")),
        ("ALTER TABLE t MODIFY id INT AFTER b, ADD x INT AFTER id, ADD y INT", ["a", "b", "id", "x", "y"],
         ("modify column", "add column")),
        ("ALTER TABLE t WAIT 5 DROP a", ["id", "b"], ("drop column",)),
        ("ALTER TABLE t NOWAIT RENAME COLUMN a TO c", ["id", "c", "b"], ("rename column",)),
        ("ALTER TABLE t ADD VECTOR INDEX v (a)", ["id", "a", "b"], ()),
        ("ALTER TABLE t DROP id", ["a", "b"], ("drop column", "primary key")),
        ("ALTER TABLE t DROP INDEX `PRIMARY`", ["id", "a", "b"], ("primary key",)),
        ("DROP INDEX IF EXISTS `PRIMARY` ON d.t", ["id", "a", "b"], ("primary key",)),
        ("ALTER TABLE t DROP PRIMARY KEY, MODIFY a INT PRIMARY KEY", ["id", "a", "b"],
         ("modify column", "primary key")),
        ("/* hint */ ALTER /* two */ TABLE `d`.`t` ADD COLUMN IF NOT EXISTS a INT", ["id", "a", "b"], ()),
    ],
)  # fmt: skip
def test_alter_table_is_followed(statement: str, expected: list[str], kinds: tuple[str, ...]) -> None:
    catalog = Catalog()
    catalog.apply(Query("d", BASE))
    (change,) = catalog.apply(Query("d", statement))
    found = catalog.table(T)
    assert found is not None
    assert [column.name for column in found.columns] == expected
    assert change == Altered(T, found, kinds)


@pytest.mark.parametrize(
    ("statements", "key"),
    [
        (["CREATE TABLE t (id INT KEY, a INT UNIQUE KEY)"], ("id",)),
        (["CREATE TABLE t (id INT, a INT UNIQUE, PRIMARY KEY (ID))"], ("id",)),
        ([BASE, "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (B, A)"], ("b", "a")),
        ([BASE, "ALTER TABLE t ADD c INT KEY FIRST, DROP PRIMARY KEY"], ("c",)),
        ([BASE, "ALTER TABLE t CHANGE a id INT, CHANGE id a INT"], ("a",)),
        ([BASE, "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (a, b)", "ALTER TABLE t DROP a"], ("b",)),
        ([BASE, "DROP INDEX `PRIMARY` ON t"], ()),
    ],
)
def test_the_primary_key_is_followed(statements: list[str], key: tuple[str, ...]) -> None:
    definition = after(*statements)
    assert definition.primary_key == key
    assert [column.name for column in schema_of(definition).columns if column.key] == [
        column.name for column in definition.columns if column.name in key
    ]


def test_charsets_come_from_column_table_and_database() -> None:
    catalog = Catalog()
    catalog.apply(Query("", "CREATE DATABASE IF NOT EXISTS d CHARACTER SET = gbk"))
    catalog.apply(Query("d", "CREATE TABLE t (id INT PRIMARY KEY, x TEXT, y CHAR(3) COLLATE utf16_bin)"))
    found = catalog.table(T)
    assert found is not None
    assert [column.charset for column in found.columns] == ["", "gbk", "utf16"]
    catalog.apply(Query("d", "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4, ADD z TEXT"))
    found = catalog.table(T)
    assert found is not None
    assert [column.charset for column in found.columns] == ["", "utf8mb4", "utf8mb4", "utf8mb4"]
    unknown = after("CREATE TABLE t (id INT PRIMARY KEY, x TEXT)")
    assert unknown.columns[1].charset == ""


def test_json_of_mariadb_is_text_with_a_check() -> None:
    spelled = after("CREATE TABLE t (id INT PRIMARY KEY, j JSON)", mariadb=True)
    shown = after(
        "CREATE TABLE `t` (`id` int(11) NOT NULL, `j` longtext CHARACTER SET utf8mb4 COLLATE utf8mb4_bin "
        "DEFAULT NULL CHECK (json_valid(`j`)), PRIMARY KEY (`id`)) ENGINE=InnoDB DEFAULT CHARSET=latin1",
        mariadb=True,
    )
    assert spelled.columns[1] == shown.columns[1]
    assert schema_of(spelled).columns[1].type is SqlType.JSON


@pytest.mark.parametrize(
    ("statement", "changes"),
    [
        ("RENAME TABLE t TO u, d.x TO e.y",
         [Renamed(T, TableId("d", "u")), Renamed(TableId("d", "x"), TableId("e", "y"))]),
        ("ALTER TABLE t RENAME TO u", [Renamed(T, TableId("d", "u"))]),
        ("DROP TABLE IF EXISTS `d`.`t`,`u` /* by server */", [Dropped(T), Dropped(TableId("d", "u"))]),
        ("TRUNCATE t", [Truncated(T)]),
        ("DROP SCHEMA IF EXISTS d", [DatabaseDropped("d")]),
        ("CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY, b VARCHAR(20), a INT)", []),
        ("CREATE TABLE IF NOT EXISTS t LIKE nobody", []),
        ("CREATE TABLE IF NOT EXISTS u LIKE nobody", [Created(TableId("d", "u"), None)]),
        ("CREATE TABLE t LIKE nobody", [Created(T, None)]),
        ("CREATE TABLE t SELECT * FROM u", [Created(T, None)]),
        ("CREATE OR REPLACE TABLE t LIKE nobody", [Dropped(T), Created(T, None)]),
        ("CREATE OR REPLACE TABLE u LIKE nobody", [Created(TableId("d", "u"), None)]),
        ("ALTER TABLE x DROP PARTITION p0, p1", [altered("x"), RowsReplaced(TableId("d", "x"))]),
        ("ALTER TABLE x TRUNCATE PARTITION ALL", [altered("x"), RowsReplaced(TableId("d", "x"))]),
        ("ALTER TABLE x EXCHANGE PARTITION p WITH TABLE e.y WITHOUT VALIDATION",
         [altered("x"), RowsReplaced(TableId("d", "x")), RowsReplaced(TableId("e", "y"))]),
        ("ALTER TABLE x CONVERT PARTITION p TO TABLE y",
         [altered("x"), RowsReplaced(TableId("d", "x")), RowsReplaced(TableId("d", "y"))]),
        ("ALTER TABLE x IMPORT TABLESPACE", [altered("x"), RowsReplaced(TableId("d", "x"))]),
        ("ALTER IGNORE TABLE x ADD UNIQUE (a)", [altered("x"), RowsReplaced(TableId("d", "x"))]),
        ("ALTER IGNORE TABLE x ADD INDEX (a)", [altered("x")]),
        ("ALTER TABLE x DROP SYSTEM VERSIONING", [altered("x")]),
        ("ALTER TABLE x ADD PARTITION (PARTITION p2 VALUES LESS THAN (9))", [altered("x")]),
        ("ALTER TABLE x REORGANIZE PARTITION p0 INTO (PARTITION a VALUES IN (1))", [altered("x")]),
        ("INSERT INTO t VALUES (1)", [Modified(T)]),
        ("DELETE FROM `d`.`t`", [Modified(T)]),
        ("DELETE FROM t WHERE a IN (1, 2)", [Modified(T)]),
        ("DELETE FROM t AS x WHERE x.a = 1", [Modified(T)]),
        ("DELETE FROM t x ORDER BY a LIMIT 1", [Modified(T)]),
        ("DELETE FROM t PARTITION (p0, p1) WHERE a = 1", [Modified(T)]),
        ("DELETE FROM t RETURNING a", [Modified(T)]),
        ("DELETE FROM t, u USING t INNER JOIN u", [Modified(None)]),
        ("DELETE FROM t USING t INNER JOIN u", [Modified(None)]),
        ("DELETE FROM t.* USING t INNER JOIN u", [Modified(None)]),
        ("DELETE FROM t x USING u x", [Modified(None)]),
        ("UPDATE t, u SET t.a = u.a", [Modified(None)]),
        ("CREATE TEMPORARY TABLE t (id INT)", []),
        ("CREATE OR REPLACE ALGORITHM=MERGE DEFINER=`a`@`%` SQL SECURITY INVOKER VIEW v AS SELECT 1", []),
        ("CREATE DEFINER=`a`@`b` TRIGGER g BEFORE INSERT ON t FOR EACH ROW BEGIN DROP TABLE t; END", []),
        ("CREATE UNIQUE INDEX i ON t (a)", []),
        ("DROP INDEX i ON t", []),
        ("DROP INDEX IF EXISTS `on` ON t LOCK=NONE", []),
        ("SET STATEMENT max_statement_time = 9, lock_wait_timeout = 1 FOR DROP TABLE t", [Dropped(T)]),
        ("SET STATEMENT sql_mode = 'x FOR y' FOR DELETE FROM t", [Modified(T)]),
        ("SET STATEMENT max_statement_time = 9 FOR ANALYZE TABLE t", []),
        ("SET GLOBAL max_connections = 9", []),
        ("GRANT SELECT ON *.* TO x", []),
        ("ANALYZE TABLE t", []),
        ("DROP PROCEDURE IF EXISTS p", []),
    ],
)  # fmt: skip
def test_other_statements_say_what_they_do(statement: str, changes: list[object]) -> None:
    catalog = Catalog()
    catalog.apply(Query("d", BASE))
    assert list(catalog.apply(Query("d", statement))) == changes


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("CREATE TABLE t (id FANCY)", "type 'fancy' is not known"),
        ("ALTER TABLE t ADD c TEXT CHARACTER SET klingon", "character set 'klingon' is not known"),
        ("ALTER TABLE t DROP nope", "no column 'nope'"),
        (
            "CREATE TABLE t (id INT KEY, p INT WITHOUT SYSTEM VERSIONING) WITH SYSTEM VERSIONING",
            "are refused",
        ),
        ("ALTER TABLE t ADD SYSTEM VERSIONING", "system-versioned tables are refused"),
        ("ALTER TABLE t ADD c ENUM('a', x'62')", "a label that is not a text: 'x 62'"),
        ("CREATE TABLE t (id INT", "parenthesis that does not end"),
        ("ALTER TABLE t COMMENT 'x", "quote that does not end"),
        ("FROBNICATE t", "'FROBNICATE' is not known"),
    ],
)
def test_what_is_not_understood_is_said_and_its_table_forgotten(statement: str, reason: str) -> None:
    catalog = Catalog()
    catalog.apply(Query("d", BASE))
    (change,) = catalog.apply(Query("d", statement))
    assert isinstance(change, Unknown)
    assert reason in change.reason
    assert change.table is None or catalog.table(T) is None


@given(st.text(alphabet="CREATETABLEALTERDROPtd ()'`\"\\,;/*!0ai#-\n", max_size=80))
def test_no_text_makes_it_raise(text: str) -> None:
    catalog = Catalog()
    catalog.apply(Query("d", BASE))
    for sql in (text, f"ALTER TABLE t {text}", f"CREATE TABLE u ({text})"):
        catalog.apply(Query("d", sql))


def test_a_file_of_definitions_is_read_whole() -> None:
    catalog = Catalog.of_sql(
        "-- a dump; with comments\nUSE `d`;\n/*!40101 SET NAMES utf8 */;\n"
        "CREATE TABLE `t` (`a;b` int COMMENT ';', PRIMARY KEY (`a;b`));\nCREATE TABLE e.u (x int)",
        "elsewhere",
    )
    assert [str(definition.table) for definition in catalog.tables] == ["d.t", "e.u"]
    with pytest.raises(ConfigError, match="type 'fancy'"):
        Catalog.of_sql("CREATE TABLE t (id FANCY)", "d")
