"""What a server that takes over must have: every transaction that was read, and the log of what follows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from connectors.mysql.errors import BehindError, PositionLostError
from connectors.mysql.server.failover import require_transactions
from connectors.mysql.server.session import Session

A, B = "3e11fa47-71ca-11e1-9e33-c80aa9429562", "00000000-0000-0000-0000-000000000001"
SHORT = {"A": A, "B": B}


class Server:
    """What is asked of a server, with the answers that one in this state gives."""

    login = "mysql://u@db2:3306"

    def __init__(self, *, is_mariadb: bool, **variables: str) -> None:
        self.is_mariadb = is_mariadb
        self._variables = variables

    def text(self, sql: str) -> str:
        name = "begin" if "BINLOG_GTID_POS" in sql else sql.rpartition("@@")[2].rpartition(".")[2]
        return _long(self._variables.get(name, ""))

    def named(self, sql: str) -> list[dict[str, str]]:
        assert sql == "SHOW BINARY LOGS"
        return [{"Log_name": "bin.000007", "File_size": "999"}, {"Log_name": "bin.000008", "File_size": "9"}]


def _long(text: str) -> str:
    for short, uuid in SHORT.items():
        text = text.replace(f"{short}:", f"{uuid}:")
    return text


def require(server: Server, gtids: str) -> None:
    require_transactions(cast("Session", server), _long(gtids))


MARIADB: Mapping[str, str] = {
    "gtid_binlog_state": "0-1-90,0-2-95,7-1-3",
    "gtid_binlog_pos": "0-2-95,7-1-3",
    "gtid_slave_pos": "0-1-90,7-1-3,9-1-5",
    "begin": "0-1-40",
}


@pytest.mark.parametrize("gtids", ["0-1-90", "0-1-40", "0-2-95,7-1-3", "7-1-1,0-2-91", "9-1-5", ""])
def test_a_mariadb_that_has_everything(gtids: str) -> None:
    require(Server(is_mariadb=True, **MARIADB), gtids)


HAS = "(gtid_binlog_pos 0-2-95,7-1-3, gtid_slave_pos 0-1-90,7-1-3,9-1-5)"


@pytest.mark.parametrize(
    ("gtids", "error", "said"),
    [
        ("0-1-96", BehindError, f"is behind: it lacks 0-1-96, the last transaction captured {HAS}. If it"),
        ("8-1-1", BehindError, f"is behind: it lacks 8-1-1, the last transaction captured {HAS}. If it"),
        (
            "0-1-91",
            PositionLostError,
            "lacks 0-1-91, the last transaction captured, and has others instead "
            f"{HAS}: it was promoted without the last commits of the old server, and those rows are already "
            "downstream",
        ),
        (
            "9-1-4",
            PositionLostError,
            f"has applied 9-1-4, the last transaction captured, but has not logged it {HAS}: it does not log "
            "what it replicates (log_slave_updates), or is a restored copy",
        ),
        (
            "0-1-39,7-1-3",
            PositionLostError,
            "has purged what follows 0-1-39,7-1-3, the last ones captured: its log begins with "
            "bin.000007, after 0-1-40",
        ),
    ],
)
def test_a_mariadb_that_has_not(gtids: str, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as raised:
        require(Server(is_mariadb=True, **MARIADB), gtids)
    assert f"mysql://u@db2:3306 {said}" in str(raised.value)


MYSQL: Mapping[str, str] = {"gtid_executed": "A:1-90,B:1-5", "gtid_purged": "A:1-40"}


@pytest.mark.parametrize("gtids", ["A:1-90", "A:1-40", "A:1-90,B:1-5"])
def test_a_mysql_that_has_everything(gtids: str) -> None:
    require(Server(is_mariadb=False, **MYSQL), gtids)


def test_a_mysql_that_has_not() -> None:
    with pytest.raises(BehindError) as behind:
        require(Server(is_mariadb=False, **MYSQL), "A:1-93,B:1-5")
    assert str(behind.value) == (
        f"mysql://u@db2:3306 is behind: it lacks {A}:91-93, and {B}:1-5,{A}:1-93 was captured "
        f"(gtid_executed {B}:1-5,{A}:1-90). If it is a replica, it may still receive them, and the capture "
        "tries again until then. If it was promoted without them, it never will, and rows that it lacks are "
        "already downstream: run `streamjobs capture run --resnapshot`"
    )
    with pytest.raises(PositionLostError) as purged:
        require(Server(is_mariadb=False, **MYSQL), "A:1-38")
    assert str(purged.value) == (
        f"mysql://u@db2:3306 has purged {A}:39-40, which follow {A}:1-38, the last ones captured"
    )
