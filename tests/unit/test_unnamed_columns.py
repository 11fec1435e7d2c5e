"""A log that does not name columns: the check and the start say so, with the statement that cures it."""

from __future__ import annotations

from typing import cast

import pytest

from connectors.mysql.server.session import Session
from streamjobs.capture.source.preflight import Finding, Severity, unnamed_columns


class Variables:
    """A session of which only variables are asked."""

    def __init__(self, metadata: str | None) -> None:
        self._metadata = metadata

    def variable(self, name: str) -> str | None:
        assert name == "binlog_row_metadata"
        return self._metadata


def found(metadata: str | None) -> Finding | None:
    return unnamed_columns(cast("Session", Variables(metadata)))


@pytest.mark.parametrize("metadata", ["NO_LOG", "MINIMAL"])
def test_full_is_what_to_use(metadata: str) -> None:
    assert found(metadata) == Finding(
        Severity.WARNING,
        f"binlog_row_metadata is {metadata}, FULL is recommended: the log has no column names, so the "
        "capture derives table definitions from the statements in the log, and stops if it cannot follow "
        "one exactly",
        "SET GLOBAL binlog_row_metadata = 'FULL'  -- and in the server's configuration",
    )


def test_a_server_that_cannot_name_columns_is_told() -> None:
    assert found(None) == Finding(
        Severity.WARNING,
        "the log has no column names (the server has no binlog_row_metadata), so the capture derives table "
        "definitions from the statements in the log, and stops if it cannot follow one exactly",
        "use MySQL 8.0 or MariaDB 10.5, or later, with binlog_row_metadata = 'FULL'",
    )


def test_full_is_nothing_to_say() -> None:
    assert found("FULL") is None
