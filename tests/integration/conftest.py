"""What tests of captures share: a broker and a database server for each module of them.

The rig is imported inside its fixture: pytest may load this file before it knows which warnings of the
clients to ignore.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.capture_rig import Rig


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A broker and a database server of the module's own."""
    from tests.integration.capture_rig import own_rig  # noqa: PLC0415

    with own_rig(tmp_path_factory.mktemp("capture")) as made:
        yield made
