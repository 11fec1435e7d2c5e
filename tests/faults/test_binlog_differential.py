"""Compares the log of a live MariaDB with its SELECT, for hundreds of random tables."""

from __future__ import annotations

import pytest

from connectors.mysql.server.session import Login, Session
from tests.contract.test_binlog_live import MODES, login, run, session

__all__ = ["login", "session"]


@pytest.mark.services
@pytest.mark.long
@pytest.mark.parametrize(("metadata", "compress"), MODES)
def test_the_log_gives_what_select_gives_hundreds_of_times(
    request: pytest.FixtureRequest, metadata: str, compress: str
) -> None:
    server: Login = request.getfixturevalue("login")
    opened: Session = request.getfixturevalue("session")
    run(server, opened, metadata, compress, range(1_000, 1_125))
