"""Tables that a catalog does not know at first: passed over up to an exact place, known from there on."""

from __future__ import annotations

import pytest

from connectors.mysql.position import LogPosition
from connectors.mysql.schema.definitions import (
    Altered,
    ColumnDefinition,
    Created,
    Renamed,
    TableDefinition,
    Truncated,
)
from connectors.mysql.schema.history import Catalog
from connectors.mysql.schema.statement import Query
from streamjobs.changes.row_change import TableId

OLD, NEW, OTHER = TableId("shop", "old"), TableId("shop", "new"), TableId("shop", "other")
INT = ColumnDefinition("id", "int", "int")
WIDE = TableDefinition(NEW, (INT, ColumnDefinition("v", "int", "int")))
HERE, THERE = LogPosition("bin.000999", 4711), LogPosition("bin.001000", 4)


def catalog() -> Catalog:
    """One that knows `old`, and expects `new` at THERE."""
    made = Catalog([TableDefinition(OLD, (INT,))])
    made.pending_tables.pass_over_unknown(THERE, lambda table: table == OLD)
    made.pending_tables.expect(NEW, WIDE, THERE)
    return made


def kinds(made: Catalog, sql: str) -> list[type]:
    return [type(change) for change in made.apply(Query("shop", sql))]


def test_a_table_counts_from_its_place_on() -> None:
    made = catalog()
    assert [made.pending_tables.passes_over(table) for table in (OLD, NEW, OTHER)] == [False, True, True]
    assert made.arrive(HERE) == []
    assert kinds(made, "TRUNCATE TABLE new") == []
    assert kinds(made, "ALTER TABLE new ADD COLUMN v INT") == []
    assert kinds(made, "ALTER TABLE old ADD COLUMN v INT") == [Altered]
    assert made.table(NEW) is None
    assert made.arrive(THERE) == [WIDE]
    assert made.table(NEW) == WIDE
    assert [made.pending_tables.passes_over(table) for table in (OLD, NEW, OTHER)] == [False, False, False]
    assert kinds(made, "TRUNCATE TABLE new") == [Truncated]


def test_a_table_that_the_log_makes_counts_at_once() -> None:
    made = catalog()
    assert kinds(made, "CREATE TABLE IF NOT EXISTS new (id INT)") == []  # it may have been there
    assert kinds(made, "CREATE TABLE new LIKE unheard") == []
    assert kinds(made, "CREATE TABLE new (id INT)") == [Created]
    assert not made.pending_tables.passes_over(NEW)
    assert made.arrive(THERE) == []
    assert made.table(NEW) == TableDefinition(NEW, (INT,), (), "")


def test_a_table_that_gets_a_name_brings_its_definition() -> None:
    made = catalog()
    assert kinds(made, "RENAME TABLE other TO new") == []  # neither is known: it is read whole anyway
    assert made.pending_tables.passes_over(NEW)
    assert kinds(made, "RENAME TABLE old TO other, other TO new") == [Renamed, Renamed]
    assert not made.pending_tables.passes_over(NEW)
    assert made.arrive(THERE) == []
    assert made.table(NEW) == TableDefinition(NEW, (INT,))


def test_a_known_name_is_never_passed_over() -> None:
    made = catalog()
    assert kinds(made, "RENAME TABLE old TO other, staged TO old") == [Renamed, Renamed]
    assert not made.pending_tables.passes_over(OLD)


def stopped() -> Catalog:
    made = Catalog([TableDefinition(OLD, (INT,)), TableDefinition(OTHER, (INT,))])
    made.stop(OLD)
    return made


def test_a_stopped_table_is_passed_over_until_it_is_expected() -> None:
    made = stopped()
    assert made.table(OLD) is None
    assert made.pending_tables.passes_over(OLD)
    assert made.pending_tables.stopped == {OLD}
    assert kinds(made, "ALTER TABLE old ADD v INT") == []
    assert kinds(made, "TRUNCATE TABLE old") == []
    assert kinds(made, "ALTER TABLE other ADD v INT") == [Altered]
    assert made.arrive(HERE) == []
    assert made.pending_tables.passes_over(OLD)
    definition = TableDefinition(OLD, (INT,))
    made.pending_tables.expect(OLD, definition, THERE)
    assert (made.pending_tables.stopped, made.pending_tables.passes_over(OLD)) == (frozenset(), True)
    assert made.arrive(THERE) == [definition]
    assert not made.pending_tables.passes_over(OLD)


@pytest.mark.parametrize(
    ("statement", "is_defined"),
    [
        ("DROP TABLE old", False),
        ("DROP DATABASE shop", False),
        ("CREATE OR REPLACE TABLE old (id INT)", True),
        ("RENAME TABLE old TO away", False),
        ("RENAME TABLE other TO old", True),
    ],
)
def test_a_stopped_table_counts_again_when_the_log_makes_it_anew(statement: str, is_defined: bool) -> None:
    made = stopped()
    assert kinds(made, statement)
    assert made.pending_tables.stopped == frozenset()
    assert not made.pending_tables.passes_over(OLD)
    assert (made.table(OLD) is not None) == is_defined
    assert made.table(TableId("shop", "away")) is None


def test_a_table_that_is_gone_at_its_place_is_nothing() -> None:
    made = Catalog()
    made.pending_tables.expect(NEW, None, HERE)
    assert made.pending_tables.passes_over(NEW)
    assert made.arrive(HERE) == []
    assert made.table(NEW) is None
