"""Paths: the checkout's state directory, jars, the Java launcher, the Flink distribution."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from streamjobs.errors import ServiceError

STATE_VARIABLE = "STREAMJOBS_STATE"


def state_dir() -> Path:
    """Return the directory with all state of this checkout, e.g. `/home/me/streamjobs/.streamjobs`.

    It is the variable STREAMJOBS_STATE; else in the checkout that this package runs from; else in the working
    directory. The directory need not exist.
    """
    if configured := os.environ.get(STATE_VARIABLE):
        return Path(configured).resolve()
    checkout = Path(__file__).resolve().parents[2]
    home = checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()
    return home / ".streamjobs"


def dev_root() -> Path:
    """Return the root of the environment that `streamjobs dev up` keeps running."""
    return state_dir() / "dev"


def jar_dir(service: str) -> Path:
    """Return the directory with the jars of `kafka`, `flink` or `hbase`; raise ServiceError without them."""
    directory = (state_dir() / "jars" / service).resolve()
    if not any(directory.glob("*.jar")):
        msg = f"no jars in {directory}: run `make setup` in the checkout to fetch them"
        raise ServiceError(msg)
    return directory


def archive_dir() -> Path:
    """Return the directory of class-data archives, e.g. `kafka.jsa`; see `streamjobs.class_data`."""
    return (state_dir() / "jars" / "archives").resolve()


def planner_files() -> Path:
    """Return the directory of Flink's planner (a plain jar) and its class-data archive; it may not exist."""
    return (state_dir() / "jars" / "planner").resolve()


def mariadb_next() -> Path:
    """Return the root of the newer MariaDB on which tests run, too; raise ServiceError without it."""
    root = (state_dir() / "mariadb-next").resolve()
    if not (root / "usr" / "sbin" / "mariadbd").is_file():
        msg = f"no MariaDB in {root}: run `make mariadb-next` in the checkout to fetch it"
        raise ServiceError(msg)
    return root


def distribution(service: str) -> Path:
    """Return the directory of an unpacked service such as `elasticsearch`; raise ServiceError without it."""
    parent = state_dir() / "jars" / service
    found = sorted(path.parent.parent for path in parent.glob(f"*/bin/{service}"))
    if not found:
        msg = f"no {service} in {parent}: run `make setup` in the checkout to fetch it"
        raise ServiceError(msg)
    return found[-1]


def java() -> str:
    """Return the path of the `java` launcher: JAVA_HOME's, else the one on PATH."""
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not found or not os.access(found, os.X_OK):
        msg = f"no java found (JAVA_HOME={home or 'unset'}): install a JDK 17 or set JAVA_HOME"
        raise ServiceError(msg)
    return found


def flink_home() -> Path:
    """Return the root of the Flink distribution in the `apache-flink` package, without importing it."""
    if configured := os.environ.get("FLINK_HOME"):
        return Path(configured)
    spec = importlib.util.find_spec("pyflink")
    if spec is None or not spec.submodule_search_locations:
        msg = "the package apache-flink is not installed: run `make setup`"
        raise ServiceError(msg)
    return Path(next(iter(spec.submodule_search_locations)))
