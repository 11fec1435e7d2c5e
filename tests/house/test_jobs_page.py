"""docs/jobs.md is what the checks of a job know."""

from __future__ import annotations

from streamjobs.dialect.table_rules import ROW_METADATA
from tests.house.jobs_page import METADATA, PAGE, page


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_every_metadata_key_is_explained() -> None:
    assert set(METADATA) == set(ROW_METADATA)
