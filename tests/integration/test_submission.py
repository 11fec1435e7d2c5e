"""A job that is planned while its cluster comes up: given up, it leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from streamjobs.errors import ConfigError
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.job_plan import JobPlan
from streamjobs.job.plan.planning import plan_file
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.job.planner import lease
from streamjobs.job.planner.jvm import TEMPORARY
from tests.integration.waiting import wait_for
from tests.patience import limit_s

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


@pytest.fixture
def planner(tmp_path: Path) -> Iterator[Path]:
    """The directory of a planner process for this test alone."""
    yield tmp_path / "planner"
    lease.stop(tmp_path / "planner")


def planned(job: Path) -> JobPlan:
    return plan_file(job, RunSettings("127.0.0.1:1", job.parent / "store"))


def jvms(planner: Path) -> list[psutil.Process]:
    """Find the planner's JVMs by their temporary directory."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if f"-Djava.io.tmpdir={planner / TEMPORARY}/" in " ".join(process.info["cmdline"] or ())
    ]


def test_a_prepared_job_that_is_given_up_leaves_no_jvm_in_an_unknown_state(job: Path, planner: Path) -> None:
    session = FlinkSession(NOWHERE, work_dir=job.parent / "work", planner_dir=planner)
    session.prepare(planned(job))
    wait_for(lambda: bool(jvms(planner)), "the client plans")
    session.close()
    session.close()
    wait_for(lambda: not jvms(planner), "the JVM of the broken lease ends")
    assert not clients_of(os.getpid())


def clients_of(pid: int) -> list[psutil.Process]:
    """Find the processes below one that plan for it."""
    return [each for each in psutil.Process(pid).children(recursive=True) if _plans(each)]


def _plans(process: psutil.Process) -> bool:
    try:
        return "streamjobs.job.planner.child" in process.cmdline()
    except psutil.NoSuchProcess:  # a zombie, too
        return False


def test_a_mistake_is_told_before_anything_is_planned(job: Path, planner: Path) -> None:
    job.write_text(JOB.replace("topic='letters'", "topik='letters'"))
    session = FlinkSession(NOWHERE, work_dir=job.parent / "work", planner_dir=planner)
    with pytest.raises(ConfigError, match="topik"):
        session.start(job, RunSettings("127.0.0.1:1", job.parent))
    assert not (job.parent / "work").exists()
    assert not planner.exists()


OWNER = """
    import signal, sys
    from pathlib import Path
    from streamjobs.job.plan.planning import plan_file
    from streamjobs.job.plan.run_settings import RunSettings
    from streamjobs.job.cluster.session import FlinkSession
    job, home = Path(sys.argv[1]), Path(sys.argv[1]).parent
    session = FlinkSession("http://127.0.0.1:1", work_dir=home / "work", planner_dir=home / "planner")
    session.prepare(plan_file(job, RunSettings("127.0.0.1:1", home)))
    signal.pause()
"""


def test_a_client_whose_owner_is_killed_submits_nothing_and_ends(job: Path, planner: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(OWNER), str(job)]) as owner:
        wait_for(lambda: bool(jvms(planner)), "the client plans")
        clients = clients_of(owner.pid)
        os.kill(owner.pid, signal.SIGKILL)
    gone, alive = psutil.wait_procs(clients, timeout=limit_s(60))
    assert gone
    assert not alive
