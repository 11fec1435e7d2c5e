"""The checkout as the house tests see it: what is committed or about to be."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("connectors", "streamjobs", "thrift_idl", "udfs")


def files(*patterns: str) -> list[Path]:
    """Files of the checkout that match the git patterns, without ignored ones, sorted."""
    argv = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    return sorted(path for name in set(listed) if (path := ROOT / name).is_file())


def modules(*roots: str) -> list[Path]:
    """Python modules under these folders that people wrote."""
    found = files(*(f"{root}/**.py" for root in roots), *(f"{root}/*.py" for root in roots))
    return [path for path in found if "gen" not in path.parts]
