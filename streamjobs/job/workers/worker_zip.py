"""The zip of our packages that Flink's Python workers import from."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

PACKAGES = ("streamjobs", "thrift_idl", "udfs", "connectors")
LEFT_OUT = ("streamjobs/cli", "streamjobs/local", "streamjobs/demo")
"""Folders that a worker does not need, and whose imports it may not have."""

_EPOCH = (1980, 1, 1, 0, 0, 0)


def worker_package(directory: Path) -> Path:
    """Return a zip of the packages, named by its content; make it in `directory` unless it exists."""
    root = Path(__file__).resolve().parents[3]
    files = [
        path
        for package in PACKAGES
        for path in sorted((root / package).rglob("*"))
        if path.suffix in (".py", ".thrift") and not _left_out(path.relative_to(root))
    ]
    digest = hashlib.sha256()
    for path in files:
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    target = directory / f"streamjobs-workers-{digest.hexdigest()[:16]}.zip"
    if not target.exists():
        directory.mkdir(parents=True, exist_ok=True)
        building = target.with_suffix(f".{os.getpid()}.tmp")
        with zipfile.ZipFile(building, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                entry = zipfile.ZipInfo(str(path.relative_to(root)), _EPOCH)
                archive.writestr(entry, path.read_bytes())
        building.replace(target)
    return target


def _left_out(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in LEFT_OUT)
