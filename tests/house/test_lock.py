"""The lock file installs the same bytes everywhere, from any index."""

from __future__ import annotations

import importlib
import re
import sys

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.checkout import ROOT

toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PINS = re.compile(
    r"^(?P<pin>[a-z0-9][^\s]*==[^\s]+)(?P<marker> ; [^\\]*)?"
    r"(?P<hashes>(?:\s*\\\n\s+--hash=sha256:[0-9a-f]{64})*)",
    re.M,
)


def test_every_pin_has_hashes() -> None:
    starts = [line for line in LOCK.splitlines() if re.match(r"[A-Za-z0-9]", line)]
    pins = list(PINS.finditer(LOCK))
    assert len(pins) == len(starts) > 50
    assert [pin["pin"] for pin in pins if not pin["hashes"]] == []


def test_no_url_and_no_index_is_in_it() -> None:
    assert "://" not in LOCK
    assert [line for line in LOCK.splitlines() if line.startswith("--")] == []


def test_it_satisfies_the_project() -> None:
    pinned: dict[str, set[str]] = {}
    for pin in PINS.finditer(LOCK):
        name, version = pin["pin"].split("==")
        pinned.setdefault(canonicalize_name(name.split("[")[0]), set()).add(version)
    project = toml.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert [text for text in wanted if not _is_met(Requirement(text), pinned)] == []


def _is_met(need: Requirement, pinned: dict[str, set[str]]) -> bool:
    versions = pinned.get(canonicalize_name(need.name), set())
    return bool(versions) and all(need.specifier.contains(version) for version in versions)
