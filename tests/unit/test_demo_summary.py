"""What the demo prints: the numbers, the line, the differences, and what to type next."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace

import pytest
from rich.console import Console

from streamjobs.changes.dead_letter import DeadLetter, Stage
from streamjobs.cli.demo_summary import show, what_next
from streamjobs.demo.balance import Balance
from streamjobs.demo.comparison import Comparison
from streamjobs.demo.feed import FeedResult
from streamjobs.demo.options import TrafficOptions
from streamjobs.demo.proof import Proof
from streamjobs.demo.scenario import ad_traffic

SCENARIO = ad_traffic(TrafficOptions())
RIGHT = Proof(
    fed=FeedResult(rows=3_000, messages=40, seconds=0.5),
    run_s=2.0,
    line=Balance(sent=1_005, samples=1_000, repeated=3, late=1, dead=1, pending=0),
    open_windows=Balance(sent=1_005, samples=900, repeated=2, late=1, dead=1, pending=101),
    samples={7: (7, 0, 0, None), 8: (8, 1, 1, None)},
    positives=250,
    duplicates=0,
    dead_letters={
        "ad.impression/0/4/2": DeadLetter("", Stage.LATE, "late", "", "ctr", "", "ad.impression", 0, 4, 2, 0),
        "ad.impression/1/9/-1": DeadLetter(
            "", Stage.DECODE, "crc", "", "ctr", "", "ad.impression", 1, 9, -1, 0
        ),
    },
    table=Comparison(1_000, 1_000),
    topic=Comparison(1_000, 1_000),
    letters=Comparison(2, 2),
)


def shown(proof: Proof) -> str:
    text = io.StringIO()
    show(Console(width=110, file=text), SCENARIO, proof)
    return text.getvalue()


def test_the_summary_has_all_numbers() -> None:
    rows = [" ".join(line.strip(" │┃").replace("│", " ").split()) for line in shown(RIGHT).splitlines()]
    for row in (
        "impressions in 1,005",
        "samples out 1,000",
        "positives 250 (25.0 %)",
        "dead letters ad.impression decode: crc 1",
        "dead letters ad.impression late: late 1",
        "rows sent, all topics 3,000 in 40 messages",
        "rows/s until the last was processed 1,500",
        "pending when all was read, before the drain 101",
        "1005 impressions sent = 1000 samples + 3 repeated + 1 late + 1 dead + 0 pending",
        "table ctr_samples against the truth: all 1000 equal",
        "topic ctr_samples against the truth: all 1000 equal",
        "dead letters against the truth: all 2 equal",
    ):
        assert row in rows


def test_differences_are_shown_with_their_columns() -> None:
    wrong = Comparison(1_000, 999, Counter({"(missing)": 1}), ["impression 9: no sample"])
    text = shown(replace(RIGHT, topic=wrong, duplicates=2))
    assert "999 against 1000 expected; (missing): 1" in text
    assert "impression 9: no sample" in text
    assert "2 samples came twice" in text


@pytest.mark.parametrize(
    "wrong",
    [
        replace(RIGHT, line=replace(RIGHT.line, late=0)),
        replace(RIGHT, duplicates=1),
        replace(RIGHT, table=Comparison(1, 1, Counter({"label": 1}))),
        replace(RIGHT, topic=Comparison(1, 1, Counter({"label": 1}))),
        replace(RIGHT, letters=Comparison(1, 1, Counter({"stage": 1}))),
    ],
)
def test_one_wrong_thing_makes_the_proof_fail(wrong: Proof) -> None:
    assert RIGHT.ok
    assert not wrong.ok


def test_it_ends_with_commands_that_fit_what_still_runs() -> None:
    stays, stops = io.StringIO(), io.StringIO()
    what_next(Console(width=110, file=stays), SCENARIO, RIGHT, running=True)
    what_next(Console(width=110, file=stops), SCENARIO, RIGHT, running=False)
    assert [line.strip() for line in stays.getvalue().splitlines() if line] == [
        "Next:",
        "streamjobs query ctr_samples --key 8",
        "streamjobs dlq ls",
        "streamjobs run sql/jobs/ctr_samples.sql --until-idle 5s",
        "streamjobs dev down",
    ]
    assert "streamjobs demo --keep" in stops.getvalue()
    assert "dev down" not in stops.getvalue()
