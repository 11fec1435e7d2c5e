"""How modules look and what they are called."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import sys

from tests.house.checkout import PACKAGES, ROOT, modules

MAX_LINES = 400


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in modules(*PACKAGES, "tests", ".ci")
        if (tree := ast.parse(path.read_text(encoding="utf-8"))).body and not ast.get_docstring(tree)
    ]
    assert silent == []


def test_modules_stay_readable() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in modules(*PACKAGES, "tests", ".ci")
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_the_package_that_workers_import_first_is_empty() -> None:
    assert (ROOT / "streamjobs" / "__init__.py").read_text(encoding="utf-8") == ""


def test_no_name_of_ours_hides_an_installed_one() -> None:
    installed = importlib.metadata.packages_distributions()
    for name in (*PACKAGES, "tests"):
        assert set(installed.get(name, ())) <= {"streamjobs"}
        assert name not in sys.stdlib_module_names


def test_nothing_vague_is_in_the_house() -> None:
    vague = {"base", "common", "core", "helpers", "manager", "misc", "util", "utils"}
    found = [
        str(path.relative_to(ROOT))
        for path in modules(*PACKAGES)
        if vague & {path.stem, *path.relative_to(ROOT).parts[:-1]}
    ]
    assert found == []


def test_every_part_has_its_floor() -> None:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    layers = contracts["importlinter:contract:layers"]["layers"]
    placed = {word.strip("()") for word in layers.replace("|", " ").replace(":", " ").split()}
    parts = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts[:2])
        for path in modules("streamjobs")
        if path.name != "__init__.py" or path.parent.parent != ROOT
    }
    assert parts <= placed
