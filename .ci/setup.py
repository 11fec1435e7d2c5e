"""Sets up a checkout: Debian packages, virtual environment, the project itself, jars.

It uses the standard library only and runs before anything is installed. Each step is skipped while its
inputs are unchanged; completed steps are recorded in `.streamjobs/stamps`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STATE = ROOT / ".streamjobs"
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
OLDEST_JAVA = 17


class SetupError(Exception):
    """An error that the user has to correct; the message says how."""


def say(text: str) -> None:
    """Print one line of progress."""
    sys.stderr.write(f"setup: {text}\n")
    sys.stderr.flush()


def run(argv: Sequence[str], what: str, env: dict[str, str] | None = None) -> None:
    """Run a command quietly; show its output only when it fails."""
    with tempfile.TemporaryFile() as output:
        status = subprocess.run(argv, stdout=output, stderr=output, cwd=ROOT, env=env, check=False).returncode  # noqa: S603
        if status != 0:
            output.seek(0)
            tail = output.read().decode("utf-8", "replace").splitlines()[-40:]
            lines = "\n".join(f"  {line}" for line in tail)
            msg = f"{what} failed with status {status}: {' '.join(argv)}\n{lines}"
            raise SetupError(msg)


def fingerprint(*parts: str | Path) -> str:
    """Return a hash that changes when one of the texts, or the content of one of the files, changes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.read_bytes() if isinstance(part, Path) else part.encode())
        digest.update(b"\0")
    return digest.hexdigest()


@contextmanager
def step(name: str, inputs: str, *, done: bool = True) -> Iterator[bool]:
    """Yield whether the step has to be done; record it when the body ends without an error."""
    stamp = STATE / "stamps" / name
    needed = not done or not stamp.is_file() or stamp.read_text(encoding="utf-8") != inputs
    if needed:
        stamp.unlink(missing_ok=True)
    yield needed
    if needed:
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(inputs, encoding="utf-8")


def missing_packages() -> list[str]:
    """Return the Debian packages of the list whose command is not on PATH."""
    missing = []
    for line in (ROOT / ".ci" / "debian-packages").read_text(encoding="utf-8").splitlines():
        fields = line.split("#")[0].split()
        if fields and shutil.which(fields[1]) is None:
            missing.append(fields[0])
    try:
        import ensurepip  # noqa: F401, PLC0415 (Debian puts it into a package of its own)
        import venv  # noqa: F401, PLC0415
    except ImportError:
        missing.append(f"python{sys.version_info[0]}.{sys.version_info[1]}-venv")
    return missing


def _succeeds(argv: Sequence[str]) -> bool:
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0  # noqa: S603


def install_packages(packages: Sequence[str]) -> None:
    """Install Debian packages as root or by sudo; otherwise raise SetupError that names them."""
    names = " ".join(packages)
    root = os.geteuid() == 0
    sudo = [] if root else ["sudo", "-n"]
    may = root or (shutil.which("sudo") is not None and _succeeds([*sudo, "true"]))
    if not shutil.which("apt-get") or not may:
        msg = f"missing Debian packages: {names}\n  install them: sudo apt-get install {names}"
        raise SetupError(msg)
    say(f"installing Debian packages: {names}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = [*sudo, "apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
    try:
        run(install, "apt-get install", env)
    except SetupError:
        run([*sudo, "apt-get", "update", "-q"], "apt-get update", env)
        run(install, "apt-get install", env)


def check_java() -> None:
    """Raise SetupError unless the `java` in use is new enough."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else "java"
    try:
        text = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as exc:
        msg = f"{java} does not run ({exc}): install a JDK {OLDEST_JAVA} or correct JAVA_HOME"
        raise SetupError(msg) from exc
    found = re.search(r'version "(\d+)', text)
    if found is None or int(found[1]) < OLDEST_JAVA:
        msg = f"{java} is too old, {OLDEST_JAVA} or newer is needed; it says:\n  {text.strip()}"
        raise SetupError(msg)


def python_packages() -> None:
    """Create the virtual environment and install the locked packages and the project into it."""
    version = ".".join(map(str, sys.version_info[:3]))
    lock = ROOT / "requirements.lock"
    with step("venv", fingerprint(version, str(VENV)), done=PYTHON.exists()) as needed:
        if needed:
            say(f"creating .venv with Python {version}")
            (STATE / "stamps" / "packages").unlink(missing_ok=True)
            (STATE / "stamps" / "project").unlink(missing_ok=True)
            run([sys.executable, "-m", "venv", "--clear", str(VENV)], "creating .venv")
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps"]
    with step("packages", fingerprint(version, lock)) as needed:
        if needed:
            say("installing Python packages from requirements.lock (minutes when none is cached)")
            install_locked(pip, lock)
    with step("project", fingerprint(ROOT / "pyproject.toml", str(ROOT))) as needed:
        if needed:
            say("installing the project itself")
            run([*pip, "--no-build-isolation", "-e", str(ROOT)], "pip install -e .")


def install_locked(pip: Sequence[str], lock: Path) -> None:
    """Install the locked packages: by uv, in a fifth of pip's time, or by pip if uv cannot.

    uv does not read pip's configuration: if that names the only index that can be reached, uv fails.
    """
    uv_alone = STATE / "uv.lock"
    uv_alone.write_text(locked_package("uv", lock.read_text(encoding="utf-8")), encoding="utf-8")
    run([*pip, "--require-hashes", "-r", str(uv_alone)], "pip install uv")
    uv = [str(PYTHON.with_name("uv")), "pip", "install", "-q", "--python", str(PYTHON), "--compile-bytecode"]
    try:
        run([*uv, "--no-deps", "--require-hashes", "-r", str(lock)], "uv pip install")
    except SetupError:
        say("uv cannot install them here: using pip")
        run([*pip, "--require-hashes", "-r", str(lock)], "pip install")


def locked_package(name: str, lock: str) -> str:
    """Return the lines of one package in a lock file. Raises SetupError if it is not locked."""
    found = re.search(rf"^{re.escape(name)}==.*(?:\n[ \t].*)*", lock, re.MULTILINE)
    if found is None:
        msg = f"requirements.lock has no {name}: make it again by `make lock`"
        raise SetupError(msg)
    return found[0] + "\n"


def unpack(archive: Path) -> None:
    """Replace a zip by its content, with the recorded permissions."""
    with zipfile.ZipFile(archive) as content:
        for entry in content.infolist():
            path = Path(content.extract(entry, archive.parent))
            if mode := entry.external_attr >> 16 & 0o777:
                path.chmod(mode)
    archive.unlink()


def jars() -> None:
    """Copy the jars of every pom to `.streamjobs/jars/<name>`, and unpack zip files."""
    # Java reads the home directory from the user database, but Maven's cache is to be below HOME.
    home = os.environ.get("HOME")
    options = [os.environ.get("MAVEN_OPTS", ""), f"-Duser.home={home}" if home else ""]
    env = {**os.environ, "MAVEN_OPTS": " ".join(filter(None, options))}
    for pom in sorted((ROOT / "streamjobs" / "local" / "jars").glob("*/pom.xml")):
        name = pom.parent.name
        target = STATE / "jars" / name
        with step(f"jars-{name}", fingerprint(pom), done=target.is_dir()) as needed:
            if needed:
                say(f"fetching the jars of {name}")
                fresh = target.with_name(f"{name}.new")
                shutil.rmtree(fresh, ignore_errors=True)
                argv = ["mvn", "-q", "-B", "-f", str(pom), MAVEN_COPY]
                run([*argv, f"-DoutputDirectory={fresh}", "-DincludeScope=runtime"], f"mvn for {name}", env)
                for archive in fresh.glob("*.zip"):
                    unpack(archive)
                shutil.rmtree(target, ignore_errors=True)
                fresh.rename(target)


def planner() -> None:
    """Unpack Flink's planner from the jar of its loader: class data needs the classes of a plain jar."""
    (loader,) = VENV.glob("lib/python*/site-packages/pyflink/lib/flink-table-planner-loader-*.jar")
    target = STATE / "jars" / "planner"
    with step("planner", fingerprint(str(loader)), done=target.is_dir()) as needed:
        if needed:
            target.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(loader) as content:
                content.extract("flink-table-planner.jar", target)


def class_data() -> None:
    """Record the classes that the JVMs load at their start; without it the start takes half as long again."""
    inputs = fingerprint(
        *(STATE / "stamps" / name for name in ("packages", "jars-kafka", "jars-flink", "java"))
    )
    with step("class-data", inputs) as needed:
        if needed:
            say("recording class-data archives")
            run([str(PYTHON), "-m", "streamjobs.cli.record_classes"], "recording class-data archives")


def main() -> int:
    """Do the steps that are not done yet; return 0, or 1 with a message that says what to correct."""
    STATE.mkdir(exist_ok=True)
    with (STATE / "setup.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if packages := missing_packages():
                install_packages(packages)
            with step(
                "java", fingerprint(os.environ.get("JAVA_HOME", ""), shutil.which("java") or "")
            ) as needed:
                if needed:
                    check_java()
            with ThreadPoolExecutor() as pool:  # one waits for the network while the other computes
                for part in [pool.submit(jars), pool.submit(python_packages)]:
                    part.result()
            planner()
            class_data()
        except SetupError as exc:
            say(str(exc))
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
