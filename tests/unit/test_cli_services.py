"""What the command line does before services run: directories, stages, secrets that are not there."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from streamjobs.cli.secrets import MissingSecrets
from streamjobs.cli.services import _root
from streamjobs.cli.stages import Stages
from streamjobs.local import places


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
    assert "feeding: 1,234 rows  (0 s)" in output.getvalue()
