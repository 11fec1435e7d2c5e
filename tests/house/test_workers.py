"""What Flink's Python workers get imports by itself, from one zip, without the command line."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.house.checkout import PACKAGES, ROOT, files, modules

ABSENT = ("streamjobs.cli", "streamjobs.local", "streamjobs.demo", "typer", "rich", "httpx", "psutil")
# On the driver's side only: these import pyflink's Java gateway or services.
NOT_FOR_WORKERS = ("streamjobs.cli", "streamjobs.local", "streamjobs.demo", "streamjobs.job")
# The part of streamjobs.job that runs inside workers.
SHIPPED_OPERATORS = ("streamjobs.job.plan.row_transfer", "streamjobs.job.workers.sink_operator")

# Elasticsearch's transport imports every HTTP client that it finds; ours do not (import-linter sees to it).
BROUGHT = {"connectors": "rich,httpx"}

PROBE = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2].split(","):
    module = importlib.import_module(name)
    if not (module.__file__ or "").startswith(sys.argv[1]):
        sys.exit(f"{name} came from {module.__file__}")
print(",".join(name for name in sys.argv[3].split(",") if name in sys.modules))
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip of everything in our packages, as it is shipped."""
    path = tmp_path_factory.mktemp("package") / "streamjobs.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in files(*PACKAGES):
            archive.write(file, file.relative_to(ROOT))
    return path


def _names(*roots: str) -> list[str]:
    names = []
    for path in modules(*roots):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return [name for name in names if name in SHIPPED_OPERATORS or not name.startswith(NOT_FOR_WORKERS)]


def _probe(package: Path, names: list[str]) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-I", "-c", PROBE, str(package), ",".join(names), ",".join(ABSENT)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, cwd=package.parent)


@pytest.mark.parametrize("root", PACKAGES)
def test_a_fresh_interpreter_imports_it_from_the_zip(package: Path, root: str) -> None:
    done = _probe(package, _names(root))
    assert done.stderr == ""
    assert (done.returncode, done.stdout.strip()) == (0, BROUGHT.get(root, ""))


def test_the_parser_needs_no_client_of_any_store(package: Path) -> None:
    probe = (
        PROBE
        + "print(*[name for name in ('kafka', 'rocksdict', 'pymysql', 'redis') if name in sys.modules])\n"
    )
    argv = [sys.executable, "-I", "-c", probe, str(package), "udfs.row_change,connectors", ",".join(ABSENT)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=package.parent)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [], "")


def test_the_command_line_starts_without_heavy_packages() -> None:
    heavy = ("pyflink", "apache_beam", "pandas", "numpy", "kafka", "httpx", "thrift", "rocksdict", "psutil")
    probe = f"import sys, streamjobs.cli.main; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
