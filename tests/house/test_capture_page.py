"""docs/capture_options.md is what reads a capture's file."""

from __future__ import annotations

import pytest

from streamjobs.capture.config.file import SECTIONS, TABLES
from tests.house.capture_page import PAGE, page


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


@pytest.mark.parametrize("options", [*SECTIONS.values(), TABLES])
def test_every_option_says_what_it_is(options: object) -> None:
    assert all(option.doc for option in getattr(options, "options", ()))
