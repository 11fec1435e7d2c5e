"""A server whose global settings would cut answers and end sessions: capture loses nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.mysql.server.session import Session
from connectors.mysql.server.session_settings import READING, asked
from streamjobs.changes.row_change import TableId
from tests.integration.capture_file import CaptureFile
from tests.integration.capture_rig import Rig, replayed
from tests.integration.waiting import pause

pytestmark = pytest.mark.services
ROWS = 5000
HANDED_OUT = {
    "sql_select_limit": "3",
    "wait_timeout": "1",
    "interactive_timeout": "1",
    "net_write_timeout": "1",
    "idle_transaction_timeout": "1",
    "idle_readonly_transaction_timeout": "1",
    "max_statement_time": "0.2",
    "max_execution_time": "200",
    "max_join_size": "10",
    "sql_auto_is_null": "1",
    "sql_quote_show_create": "0",
    "completion_type": "'CHAIN'",
    "sql_mode": "'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT,NO_ZERO_DATE,STRICT_ALL_TABLES'",
}


@pytest.fixture(scope="module")
def live(own_rig: Rig) -> Rig:
    """Servers of the module's own: their settings are changed."""
    return own_rig


@pytest.fixture
def capture(live: Rig) -> Iterator[CaptureFile]:
    """A capture of a table with a key and one without, of a server that hands out bad settings."""
    name = live.database()
    rows = ", ".join(f"({number}, REPEAT('x', 200))" for number in range(1, ROWS + 1))
    with live.session() as session:
        for table, key in (("keyed", "PRIMARY KEY"), ("bare", "")):
            session.execute(f"CREATE TABLE {name}.{table} (id INT {key}, v VARCHAR(200))")
            session.execute(f"INSERT INTO {name}.{table} VALUES {rows}")
        for variable, value in HANDED_OUT.items():
            if session.variable(variable) is not None:
                session.execute(f"SET GLOBAL {variable} = {value}")
    made = live.configure(name, snapshot="chunk_rows = 500\nmax_rows_per_second = 2500")
    yield made
    made.close()


def test_no_setting_of_the_server_loses_a_row(live: Rig, capture: CaptureFile) -> None:
    if not live.is_ours:
        pytest.skip("the server is not ours to set up")
    capture.start().streaming()
    with live.session() as session:
        session.execute(f"INSERT INTO {capture.name}.keyed VALUES (0, NULL)")
        pause(3.0)  # more than the server gives a quiet session
        session.execute(f"UPDATE {capture.name}.keyed SET v = 'y' WHERE id = 7")
    live.caught_up(capture)
    for table in ("keyed", "bare"):
        rows = live.rows(TableId(capture.name, table))
        assert len(rows) >= ROWS
        assert replayed(live.sent(f"{capture.name}.{table}"), strict=table == "keyed") == rows, table
    assert (capture.status() or {})["retries"] == 0, capture.log()


def test_each_variable_is_as_a_reader_needs_it(live: Rig, capture: CaptureFile) -> None:
    assert capture.path
    with Session(live.login) as session:
        shown = {
            (name or b"").decode().lower(): (value or b"").decode()
            for name, value in session.rows(asked(READING))
        }
    plain = {"0": {"0", "OFF", "0.000000"}, "1": {"1", "ON"}, "DEFAULT": {"DEFAULT"}}
    for setting in READING:
        if setting.name in shown:
            wanted = setting.value.strip("'")
            assert shown[setting.name].upper() in plain.get(wanted, {wanted.upper()}), setting
    assert len(shown) >= 10
