"""The progress line: what it says, on a terminal and elsewhere."""

from __future__ import annotations

import io
from datetime import datetime, timedelta, timezone

import pytest
from rich.console import Console

from streamjobs.cli.live import ProgressLine, lag_text, progress_text, watermark_text
from streamjobs.job.cluster.progress import Progress

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


TRACE = (
    "Traceback (most recent call last):\n"
    '  File "/srv/jobs/fragile.py", line 13, in [checked]\n'
    "    raise ValueError\n"
    "ValueError: [not markup] 7"
)


def printed(*, verbose: bool = False) -> list[str]:
    out = io.StringIO()
    line = ProgressLine(Console(file=out, width=200), "ctr", verbose=verbose)
    with line:
        line.restarted(TRACE)
        line.show(progress(state="RESTARTING"))
    line.end("the job has ended")
    return out.getvalue().splitlines()


def test_a_restart_is_one_line_and_its_cause_stays_on_the_live_line_until_the_job_runs() -> None:
    cause = "ValueError: [not markup] 7 (/srv/jobs/fragile.py:13, in [checked])"
    lines = printed()
    assert lines[0] == f"restart 1 of ctr: {cause}"
    assert lines[1].endswith(f"restarts 1  RESTARTING  {cause}")
    assert lines[2].endswith("restarts 1  RESTARTING")
    assert lines[3:] == ["ctr  the job has ended"]


def test_the_whole_trace_of_a_restart_is_for_those_who_ask() -> None:
    assert printed(verbose=True)[1:5] == TRACE.splitlines()


def test_what_a_job_waits_for_is_on_its_line() -> None:
    out = io.StringIO()
    with ProgressLine(Console(file=out, width=200), "ctr") as line:
        line.show(progress(), "ctr waits for the cluster (3 s, at most 1800 s): needs 2 slots [x]")
    assert out.getvalue().endswith("  ctr waits for the cluster (3 s, at most 1800 s): needs 2 slots [x]\n")


def test_what_is_said_again_and_again_is_printed_now_and_then() -> None:
    out = io.StringIO()
    with ProgressLine(Console(file=out, width=200), "ctr") as line:
        for waited in range(100):
            line.say(f"Flink at http://127.0.0.1:1 does not answer (for {waited} s)")
        line.say("idle: draining")
    assert out.getvalue().splitlines() == [
        "ctr  Flink at http://127.0.0.1:1 does not answer (for 0 s)", "ctr  idle: draining",
    ]  # fmt: skip
