"""A job that is planned while its cluster comes up: given up, it leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from streamjobs.demo.runner import Overrides
from streamjobs.errors import ConfigError
from streamjobs.job.session import FlinkSession
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.services

NOWHERE = "http://127.0.0.1:1"
JOB = """
CREATE TABLE letter (payload VARBINARY) WITH (type='metaq', topic='letters');
CREATE TABLE kept (payload VARCHAR) WITH (type='kafka', topic='kept', format='json');
INSERT INTO kept SELECT CAST(payload AS VARCHAR) FROM letter;
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.sql"
    path.write_text(JOB)
    return path


def planners(work_dir: Path) -> list[psutil.Process]:
    """Find the client's JVMs by their temporary directory."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(f"-Djava.io.tmpdir={work_dir}" in word for word in process.info["cmdline"] or ())
    ]


def test_a_prepared_job_that_is_given_up_leaves_nothing(job: Path, tmp_path: Path) -> None:
    session = FlinkSession(NOWHERE, work_dir=tmp_path / "work")
    session.prepare(job, Overrides("127.0.0.1:1", tmp_path))
    wait_for(lambda: bool(planners(tmp_path)), "the client plans")
    session.close()
    session.close()
    assert planners(tmp_path) == []
    assert list((tmp_path / "work").glob("client-*")) == []


def test_a_mistake_is_told_before_anything_is_planned(job: Path, tmp_path: Path) -> None:
    job.write_text(JOB.replace("topic='letters'", "topik='letters'"))
    session = FlinkSession(NOWHERE, work_dir=tmp_path / "work")
    with pytest.raises(ConfigError, match="topik"):
        session.prepare(job, Overrides("127.0.0.1:1", tmp_path))
    assert not (tmp_path / "work").exists()


OWNER = """
    import signal, sys
    from pathlib import Path
    from streamjobs.demo.runner import Overrides
    from streamjobs.job.session import FlinkSession
    session = FlinkSession("http://127.0.0.1:1", work_dir=Path(sys.argv[2]))
    session.prepare(Path(sys.argv[1]), Overrides("127.0.0.1:1", Path(sys.argv[2])))
    signal.pause()
"""


def test_a_client_whose_owner_is_killed_submits_nothing_and_ends(job: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", textwrap.dedent(OWNER), str(job), str(tmp_path / "work")]
    with subprocess.Popen(argv) as owner:
        wait_for(lambda: bool(planners(tmp_path)), "the client plans")
        clients = planners(tmp_path)
        os.kill(owner.pid, signal.SIGKILL)
    gone, alive = psutil.wait_procs(clients, timeout=60)
    assert gone
    assert not alive
