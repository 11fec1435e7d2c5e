"""The CSV feed: line numbers, errors, repeats, shuffling, and its truth against SQLite over the file."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from streamjobs.changes.dead_letter import Stage
from streamjobs.demo.events import Event, EventFeed, read_events
from streamjobs.demo.scenario import shop_events
from streamjobs.demo.tables import BEHAVIOR_CONVERSION_TOPIC, BEHAVIOR_IMPRESSION_TOPIC
from streamjobs.errors import ConfigError
from tests.acceptance.oracle import Oracle, behavior_samples_of_file
from tests.unit.logs import written


@pytest.fixture
def busy(tmp_path: Path) -> Path:
    """A file with few users and items, so that many conversions meet several views; hardly in order."""
    rng = random.Random(11)
    lines = []
    for second in range(1_511_658_000, 1_511_658_000 + 3 * 3600, 4):
        behavior = rng.choice(["pv", "pv", "pv", "cart", "fav", "buy"])
        time_s = second - rng.choice([0, 0, 0, 7, 40])
        lines.append(f"{rng.randrange(9)},{rng.randrange(12)},{rng.randrange(3)},{behavior},{time_s}\n")
    for delay in (-1, 0, 1800, 1801):
        lines += [f"77,{delay + 5},1,pv,{second}\n", f"77,{delay + 5},1,buy,{second + delay}\n"]
    path = tmp_path / "events.csv"
    path.write_text("".join(lines))
    return path


def test_lines_count_from_one_and_empty_ones_count_too(tmp_path: Path) -> None:
    path = tmp_path / "events.csv.gz"
    with gzip.open(path, "wt") as file:
        file.write("1,2,3,pv,100\n\n4,5,6,buy,101\r\n")
    assert list(read_events(path)) == [Event(1, 1, 2, 3, "pv", 100), Event(3, 4, 5, 6, "buy", 101)]


@pytest.mark.parametrize(
    "line", ["1,2,3,pv", "1,2,3,look,100", "user,item,category,behavior,time", "1,2,x,pv,100", "1,2,3,pv,1.5"]
)
def test_a_wrong_line_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "events.csv"
    path.write_text(f"1,2,3,pv,100\n{line}\n")
    with pytest.raises(ConfigError, match=r"events\.csv:2: '.*' is not user,item,category"):
        list(read_events(path))


@pytest.mark.parametrize("name", ["absent.csv", "absent.csv.gz"])
def test_a_missing_file_is_a_config_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot read the event file"):
        EventFeed(tmp_path / name).disorder_ms()


def test_a_cut_gzip_file_is_a_config_error(tmp_path: Path) -> None:
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(gzip.compress(b"1,2,3,pv,100\n" * 1000)[:-12])
    with pytest.raises(ConfigError, match="cannot read the event file"):
        list(read_events(path))


def test_the_bound_covers_the_files_own_disorder_and_the_shuffling(busy: Path) -> None:
    own_s = 1_800  # the last view comes after a conversion that is this much newer
    assert EventFeed(busy).disorder_ms() == own_s * 1000
    assert EventFeed(busy, shuffle_s=60).disorder_ms() == own_s * 1000 + 60_000


def test_a_file_in_order_keeps_the_tables_bound(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("1,2,3,pv,100\n1,2,3,pv,101\n")
    assert EventFeed(path).disorder_ms() == 5_000


def test_without_options_the_file_goes_out_as_it_is(busy: Path) -> None:
    lines = [sending.change.image[0] for sending in EventFeed(busy)]
    assert lines == [b"%d" % number for number in range(1, len(lines) + 1)]


@pytest.mark.parametrize("partitions", [1, 4])
@pytest.mark.parametrize(("repeat", "shuffle_s"), [(0.0, 0.0), (0.05, 30.0), (0.5, 600.0)])
def test_nothing_is_late_and_the_truth_is_the_oracles(
    busy: Path, partitions: int, repeat: float, shuffle_s: float
) -> None:
    scenario = shop_events(EventFeed(busy, repeat, shuffle_s, seed=3), partitions)
    log, truth = written(scenario)
    oracle = Oracle()
    oracle.load(log)
    samples = truth.samples()
    assert samples == oracle.behavior_samples()
    assert {key: row[:-1] for key, row in samples.items()} == behavior_samples_of_file(busy)
    for topic in (BEHAVIOR_IMPRESSION_TOPIC, BEHAVIOR_CONVERSION_TOPIC):
        assert truth.ledger.dead(topic, Stage.LATE) == 0
    copies = sum(row[-1] for row in samples.values() if isinstance(row[-1], int))
    assert (copies > len(samples)) == (repeat > 0)


def test_shuffling_is_deterministic_and_shuffles(busy: Path) -> None:
    once, again = (list(EventFeed(busy, 0.1, 60, seed=4)) for _ in range(2))
    assert once == again
    assert [s.change for s in once] != [s.change for s in EventFeed(busy, 0.1, 60, seed=5)]
