"""What the command line does before services run: directories, stages, secrets that are not there."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from streamjobs.cli.secrets import MissingSecrets
from streamjobs.cli.services import Services, _root, services
from streamjobs.cli.stages import Stages
from streamjobs.errors import ServiceError
from streamjobs.local import places, revival, state, warden


def test_two_commands_of_one_checkout_never_share_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(places.STATE_VARIABLE, str(tmp_path))
    with _root("run", keep=False) as first:
        first.mkdir()
        (first / "data").write_text("of the first")
        with _root("run", keep=False) as second:
            assert (first, second) == (tmp_path / "run", tmp_path / "run-2")
        assert (first / "data").exists()
    with _root("run", keep=False) as third:
        assert third == first
        assert not third.exists()


def test_a_secret_that_is_not_set_is_made_up_and_named() -> None:
    secrets = MissingSecrets({"SET": "tea", "EMPTY": ""})
    assert (secrets["SET"], "OTHER" in secrets, secrets.missing) == ("tea", True, [])
    assert secrets["OTHER"] == secrets["EMPTY"] == secrets["OTHER"] != ""
    assert secrets.missing == ["OTHER", "EMPTY"]


def test_each_stage_is_a_line_where_there_is_no_terminal() -> None:
    output = io.StringIO()
    with Stages(Console(file=output)) as stages:
        stages.stage("feeding")
        stages.rows(3)
        stages.stage("judging [1]")
    assert [line[10:] for line in output.getvalue().splitlines()] == ["feeding", "judging [1]"]


def test_a_terminal_shows_stage_and_rows_in_one_line() -> None:
    output = io.StringIO()
    with Stages(Console(file=output, force_terminal=True, width=80)) as stages:
        stages.stage("feeding")
        stages.rows(1234)
    assert re.search(r"feeding: 1,234 rows  \(\d+ s\)", output.getvalue())


def dev(root: Path, monkeypatch: pytest.MonkeyPatch, dead: str) -> None:
    """Let services of `dev up` run, but for one."""
    records = [
        state.ServiceRecord(name, pid, None, f"logs/{name}.log")
        for pid, name in enumerate(("kafka", "jobmanager", "taskmanager-0"), 1)
    ]
    known = state.RunningEnvironment(root, "id", 1, None, "127.0.0.1:1", "http://127.0.0.1:2", tuple(records))
    monkeypatch.setattr(state, "running", lambda _root: known)
    monkeypatch.setattr(warden, "carriers", lambda _id: [each.pid for each in records if each.name != dead])


@pytest.mark.parametrize("dead", ["kafka", "jobmanager"])
def test_a_command_that_needs_a_dead_service_says_at_once_how_to_start_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dead: str
) -> None:
    dev(tmp_path, monkeypatch, dead)
    with pytest.raises(ServiceError) as refused, services("run", 2):
        pass
    assert str(refused.value) == (
        f"of the services in {tmp_path}, {dead} has ended: start it again with `streamjobs dev up`"
    )


@pytest.mark.parametrize("dead", ["none", "taskmanager-0"])
def test_a_taskmanager_that_has_ended_comes_back_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dead: str
) -> None:
    dev(tmp_path, monkeypatch, dead)
    with services("run", 2) as found:
        assert found == Services("127.0.0.1:1", "http://127.0.0.1:2", stay=True)


def test_a_pid_that_somebody_else_has_now_is_no_living_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dev(tmp_path, monkeypatch, "kafka")
    known = state.running(tmp_path)
    assert known is not None
    assert [service.name for service in revival.gone(known)] == ["kafka"]
