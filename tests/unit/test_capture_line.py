"""What a capture says of itself in one line."""

from __future__ import annotations

from streamjobs.capture.config.routes import Way
from streamjobs.capture.status.progress import SnapshotProgress
from streamjobs.capture.status.status import CaptureStatus, Telemetry, exposition
from streamjobs.changes.position import Position
from streamjobs.changes.row_change import TableId
from streamjobs.cli.capture_line import destination_lines, left_out, status_text

READING = (SnapshotProgress(TableId("shop", "item"), 20, 100),)


def test_a_snapshot_is_told_and_then_what_comes_behind_it() -> None:
    status = CaptureStatus(
        "shop", "snapshot", place="bin.1:4", rows=2000, snapshots=READING, sweeping=("shop.item",)
    )
    begin = "shop  snapshot  rows 2,000 (0/s)  at bin.1:4  lag 0.0 s  "
    assert status_text(status) == f"{begin}snapshot of 1 tables 20 of about 100"
    behind = CaptureStatus("shop", "snapshot", place="bin.1:4", rows=2000, sweeping=("shop.item",), retries=1)
    assert status_text(behind) == f"{begin}reconciling 1 tables with their topics  retries 1"


def test_the_captured_tables_are_told_with_their_topics() -> None:
    ways = {
        TableId("shop", "order"): Way("orders", ("user_id",)),
        TableId("shop", "item"): Way("shop.item", ()),
    }
    assert list(destination_lines(ways)) == [
        "2 tables that this account sees are captured:",
        "  shop.item to topic shop.item, partition by its primary key",
        "  shop.order to topic orders, partition by user_id",
    ]
    assert list(destination_lines({})) == ["0 tables that this account sees are captured"]


def test_what_was_left_out_is_told_at_the_end_and_in_the_metrics() -> None:
    telemetry = Telemetry(CaptureStatus("shop", "streaming", place="bin.1:4", stopped={"shop.item": "Why"}))
    telemetry.count_unseen(["statement_format", "statement_format"], Position(0, 1, 99))
    telemetry.count_unseen(["unknown"], Position(0, 1, 200))
    status = telemetry.status
    assert telemetry.counted_to == Position(0, 1, 200)
    assert status.unseen == {"statement_format": 2, "unknown": 1}
    assert status_text(status).endswith("lag 0.0 s  stopped tables 1  ignored statements 3")
    assert list(left_out(status)) == [
        "stopped     shop.item: Why",
        "Not complete: the log has no rows of these statements (2 statement format, 1 unknown), so their "
        "changes were not sent. Snapshot those tables: `streamjobs capture snapshot TABLE`",
    ]
    assert list(left_out(CaptureStatus("shop"))) == []
    shown = exposition(status).splitlines()
    assert 'streamjobs_capture_stopped_tables{source="shop"} 1' in shown
    counts = {"statement_format": 2, "truncate_table": 0, "unknown": 1}
    for word, count in counts.items():
        labels = f'source="shop",word="{word}"'
        assert f"streamjobs_capture_unseen_statements_total{{{labels}}} {count}" in shown
