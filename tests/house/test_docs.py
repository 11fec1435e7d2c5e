"""What the documents name exists."""

from __future__ import annotations

import re

import pytest

from tests.house.checkout import ROOT, files

PAGES = [str(path.relative_to(ROOT)) for path in files("*.md")]
LINK = re.compile(r"\[[^\]]*\]\((?!https?://|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)")
MAKE = re.compile(r"(?:^|[`$ ])make ([a-z][a-z-]*)")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.M))


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    broken = [
        link for link in LINK.findall(path.read_text(encoding="utf-8")) if not (path.parent / link).exists()
    ]
    assert broken == []


@pytest.mark.parametrize("page", PAGES)
def test_make_commands_exist(page: str) -> None:
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", (ROOT / page).read_text(encoding="utf-8"), re.S))
    assert set(MAKE.findall(code)) <= TARGETS


def test_help_lists_every_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.M)
    assert phony is not None
    described = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.M))
    assert set(phony[1].split()) <= described
    assert described == TARGETS


def test_decisions_are_short_and_whole() -> None:
    for path in files("docs/decisions/*.md"):
        assert re.match(r"\d{4}-[a-z0-9-]+\.md$", path.name), path
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 25, path


def test_no_file_holds_the_marks_of_a_merge() -> None:
    marks = re.compile(r"^(?:<{7}|>{7}) \S|^={7}$", re.M)
    tracked = [*files("*.md"), *files("*.py"), *files("*.sql"), *files("*.toml"), *files("*.yml")]
    assert [path for path in tracked if marks.search(path.read_text(encoding="utf-8"))] == []
    assert marks.search("a\n" + "=" * 7 + "\nb\n")
