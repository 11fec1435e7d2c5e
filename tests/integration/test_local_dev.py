"""`streamjobs dev`: services that outlive the command that started them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from streamjobs.local import places, state, warden
from streamjobs.local.flink import missing_jobmanager, missing_taskmanager
from streamjobs.local.kafka import missing_broker
from tests.integration.waiting import wait_for
from tests.patience import limit_s

pytestmark = pytest.mark.services


class Dev:
    """The command, with a state directory of its own that borrows this checkout's jars."""

    def __init__(self, home: Path) -> None:
        self.root = home / "dev"
        self._home = home
        (home / "jars").symlink_to(places.state_dir() / "jars")

    def __call__(self, *args: str, columns: int = 120) -> tuple[int, str]:
        """Exit status and output of `streamjobs dev ARGS`."""
        done = subprocess.run(
            [sys.executable, "-m", "streamjobs.cli.main", "dev", *args],
            env={"PATH": "/usr/bin:/bin", "COLUMNS": str(columns), places.STATE_VARIABLE: str(self._home)},
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


def pids(dev: Dev) -> dict[str, int]:
    known = state.running(dev.root)
    assert known is not None
    return {service.name: service.pid for service in known.services}


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not psutil.pid_exists(pid), "it is gone")


def test_up_starts_what_has_ended_and_restart_what_lives(dev: Dev) -> None:
    code, text = dev("up", "--no-flink")
    assert code == 0, text
    known = state.running(dev.root)
    assert known is not None
    first = pids(dev)["kafka"]
    kill(first)
    code, text = dev("status")
    assert (code, "gone" in text) == (3, True)
    code, text = dev("status", "--json")
    log = str(dev.root / "logs" / "kafka.log")
    dead = {"service": "kafka", "address": known.bootstrap, "pid": None, "memory_bytes": None, "log": log}
    assert (code, json.loads(text)) == (3, dead)
    code, text = dev("up", "--no-flink")
    assert (code, text.splitlines()[0]) == (0, "Started again: kafka.")
    second = pids(dev)["kafka"]
    assert known.bootstrap is not None
    assert missing_broker(int(known.bootstrap.rpartition(":")[2])) is None
    assert dev("restart", "kafka") == (0, "Started again: kafka.\n")
    third = pids(dev)["kafka"]
    assert len({first, second, third}) == 3
    code, text = dev("status", "--json")
    assert code == 0
    assert json.loads(text)["pid"] == third
    code, text = dev("restart", "mysql")
    assert (code, text) == (2, f"streamjobs: there is no service mysql in {dev.root}; there are kafka\n")
    assert dev("down") == (0, "Stopped.\n")
    code, text = dev("restart", "kafka")
    assert (code, text) == (2, "streamjobs: nothing runs: `streamjobs dev up` starts Kafka and Flink\n")


def test_up_says_that_the_jobs_of_a_dead_jobmanager_are_gone_and_its_taskmanagers_come_back(dev: Dev) -> None:
    code, text = dev("up", "--no-kafka")
    assert code == 0, text
    known = state.running(dev.root)
    assert known is not None
    assert known.rest_url is not None
    kill(pids(dev)["jobmanager"])
    code, text = dev("up", "--no-kafka")
    told = "Started again: jobmanager. The jobs that ran on that Flink are gone: start them again."
    assert (code, text.splitlines()[0]) == (0, told)
    port = int(known.rest_url.rpartition(":")[2])
    assert missing_jobmanager(port) is None
    wait_for(lambda: missing_taskmanager(port, "taskmanager-0-") is None, "the TaskManager is back", 60)


def test_an_address_is_never_broken_over_two_lines(dev: Dev) -> None:
    assert dev("up", "--no-flink")[0] == 0
    known = state.running(dev.root)
    assert known is not None
    for text in (dev("status", columns=30)[1], dev("up", "--no-flink", columns=30)[1]):
        assert str(known.bootstrap) in text
        assert str(known.root) in text


def test_up_with_other_services_is_refused(dev: Dev) -> None:
    assert dev("up", "--no-flink")[0] == 0
    code, text = dev("up")
    assert (code, text) == (
        2,
        "streamjobs: Kafka runs already, but you asked for Flink and Kafka: `streamjobs dev down` first\n",
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
    message = "streamjobs: mariadb runs already, but you asked for nothing: `streamjobs dev down` first\n"
    assert (code, text) == (2, message)
    assert dev("down") == (0, "Stopped.\n")
    assert warden.carriers(known.environment_id) == []


def test_with_refuses_an_unknown_name(dev: Dev) -> None:
    code, text = dev("up", "--with", "mysq")
    assert (code, text.splitlines()[0].partition(";")[0]) == (
        2,
        "streamjobs: --with mysq is unknown, did you mean mysql?",
    )
