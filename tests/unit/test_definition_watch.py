"""Definitions that were followed through the log, held against the server's where both are of one place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import cast

import pytest

from connectors.mysql.position import LogPosition
from connectors.mysql.rows.definition_check import differences
from connectors.mysql.schema.definitions import ColumnDefinition, TableDefinition
from connectors.mysql.schema.history import Catalog
from connectors.mysql.schema.statement import Query
from connectors.mysql.server.log_position import ServerPosition
from streamjobs.capture.config.routes import Route, Routes
from streamjobs.capture.definition_watch import DefinitionWatch
from streamjobs.capture.source.contract import Source
from streamjobs.changes.row_change import TableId

IS_B = "`b` varchar(9) CHARACTER SET utf8mb4"
T, OTHER = TableId("d", "t"), TableId("other", "t")
A = ColumnDefinition("a", "int", "int(11)")
B = ColumnDefinition("b", "varchar", "varchar(9)", 9, charset="utf8mb4")
DIFFERS = (
    "Its definition, as derived from the log up to bin.000002:4, differs from the server's: "
    f"column 2 is {IS_B} in the log and `c` int(11) on the server. Rows since the statement that made the "
    "difference may have been sent wrongly. "
)
CURE = "SET GLOBAL binlog_row_metadata = 'FULL', so that the log has the column names"
LABELS = ColumnDefinition("e", "enum", "enum('x')", charset="latin1", labels=("x",))


def table(*columns: ColumnDefinition, key: tuple[str, ...] = ("a",)) -> TableDefinition:
    return TableDefinition(T, columns, key)


def at(offset: int, file: str = "bin.000001") -> LogPosition:
    return LogPosition(file, offset)


class Server:
    """What the watch asks of a source; counts how often."""

    def __init__(self, *shown: TableDefinition) -> None:
        self.shown = shown
        self.end = at(100)
        self.asked = 0

    def definitions(self, tables: Iterable[TableId]) -> list[TableDefinition]:
        self.asked += 1
        wanted = set(tables)
        return [one for one in self.shown if one.table in wanted]

    def tables(self) -> list[TableId]:
        return [one.table for one in self.shown]

    def place(self) -> ServerPosition:
        return ServerPosition(self.end, "", 0)


def watch(server: Server, catalog: Catalog, *, active: bool = True) -> DefinitionWatch:
    return DefinitionWatch(cast("Source", server), catalog, Routes([Route.made("d.*")]), active=active)


@pytest.mark.parametrize(
    ("followed", "shown", "found"),
    [
        (table(A, B), table(A, B), []),
        (table(A), table(replace(A, native_type="int")), []),
        (table(A, B), table(A), [f"column 2 is {IS_B} in the log and missing on the server"]),
        (table(A), table(A, B), [f"column 2 is missing in the log and {IS_B} on the server"]),
        (
            table(A, replace(A, name="c")),
            table(A, replace(A, name="d"), key=()),
            [
                "column 2 is `c` int(11) in the log and `d` int(11) on the server",
                "the primary key is (a) in the log and () on the server",
            ],
        ),
        (
            table(A, B),
            table(A, replace(B, charset="latin1")),
            [f"column 2 is {IS_B} in the log and `b` varchar(9) CHARACTER SET latin1 on the server"],
        ),
        (
            table(A),
            table(replace(A, unsigned=True, native_type="int(10) unsigned")),
            ["column 1 is `a` int(11) in the log and `a` int(10) unsigned on the server"],
        ),
        (
            table(A, LABELS),
            table(A, replace(LABELS, labels=("y",), native_type="enum('y')")),
            [
                "column 2 is `e` enum('x') CHARACTER SET latin1 in the log and `e` enum('y') CHARACTER SET "
                "latin1 on the server"
            ],
        ),
        (table(A, LABELS), table(A, replace(LABELS, labels=("?",), lost_labels=(1,))), []),
        (
            table(A),
            replace(table(A), charset="latin1"),
            ["new columns get utf8mb4 in the log and latin1 on the server"],
        ),
        (replace(table(A), charset="utf8mb3"), replace(table(A), charset="utf8"), []),
    ],
)
def test_definitions_differ_in_what_rows_depend_on(
    followed: TableDefinition, shown: TableDefinition, found: list[str]
) -> None:
    assert differences(followed, shown) == found


def test_what_differs_twice_is_returned_with_both_shown() -> None:
    server, catalog = Server(table(A, replace(A, name="c"))), Catalog([table(A, B)])
    watching = watch(server, catalog)
    assert not watching.turn(at(10), 1.0)
    assert not watching.turn(at(99), 2.0)
    assert server.asked == 1
    assert not watching.turn(at(100), 3.0)
    assert server.asked == 2
    assert watching.turn(at(4, "bin.000002"), 4.0) == {T: DIFFERS + CURE}
    catalog.stop(T)
    assert not watching.turn(at(5, "bin.000002"), 5.0)
    assert server.asked == 3


def test_where_the_log_names_columns_only_what_its_rows_need_is_compared() -> None:
    server, catalog = Server(table(A, replace(A, name="c"))), Catalog([table(A, B)])
    catalog.needed.add(T)
    watching = watch(server, catalog, active=False)
    watching.turn(at(10), 1.0)
    watching.turn(at(100), 3.0)
    cure = (
        "SET GLOBAL mysql56_temporal_format = ON, and in a new session ALTER TABLE `d`.`t` FORCE, so that "
        "the log has the number of digits of its times"
    )
    assert watching.turn(at(4, "bin.000002"), 4.0) == {T: DIFFERS + cure}


def test_rows_without_names_are_compared_whatever_the_setting_is_now() -> None:
    server, catalog = Server(table(A, replace(A, name="c"))), Catalog([table(A, B)])
    watching = watch(server, catalog, active=False)
    assert not watching.turn(at(9), 0.5)
    assert server.asked == 0
    catalog.unnamed.add(T)
    watching.turn(at(10), 1.0)
    watching.turn(at(100), 3.0)
    assert watching.turn(at(4, "bin.000002"), 4.0) == {T: DIFFERS + CURE}


def test_what_is_alike_is_asked_for_once_and_again_after_a_statement() -> None:
    server, catalog = Server(table(A)), Catalog([table(A)])
    watching = watch(server, catalog)
    for second in range(9):
        watching.turn(at(100), float(second))
    assert server.asked == 1
    catalog.apply(Query("d", "ALTER TABLE t ADD c INT"))
    server.shown = (table(A, replace(A, name="c")),)
    for second in range(9, 20):
        watching.turn(at(200), float(second))
    assert server.asked == 2


def test_a_statement_before_the_servers_place_makes_the_comparison_void() -> None:
    server, catalog = Server(table(A, replace(A, name="c"))), Catalog([table(A)])
    watching = watch(server, catalog)
    watching.turn(at(10), 1.0)
    catalog.apply(Query("d", "ALTER TABLE t ADD c INT"))
    for second in range(2, 9):
        watching.turn(at(100), float(second))
    assert server.asked == 2


def test_tables_that_are_gone_or_not_captured_are_not_compared() -> None:
    other = TableDefinition(OTHER, (A,))
    server, catalog = Server(replace(other, columns=(B,))), Catalog([table(A), other])
    watching = watch(server, catalog)
    for second in range(9):
        watching.turn(at(100), float(second))
    assert server.asked == 1


def test_nothing_is_compared_where_the_log_names_its_columns_or_the_place_is_not_known() -> None:
    server, catalog = Server(table(B)), Catalog([table(A)])
    watch(server, catalog, active=False).turn(at(100), 1.0)
    watch(server, catalog).turn(None, 1.0)
    assert server.asked == 0
