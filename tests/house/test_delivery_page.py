"""docs/delivery.md is what the sinks say of themselves."""

from __future__ import annotations

from connectors import CONNECTORS
from streamjobs.options.store_options import STORE_KINDS, STORE_OPTIONS
from tests.house.delivery_page import NAMES, PAGE, page


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make docs`"


def test_every_store_is_on_the_page_and_has_its_connector() -> None:
    kinds = {STORE_KINDS.get(type_, type_) for type_ in STORE_OPTIONS}
    assert kinds == set(NAMES)
    assert kinds <= set(CONNECTORS)
