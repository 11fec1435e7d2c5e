"""Workers that are forks of a pool, under a process called `java` that starts them as a TaskManager does."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from streamjobs.local import python_workers
from tests.integration.waiting import wait_for
from tests.patience import limit_s
from tests.services.workers import pool_of, workers_of

PROBE = """
import json, os, random, signal, sys
import numpy, pyflink, {extra}
json.dump({{
    "name": __name__, "argv": sys.argv, "directory": os.getcwd(), "path": sys.path,
    "variables": dict(os.environ), "flags": list(sys.flags), "main": sys.modules["__main__"].__file__,
    "signals": {{str(n): str(signal.getsignal(n)) for n in signal.valid_signals()}},
    "modules": {{n: getattr(sys.modules[n], "__file__", None) for n in ("pyflink", "numpy", "{extra}")}},
    "random": [random.random(), numpy.random.random()], "parent": os.getppid(), "pid": os.getpid(),
    "input": os.path.realpath("/proc/self/fd/0"), "executable": sys.executable,
}}, open(sys.argv[1], "w"))
print("said by a worker")
print("complained by a worker", file=sys.stderr)
"""
OWN = {"parent", "pid", "random", "argv"}


class JavaParent:
    """A process whose program is called `java` (a copy of the shell), and the workers that it starts."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "python-workers.log"
        self.log.touch()
        bin_dir = root / "bin of it"
        bin_dir.mkdir()
        python_workers.write_launcher(bin_dir, self.log)
        self.launcher = bin_dir / "python"
        java = shutil.copy(Path("/bin/sh").resolve(), root / "java")
        self.process = subprocess.Popen([java], stdin=subprocess.PIPE, text=True)
        self.python = Path(sys.executable)
        self._count = 0

    def run(self, module: str, *, by_pool: bool = True, **variables: str) -> dict[str, object]:
        """Run a module that writes a report to its first argument, to the end; return the report."""
        self._count += 1
        report = self.root / f"report-{self._count}.json"
        self.begin(module, str(report), by_pool=by_pool, **variables)
        wait_for(lambda: report.exists() and report.read_text().endswith("}"), f"{module} to report", 60)
        found: dict[str, object] = json.loads(report.read_text())
        return found

    def begin(self, module: str, *arguments: str, by_pool: bool = True, **variables: str) -> None:
        """Start a module, with a variable for each keyword, without waiting."""
        python = shlex.quote(str(self.python))
        if by_pool:
            python += f" -I -S {shlex.quote(python_workers.__file__)} start {shlex.quote(str(self.log))}"
        settings = "".join(f"export {name}={shlex.quote(value)}; " for name, value in variables.items())
        words = " ".join(map(shlex.quote, ("-m", module, *arguments)))
        assert self.process.stdin is not None
        command = (
            f"cd {shlex.quote(str(self.root))}; {settings}{python} {words} 2>&1 </dev/null"
            f" | cat >>{shlex.quote(str(self.root / 'output.txt'))}"
        )
        self.process.stdin.write(f"/bin/sh -c {shlex.quote(command)} &\n")
        self.process.stdin.flush()

    def pool(self) -> psutil.Process:
        """Return the pool; there must be one."""
        found = pool_of(self.process.pid)
        assert found is not None, self.log.read_text()
        return found

    def end(self) -> None:
        """End the workers and the process; the pool ends by itself."""
        for worker in workers_of(self.process.pid):
            worker.kill()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[JavaParent]:
    java = JavaParent(tmp_path)
    yield java
    java.end()
    wait_for(lambda: pool_of(java.process.pid) is None, "the pool to end with its TaskManager", 10)


def probe(directory: Path, extra: str = "email.message") -> str:
    directory.mkdir(exist_ok=True)
    (directory / "probe.py").write_text(PROBE.format(extra=extra), encoding="utf-8")
    return str(directory)


def test_a_fork_is_as_a_worker_that_starts_by_itself(parent: JavaParent) -> None:
    path = probe(parent.root / "shipped") + ":/nowhere"
    forked = parent.run("probe", PYTHONPATH=path, BOOT_LOG_DIR="/one")
    alone = parent.run("probe", by_pool=False, PYTHONPATH=path, BOOT_LOG_DIR="/one")
    assert forked["parent"] == parent.pool().pid
    assert parent.log.read_text() == ""
    assert _shared(forked) == _shared(alone)
    wait_for(
        lambda: (parent.root / "output.txt").read_text().count("worker\n") == 4, "the output of both", 10
    )


def _shared(report: Mapping[str, object]) -> dict[str, object]:
    kept = {name: value for name, value in report.items() if name not in OWN}
    argv = report["argv"]
    assert isinstance(argv, list)
    return kept | {"module": argv[0], "arguments": len(argv)}


def test_forks_draw_different_random_numbers(parent: JavaParent) -> None:
    path = probe(parent.root / "shipped")
    draws = [parent.run("probe", PYTHONPATH=path)["random"] for _ in range(3)]
    assert all(isinstance(draw, list) for draw in draws)
    assert len({number for draw in draws if isinstance(draw, list) for number in draw}) == 6


def test_what_a_job_ships_is_never_hidden_by_what_the_pool_has_imported(parent: JavaParent) -> None:
    shipped = parent.root / "shipped"
    path = probe(shipped, "six")
    assert parent.run("probe", PYTHONPATH=path)["parent"] == parent.pool().pid
    (shipped / "six.py").write_text("")
    packed = parent.root / "shipped.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("six/__init__.py", "")
        archive.writestr("probe.py", PROBE.format(extra="six"))
    for entry, file in ((path, shipped / "six.py"), (str(packed), packed / "six/__init__.py")):
        report = parent.run("probe", PYTHONPATH=entry)
        modules = report["modules"]
        assert isinstance(modules, dict)
        assert modules["six"] == str(file)
        assert report["parent"] != parent.pool().pid
        assert (
            f"a Python worker starts by itself: {entry} holds modules that the pool has imported from "
            "elsewhere: six\n" in parent.log.read_text()
        )


def test_a_worker_with_other_variables_starts_by_itself(parent: JavaParent) -> None:
    path = probe(parent.root / "shipped")
    parent.run("probe", PYTHONPATH=path)
    report = parent.run("probe", PYTHONPATH=path, PYTHONHASHSEED="1")
    assert report["parent"] != parent.pool().pid
    assert parent.log.read_text() == (
        "a Python worker starts by itself: it has other variables than the pool: PYTHONHASHSEED\n"
    )


def test_a_pool_from_before_an_installation_is_replaced(parent: JavaParent) -> None:
    venv.create(parent.root / "venv", symlinks=True)
    parent.python = parent.root / "venv" / "bin" / "python"
    (own,) = parent.root.glob("venv/lib/*/site-packages")
    (own / "all.pth").write_text(sysconfig.get_path("purelib"))
    path = probe(parent.root / "shipped")
    assert parent.run("probe", PYTHONPATH=path)["parent"] == parent.pool().pid
    first = parent.pool()
    (own / "added-1.0.dist-info").mkdir()
    parent.run("probe", PYTHONPATH=path)
    assert parent.log.read_text() == (
        "a Python worker starts by itself: the installed packages have changed since the pool started\n"
    )
    wait_for(lambda: not first.is_running(), "the old pool to end", 10)
    assert parent.run("probe", PYTHONPATH=path)["parent"] == parent.pool().pid


def test_workers_survive_their_pool_and_the_next_one_gets_another(parent: JavaParent) -> None:
    shipped = parent.root / "shipped"
    path = probe(shipped)
    (shipped / "sleeps.py").write_text("import signal; signal.pause()")
    parent.begin("sleeps", PYTHONPATH=path)
    wait_for(lambda: len(workers_of(parent.process.pid)) == 1, "the worker", 60)
    (worker,) = workers_of(parent.process.pid)
    first = parent.pool()
    first.kill()
    wait_for(lambda: not first.is_running(), "the first pool to end", 10)
    assert worker.is_running()
    report = parent.run("probe", PYTHONPATH=path)
    assert report["parent"] == parent.pool().pid != first.pid
    worker.send_signal(signal.SIGKILL)
    wait_for(lambda: not worker.is_running(), "the worker to end", 10)
    wait_for(lambda: _starters(parent.log) == [], "who started it to end", 10)
    assert parent.log.read_text() == ""


def _starters(log: Path) -> list[int]:
    return [each.pid for each in psutil.process_iter(["cmdline"]) if str(log) in (each.info["cmdline"] or ())]


def test_who_leaves_without_a_request_does_not_end_the_pool(parent: JavaParent) -> None:
    path = probe(parent.root / "shipped")
    first = parent.run("probe", PYTHONPATH=path)["parent"]
    for said in (b"", b"\0\0", b"\0\0\0\x09{", b"\0\0\0\x02{}"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as guest:
            guest.connect(f"\0streamjobs-python-workers-{os.geteuid()}-{parent.process.pid}")
            guest.sendall(said)
    assert parent.run("probe", PYTHONPATH=path)["parent"] == first == parent.pool().pid
    assert parent.log.read_text() == ""


def test_many_workers_at_once_share_one_pool(parent: JavaParent) -> None:
    shipped = parent.root / "shipped"
    shipped.mkdir()
    (shipped / "sleeps.py").write_text("import signal; signal.pause()")
    for _ in range(12):
        parent.begin("sleeps", PYTHONPATH=str(shipped))
    wait_for(lambda: len(workers_of(parent.process.pid)) == 12, "twelve workers of one pool", 60)
    assert parent.log.read_text() == ""
    for worker in workers_of(parent.process.pid):
        worker.kill()


def test_an_address_that_does_not_answer_costs_no_worker(parent: JavaParent) -> None:
    path = probe(parent.root / "shipped")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as squatter:
        squatter.bind(f"\0streamjobs-python-workers-{os.geteuid()}-{parent.process.pid}")
        squatter.listen()
        parent.begin("probe", str(parent.root / "report.json"), PYTHONPATH=path)
        squatter.settimeout(limit_s(60))
        squatter.accept()[0].close()
        wait_for((parent.root / "report.json").exists, "the worker to start by itself", 30)
    assert parent.log.read_text().startswith("a Python worker starts by itself: ")


def test_the_launcher_is_an_ordinary_python_for_all_else(parent: JavaParent) -> None:
    done = subprocess.run(
        [parent.launcher, "-c", "import sys; print(sys.executable, *sys.argv[1:])", "a b", ""],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{sys.executable} a b \n"
    alone = subprocess.run(
        [parent.launcher, "-m", python_workers.WORKER, "--help"], capture_output=True, text=True, check=True
    )
    assert "--provision_endpoint" in alone.stdout
    assert parent.log.read_text() == "a Python worker starts by itself: no Java process started it\n"
