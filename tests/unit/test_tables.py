"""What people copy out of a table is never broken, however narrow the terminal is."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from streamjobs.cli.tables import Rows

ADDRESS = f"mysql://root@{'db.' * 30}example.com:3306"
ROOT = f"/{'directory/' * 20}dev"


def printed(width: int, *, terminal: bool) -> list[str]:
    out = io.StringIO()
    rows = Rows(("Service", "Address", "PID"), "Services of [me]", f"logs in {ROOT}", frozenset({"PID"}))
    rows.add("kafka", "127.0.0.1:9092", "7")
    rows.add("data\x1bbase", ADDRESS, "4711", style="red")
    rows.print_to(Console(file=out, width=width, force_terminal=terminal, color_system=None))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [20, 80, 400])
@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_is_broken(width: int, terminal: bool) -> None:
    lines = printed(width, terminal=terminal)
    for whole in (ADDRESS, ROOT, "127.0.0.1:9092", "data\\x1bbase", "Services of [me]"):
        assert sum(whole in line for line in lines) == 1


def test_a_narrow_terminal_shows_a_block_for_each_row() -> None:
    assert printed(40, terminal=True) == [
        "Services of [me]",
        "",
        "Service  kafka",
        "Address  127.0.0.1:9092",
        "PID      7",
        "",
        "Service  data\\x1bbase",
        f"Address  {ADDRESS}",
        "PID      4711",
        f"logs in {ROOT}",
    ]
