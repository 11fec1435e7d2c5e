"""The progress line: what it says, on a terminal and elsewhere."""

from __future__ import annotations

import io
from datetime import datetime, timedelta, timezone

import pytest
from rich.console import Console

from streamjobs.cli.live import ProgressLine, lag_text, progress_text, watermark_text
from streamjobs.job.progress import Progress

AT = datetime(2026, 11, 23, 8, 0, 10, tzinfo=timezone.utc)
WATERMARK_MS = int((AT - timedelta(seconds=7)).timestamp() * 1000)


def progress(**changes: object) -> Progress:
    fields: dict[str, object] = {
        "messages_in": 100, "rows_in": 12_345, "rows_out": 11_000, "dead_letters": 12, "dropped_late": 0,
        "pending": 0, "watermark_ms": WATERMARK_MS, "checkpoints": 4, "state": "RUNNING",
    }  # fmt: skip
    return Progress(**{**fields, **changes})  # type: ignore[arg-type]


def test_line_of_a_healthy_job_has_the_five_counters() -> None:
    assert progress_text("ctr", progress(), 5321.4, 0, AT) == (
        "ctr  rows in 12,345 (5,321/s)  rows out 11,000  watermark 2026-11-23 08:00:03 (lag 7.0 s)  "
        "dead letters 12  checkpoints 4"
    )


def test_line_of_a_job_in_trouble_says_what_and_how_much() -> None:
    text = progress_text("ctr", progress(pending=9, dropped_late=3, state="RESTARTING"), None, 2, AT)
    assert text == (
        "ctr  rows in 12,345  messages to read 9  rows out 11,000  "
        "watermark 2026-11-23 08:00:03 (lag 7.0 s)  dead letters 12  checkpoints 4  "
        "DROPPED BY AN OPERATOR 3  restarts 2  RESTARTING"
    )


@pytest.mark.parametrize(
    ("watermark_ms", "text"),
    [(None, "no watermark yet"), (2**63 - 1, "all windows closed")],
)
def test_watermark_that_is_no_time_has_words(watermark_ms: int | None, text: str) -> None:
    assert watermark_text(watermark_ms, AT) == text


@pytest.mark.parametrize(
    ("lag", "text"),
    [
        (timedelta(milliseconds=-1500), "-1.5 s"),
        (timedelta(seconds=59), "59.0 s"),
        (timedelta(minutes=3), "3.0 min"),
        (timedelta(hours=47), "47.0 h"),
        (timedelta(days=1000), "1000.0 d"),
    ],
)
def test_lag_is_worded_in_its_greatest_unit(lag: timedelta, text: str) -> None:
    assert lag_text(lag) == text


def test_restart_prints_its_cause_once_and_the_last_line_counts_it() -> None:
    out = io.StringIO()
    line = ProgressLine(Console(file=out, width=200), "ctr")
    with line:
        line.restarted("ValueError: [not markup] 7")
        line.show(progress())
    line.end("the job has ended")
    printed = out.getvalue().splitlines()
    assert printed[:2] == ["restart 1 of ctr:", "ValueError: [not markup] 7"]
    assert printed[-2].endswith("restarts 1")
    assert printed[-1] == "ctr  the job has ended"
