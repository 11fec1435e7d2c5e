"""Where things are: the checkout's state directory, jars, the Java launcher, the Flink distribution."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from streamjobs.errors import ServiceError

STATE_VARIABLE = "STREAMJOBS_STATE"


def state_dir() -> Path:
    """Directory that holds all state of this checkout, e.g. `/home/me/streamjobs/.streamjobs`.

    The variable STREAMJOBS_STATE wins; then the checkout that this package runs from; then the working
    directory. The directory need not exist.
    """
    if configured := os.environ.get(STATE_VARIABLE):
        return Path(configured).resolve()
    checkout = Path(__file__).resolve().parents[2]
    home = checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()
    return home / ".streamjobs"


def dev_root() -> Path:
    """Root of the environment that `streamjobs dev up` keeps running."""
    return state_dir() / "dev"


def jar_dir(service: str) -> Path:
    """Directory with the jars of `kafka`, `flink` or `hbase`; ServiceError without them."""
    directory = (state_dir() / "jars" / service).resolve()
    if not any(directory.glob("*.jar")):
        msg = f"no jars in {directory}: run `make setup` in the checkout to fetch them"
        raise ServiceError(msg)
    return directory


def archive_dir() -> Path:
    """Directory of the JVMs' class-data archives, e.g. `kafka.jsa`; see `streamjobs.class_data`."""
    return (state_dir() / "jars" / "archives").resolve()


def planner_files() -> Path:
    """Directory that holds Flink's planner as a plain jar, and its class-data archive; it may not exist."""
    return (state_dir() / "jars" / "planner").resolve()


def mariadb_next() -> Path:
    """Root of the newer MariaDB that tests run on, too; raises ServiceError without it."""
    root = (state_dir() / "mariadb-next").resolve()
    if not (root / "usr" / "sbin" / "mariadbd").is_file():
        msg = f"no MariaDB in {root}: run `make mariadb-next` in the checkout to fetch it"
        raise ServiceError(msg)
    return root


def distribution(service: str) -> Path:
    """Directory of a service that comes whole, such as `elasticsearch`; raises ServiceError without it."""
    parent = state_dir() / "jars" / service
    found = sorted(path.parent.parent for path in parent.glob(f"*/bin/{service}"))
    if not found:
        msg = f"no {service} in {parent}: run `make setup` in the checkout to fetch it"
        raise ServiceError(msg)
    return found[-1]


def java() -> str:
    """Path of the `java` launcher: JAVA_HOME's, else the one on PATH."""
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not found or not os.access(found, os.X_OK):
        msg = f"no java found (JAVA_HOME={home or 'unset'}): install a JDK 17 or set JAVA_HOME"
        raise ServiceError(msg)
    return found


def flink_home() -> Path:
    """Root of the Flink distribution that the `apache-flink` package carries, without importing it."""
    if configured := os.environ.get("FLINK_HOME"):
        return Path(configured)
    spec = importlib.util.find_spec("pyflink")
    if spec is None or not spec.submodule_search_locations:
        msg = "the package apache-flink is not installed: run `make setup`"
        raise ServiceError(msg)
    return Path(next(iter(spec.submodule_search_locations)))
