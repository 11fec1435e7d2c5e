"""Installs a newer MariaDB than Debian's into `.streamjobs/mariadb-next`, for the tests that need it.

It comes from a later suite of Debian, pinned by version, with all libraries that it needs, and is started by
its own loader: it changes nothing outside this directory and does not need root.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from setup import ROOT, STATE, SetupError, fingerprint, run, say, step

SUITE = "trixie"
PINNED = ("mariadb-server-core=1:11.8.9+ds-0+deb13u1", "mariadb-client-core=1:11.8.9+ds-0+deb13u1")
TARGET = STATE / "mariadb-next"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
SOURCES = Path("/etc/apt")
PROGRAMS = ("sbin/mariadbd", "bin/my_print_defaults", "bin/resolveip", "bin/mariadb")
"""Programs that the tests and `mariadb-install-db` use."""
WRAPPER = """\
#!/bin/sh
root=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
set -- "$root/usr/lib/{arch}" "$(readlink -f "$0").elf" "$@"
libraries=$1; shift
exec "$libraries/{loader}" --library-path "$libraries" "$@"
"""


def mirror() -> str:
    """Return the archive of the suite that this machine installs from. Raises SetupError."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(SOURCES.glob("sources.list.d/*.sources"))]
    found = [uri for text in texts for uri in re.findall(r"^URIs:\s*(\S+)", text, re.MULTILINE)]
    for path in (SOURCES / "sources.list", *sorted(SOURCES.glob("sources.list.d/*.list"))):
        if path.is_file():
            found += re.findall(
                r"^deb\s+(?:\[[^]]*\]\s+)?(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE
            )
    archives = [uri for uri in found if uri.rstrip("/").endswith("/debian")]
    if not archives:
        msg = f"no Debian archive found in {SOURCES}: the tests on MariaDB 11.8 need Debian 12 or newer"
        raise SetupError(msg)
    return archives[0]


def download(directory: Path) -> list[Path]:
    """Fetch the pinned packages and their dependencies; return the files."""
    for name in ("lists/partial", "cache/archives/partial", "state"):
        (directory / name).mkdir(parents=True)
    (directory / "state" / "status").touch()
    (directory / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {SUITE} main\n")
    settings = {
        "Dir::Etc::sourcelist": directory / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": directory / "lists",
        "Dir::Cache": directory / "cache",
        "Dir::State::status": directory / "state" / "status",
        "APT::Sandbox::User": "",
        "Debug::NoLocking": "1",
    }
    apt = ["apt-get", "-q", "-y", *(f"-o{key}={value}" for key, value in settings.items())]
    run([*apt, "update"], f"apt-get update of {SUITE}")
    install = [*apt, "install", "--no-install-recommends", "--download-only", *PINNED]
    try:
        run(install, f"fetching {', '.join(PINNED)}")
    except SetupError as exc:
        msg = (
            f"{exc}\nDebian keeps one version of a package in {SUITE}: if {PINNED[0]} is gone, name the "
            f"newer one in {Path(__file__).relative_to(ROOT)} and run the tests on it"
        )
        raise SetupError(msg) from exc
    return sorted((directory / "cache" / "archives").glob("*.deb"))


def unpack(packages: list[Path], root: Path) -> None:
    """Unpack the packages, and start each program by the loader that came with it."""
    root.mkdir(parents=True)
    for package in packages:
        with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as tar:  # noqa: S603, S607
            argv = ["tar", "-x", "-C", str(root), "--keep-directory-symlink", "--no-same-owner"]
            subprocess.run(argv, stdin=tar.stdout, check=True)  # noqa: S603
    (loader,) = root.glob("usr/lib/*/ld-linux-*.so.2")
    for name in PROGRAMS:
        program = root / "usr" / name
        program.rename(program.with_name(f"{program.name}.elf"))
        program.write_text(WRAPPER.format(arch=loader.parent.name, loader=loader.name), encoding="utf-8")
        program.chmod(0o755)


def main() -> int:
    """Install it unless it exists; return 0, or 1 with a message that says what to correct."""
    try:
        with step("mariadb-next", fingerprint(Path(__file__)), done=TARGET.is_dir()) as needed:
            if needed:
                say(f"fetching MariaDB from {SUITE}: {PINNED[0]}")
                shutil.rmtree(TARGET, ignore_errors=True)
                with tempfile.TemporaryDirectory() as directory:
                    unpack(download(Path(directory)), TARGET)
    except SetupError as exc:
        say(str(exc))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
