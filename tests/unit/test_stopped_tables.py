"""Tables that a capture has stopped: why, for how long, and what the log of the process says."""

from __future__ import annotations

import logging

import pytest

from connectors.mysql.schema.definitions import ColumnDefinition, TableDefinition
from connectors.mysql.schema.history import Catalog
from connectors.mysql.schema.statement import Query
from streamjobs.capture.state import CaptureState
from streamjobs.capture.stopped_tables import StoppedTables
from streamjobs.changes.row_change import TableId

ITEM, SHOP = TableId("shop", "item"), TableId("shop", "shop")
ID = ColumnDefinition("id", "int", "int")


def test_a_stopped_table_stays_so_with_its_reason_until_it_is_made_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    catalog = Catalog([TableDefinition(ITEM, (ID,)), TableDefinition(SHOP, (ID,))])
    with caplog.at_level(logging.ERROR):
        stopped = StoppedTables(catalog, {"shop.item": "It differs"})
    assert caplog.messages == [
        "shop.item is stopped and not sent until its next snapshot; all other tables continue. It differs. "
        "Then snapshot it: `streamjobs capture snapshot shop.item`"
    ]
    stopped.stop(SHOP, "So does this")
    assert stopped.pending == {"shop.item": "It differs", "shop.shop": "So does this"}
    assert [table in stopped for table in (ITEM, SHOP, TableId("shop", "other"))] == [True, True, False]
    assert catalog.tables == ()
    catalog.apply(Query("shop", "DROP TABLE item"))
    assert stopped.pending == {"shop.shop": "So does this"}
    assert ITEM not in stopped


def test_the_reasons_are_stored_and_a_state_of_before_has_none() -> None:
    state = CaptureState("server", 0, "bin.000001", 4, stopped={"shop.item": "It differs"})
    assert CaptureState.from_json(state.to_json()) == state
    before = b'{"server":"s","epoch":0,"file":"bin.1","offset":4,"snapshots":{},"tables":[],"v":1}'
    assert CaptureState.from_json(before).stopped == {}
