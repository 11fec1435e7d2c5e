"""What Flink makes of every generated ingest and of every job: modes that do not lie, one parse a topic."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.patience import limit_s

ROOT = Path(__file__).parents[2]
INGESTS = ROOT / "tests" / "house" / "ingests.sql"
PADDING = ROOT / "tests" / "house" / "padding.sql"
LEFTOVERS = ROOT / "tests" / "house" / "leftovers.sql"
JOBS = sorted((ROOT / "sql" / "jobs").glob("*.sql"))
APPEND, UPSERT, RETRACT = "I", "I,UA,D", "I,UB,UA,D"


@pytest.fixture(scope="module")
def explained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    secrets = [name for job in JOBS for name in re.findall(r"\$\{(\w+)\}", job.read_text())]
    environment = {**os.environ, **dict.fromkeys(secrets, "any")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.house.explained", str(tmp_path_factory.mktemp("plans")),
         str(INGESTS), str(PADDING), str(LEFTOVERS), *map(str, JOBS)],
        cwd=ROOT, env=environment,
        capture_output=True, text=True, timeout=limit_s(300), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_every_ingest_has_its_changelog_mode(explained: dict[str, Any]) -> None:
    assert explained[str(INGESTS)]["sinks"] == {
        "__dead_letters": APPEND,
        "s_event": APPEND,
        "s_timed_event": APPEND,
        "s_latest": RETRACT,
        "s_latest_keyed": RETRACT,
        "s_latest_count": UPSERT,
        "s_latest_timed": RETRACT,
        "s_joined": RETRACT,
        "s_as_of": APPEND,
        "s_looked_up": APPEND,
        "__done_kept_union": APPEND,
        "__done_kept_constants": APPEND,
    }, explained[str(INGESTS)]["plan"]


def test_a_parsed_topic_is_read_and_parsed_once(explained: dict[str, Any]) -> None:
    operators = explained[str(INGESTS)]["operators"]
    tables = ["event", "latest", "latest_timed", "timed_event", "version"]
    assert sorted(_raw_tables(operators)) == tables
    assert sum("PythonCorrelate" in each for each in operators) == len(tables)


def test_each_python_sink_is_written_at_one_place(explained: dict[str, Any]) -> None:
    calls = Counter(re.findall(r"__write_(\w+)\(", "".join(each["plan"] for each in explained.values())))
    assert set(calls) >= {"kept_union", "kept_constants", "late_python_sink", "ctr_samples"}
    assert set(calls.values()) == {1}, calls


def test_each_lookup_join_asks_at_one_place(explained: dict[str, Any]) -> None:
    calls = Counter(re.findall(r"__lookup_(\w+)\(", explained[str(INGESTS)]["plan"]))
    assert calls == {"named": 1, "city": 1}


def test_each_job_is_planned_with_its_modes(explained: dict[str, Any]) -> None:
    modes = {Path(path).stem: found["sinks"] for path, found in explained.items()}
    assert modes["ctr_samples"] == {
        "__done_ctr_samples": APPEND, "sample_topic": APPEND, "__dead_letters": APPEND,
    }  # fmt: skip
    assert modes["behavior_samples"] == {
        "__done_behavior_samples": APPEND, "sample_topic": APPEND, "__dead_letters": APPEND,
    }  # fmt: skip
    assert modes["item_wide"] == {"__done_search": APPEND, "__done_report": APPEND, "__dead_letters": APPEND}
    assert modes["item_latest_by_hand"] == {"__done_item_latest": APPEND, "item_error": APPEND}


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.stem)
def test_each_job_parses_each_topic_once(explained: dict[str, Any], job: Path) -> None:
    operators = explained[str(job)]["operators"]
    tables = job.read_text().count("type='metaq'")
    assert sum("PythonCorrelate" in each for each in operators) == tables


def test_what_drops_rows_behind_an_outer_interval_join_is_found(explained: dict[str, Any]) -> None:
    assert explained[str(PADDING)]["padded"] == {
        "late_window": "WindowAggregate",
        "late_python_sink": "WindowAggregate",
        "late_hop_by_its_columns": "WindowAggregate",
        "late_session": "WindowAggregate",
        "late_cumulate": "WindowAggregate",
        "late_group_window": "GroupWindowAggregate",
        "late_right": "GroupWindowAggregate",
        "late_full": "GroupWindowAggregate",
        "late_window_of_union": "WindowAggregate",
        "late_window_rank": "WindowRank",
        "late_window_last": "WindowDeduplicate",
        "late_window_join": "WindowJoin",
        "late_interval_join": "IntervalJoin",
        "late_as_of": "TemporalJoin",
        "late_over": "OverAggregate",
        "late_match": "Match",
        "late_sort": "TemporalSort",
        "late_behind_function": "GroupWindowAggregate",
    }, explained[str(PADDING)]["plan"]


@pytest.mark.parametrize("job", [INGESTS, *JOBS], ids=lambda job: job.stem)
def test_no_job_of_ours_pads_too_late(explained: dict[str, Any], job: Path) -> None:
    assert explained[str(job)]["padded"] == {}


def test_what_may_leave_rows_behind_is_found(explained: dict[str, Any]) -> None:
    assert explained[str(LEFTOVERS)]["stale_rows"] == {
        "left_inner_join": "Join",
        "left_where_behind_join": "Calc",
        "left_full_join": "Join",
        "left_several_partners": "Join",
        "left_semi_join": "Join",
        "left_anti_join": "Join",
        "left_having": "Calc",
        "left_best_three": "Rank",
        "left_key_of_partner": "Sink",
        "left_group_of_partner": "GroupAggregate",
        "left_group_of_counts": "GroupAggregate",
        "left_best_of_partner": "Rank",
        "left_words_of_partner": "Sink",
        "left_union": "Sink",
    }, explained[str(LEFTOVERS)]["plan"]


def _raw_tables(operators: list[str]) -> list[str]:
    return [
        each.partition(".__raw_")[2]
        for each in operators
        if each.startswith("Source: ") and "Values[" not in each
    ]
