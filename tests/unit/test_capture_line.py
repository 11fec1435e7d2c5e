"""What a capture says of itself in one line."""

from __future__ import annotations

from streamjobs.capture.handoff import SnapshotProgress
from streamjobs.capture.routes import Way
from streamjobs.capture.telemetry import CaptureStatus
from streamjobs.cli.capture_line import status_text, ways_lines
from streamjobs.rowchange import TableId

READING = (SnapshotProgress(TableId("shop", "item"), 20, 100),)


def test_a_snapshot_is_told_and_then_what_comes_behind_it() -> None:
    status = CaptureStatus(
        "shop", "snapshot", place="bin.1:4", rows=2000, snapshots=READING, sweeping=("shop.item",)
    )
    begin = "shop  snapshot  rows 2,000 (0/s)  at bin.1:4  lag 0.0 s  "
    assert status_text(status) == f"{begin}snapshot of 1 tables 20 of about 100"
    behind = CaptureStatus("shop", "snapshot", place="bin.1:4", rows=2000, sweeping=("shop.item",), retries=1)
    assert status_text(behind) == f"{begin}looks for gone rows of 1 tables in their topics  retries 1"


def test_the_captured_tables_are_told_with_their_topics() -> None:
    ways = {
        TableId("shop", "order"): Way("orders", ("user_id",)),
        TableId("shop", "item"): Way("shop.item", ()),
    }
    assert list(ways_lines(ways)) == [
        "2 tables that this account sees are captured:",
        "  shop.item to topic shop.item, partition by its primary key",
        "  shop.order to topic orders, partition by user_id",
    ]
    assert list(ways_lines({})) == ["0 tables that this account sees are captured"]
