"""`streamjobs dev`: services that outlive the command that started them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamjobs.local import places, state, warden
from tests.patience import limit_s

pytestmark = pytest.mark.services


class Dev:
    """The command, with a state directory of its own that borrows this checkout's jars."""

    def __init__(self, home: Path) -> None:
        self.root = home / "dev"
        self._home = home
        (home / "jars").symlink_to(places.state_dir() / "jars")

    def __call__(self, *args: str) -> tuple[int, str]:
        """Exit status and output of `streamjobs dev ARGS`."""
        done = subprocess.run(
            [sys.executable, "-m", "streamjobs.cli.main", "dev", *args],
            env={"PATH": "/usr/bin:/bin", "COLUMNS": "120", places.STATE_VARIABLE: str(self._home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=limit_s(120),
        )
        return done.returncode, done.stdout


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    dev = Dev(tmp_path)
    yield dev
    state.stop(dev.root)


def test_up_twice_down_twice(dev: Dev) -> None:
    assert dev("status") == (3, "Not running; `streamjobs dev up` starts Kafka and Flink.\n")
    code, text = dev("up", "--no-flink")
    assert code == 0, text
    known = state.running(dev.root)
    assert known is not None
    assert known.bootstrap is not None
    assert known.rest_url is None
    assert known.bootstrap in text

    code, text = dev("up", "--no-flink")
    assert (code, text.splitlines()[0]) == (0, "Already up.")
    assert state.running(dev.root) == known

    code, text = dev("status")
    assert code == 0
    assert "kafka" in text
    assert known.bootstrap in text
    assert str(known.services[0].pid) in text

    assert dev("down") == (0, "Stopped.\n")
    assert warden.carriers(known.environment_id) == []
    assert dev("down") == (0, "Nothing was running.\n")
    assert dev("status")[0] == 3


def test_up_with_other_services_is_refused(dev: Dev) -> None:
    assert dev("up", "--no-flink")[0] == 0
    code, text = dev("up")
    assert (code, text) == (
        2,
        "streamjobs: Kafka runs already, asked was for Flink and Kafka: `streamjobs dev down` first\n",
    )


def test_data_survives_down_and_up(dev: Dev) -> None:
    assert dev("up", "--no-flink")[0] == 0
    meta = dev.root / "kafka" / "data" / "meta.properties"
    before = meta.read_text(encoding="utf-8")
    assert dev("down")[0] == 0
    assert dev("up", "--no-flink")[0] == 0
    assert meta.read_text(encoding="utf-8") == before


def test_with_starts_more_and_tells_how_to_connect(dev: Dev) -> None:
    code, text = dev("up", "--no-flink", "--no-kafka", "--with", "mysql")
    assert code == 0, text
    known = state.running(dev.root)
    assert known is not None
    assert [service.name for service in known.services] == ["mariadb"]
    assert str(known.services[0].address) in text
    code, text = dev("up", "--no-flink", "--no-kafka")
    message = "streamjobs: mariadb runs already, asked was for nothing: `streamjobs dev down` first\n"
    assert (code, text) == (2, message)
    assert dev("down") == (0, "Stopped.\n")
    assert warden.carriers(known.environment_id) == []


def test_with_refuses_an_unknown_name(dev: Dev) -> None:
    code, text = dev("up", "--with", "mysq")
    assert (code, text.splitlines()[0].partition(";")[0]) == (
        2,
        "streamjobs: --with mysq is unknown, did you mean mysql?",
    )
