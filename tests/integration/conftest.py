"""What tests of captures work on: the servers of all tests, or servers of a module's own.

The rig is imported inside its fixtures: pytest may load this file before it knows which warnings of the
clients to ignore.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.services.kinds import KafkaAddress, MariaDbAddress

if TYPE_CHECKING:
    from tests.integration.capture_rig import Rig


@pytest.fixture(scope="module")
def live(
    kafka: KafkaAddress,
    mariadb_root: Path | None,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Rig:
    """The broker and the database server of all tests; MYSQL_URL names another server.

    A module that kills them, changes their settings or floods them overrides this by `own_rig`.
    """
    from tests.integration.capture_rig import Rig  # noqa: PLC0415
    from tests.integration.given_server import MYSQL_URL, login_of_url  # noqa: PLC0415

    url = os.environ.get(MYSQL_URL)
    if url is None:
        shared: MariaDbAddress = request.getfixturevalue("mariadb_next" if mariadb_root else "mariadb")
        url = shared.url
    return Rig(kafka.bootstrap, login_of_url(url), tmp_path_factory.mktemp("capture"))


@pytest.fixture(scope="module")
def own_rig(mariadb_root: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A broker and a database server of the module's own; MYSQL_URL names another, which is not ours."""
    from tests.integration.capture_rig import started_rig  # noqa: PLC0415

    with started_rig(tmp_path_factory.mktemp("capture"), mariadb_root) as made:
        yield made
