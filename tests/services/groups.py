"""Groups of tests that run in one process one after the other, and the order in which groups start.

A group is a module, or all contract tests of one store: so the fixtures of a module or a store are set up
once, whatever the number of workers. The order is: unit and house tests, then all other groups, longest
first by `docs/benchmarks/test-durations.json`, so that no long group begins when all others have ended.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

DURATIONS = Path(__file__).parents[2] / "docs" / "benchmarks" / "test-durations.json"
CHEAP = ("unit/", "house/")
_STORE_SUITES = re.compile(r"contract/test_(sinks|sink_faults|sink_zombies|sink_convergence|lookups)")
_STORES = re.compile(r"\[.*?\b(memory|rocksdb|mysql-next|mysql|redis|elasticsearch|hbase)\b")
_JOINED: Mapping[str, str] = {
    "contract/test_elasticsearch": "contract/elasticsearch",
    "contract/test_hbase": "contract/hbase",
    "contract/test_mysql_sink": "contract/mysql",
    "contract/test_mysql_sink_altered": "contract/mysql",
    "contract/test_redis": "contract/redis",
    "faults/test_taskmanager_killed": "faults/taskmanager",
    "faults/test_zombie": "faults/taskmanager",
    "faults/test_taken_back_unseen": "faults/taskmanager",
    "faults/test_born_and_gone": "faults/taskmanager",
}
"""Modules that share one service."""


def group_of(nodeid: str) -> str:
    """Return the group of a test, e.g. "unit/test_codec", "contract/mysql"."""
    path, _, _ = nodeid.partition("::")
    module = path.removeprefix("tests/").removesuffix(".py")
    if _STORE_SUITES.fullmatch(module) and (store := _STORES.search(nodeid)):
        return f"contract/{store[1]}"
    return _JOINED.get(module, module)


def known_seconds() -> dict[str, float]:
    """Return the last measured seconds of each group; a new group is missing."""
    found: dict[str, float] = json.loads(DURATIONS.read_text(encoding="utf-8"))["groups"]
    return found


def fixed_order(group: str, seconds: Mapping[str, float]) -> tuple[bool, float, str]:
    """Return the sort key of a group: cheap groups first, then the longest; a new one counts as long."""
    return not group.startswith(CHEAP), -seconds.get(group, float("inf")), group


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--random-modules", type=int, metavar="SEED", help="run modules and groups in the order of this seed"
    )


def pytest_report_header(config: pytest.Config) -> list[str]:
    seed = config.getoption("--random-modules")
    return [] if seed is None else [f"modules in random order: --random-modules={seed}"]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    seed = config.getoption("--random-modules")
    if seed is None:
        seconds = known_seconds()
        items.sort(key=lambda item: fixed_order(group_of(item.nodeid), seconds))
        return
    groups = _shuffled(sorted({group_of(item.nodeid) for item in items}), seed)
    modules = _shuffled(sorted({item.path.as_posix() for item in items}), seed)
    items.sort(key=lambda item: (groups[group_of(item.nodeid)], modules[item.path.as_posix()]))


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Assigns complete groups to workers, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    config.option.loadscopereorder = False
    return GroupScheduling(config, log)


def _shuffled(names: list[str], seed: int) -> dict[str, int]:
    random.Random(seed).shuffle(names)
    return {name: place for place, name in enumerate(names)}
