"""A private MariaDB: up with its binlog, killed, frozen, without a binlog, down without a trace."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pymysql
import pytest

from streamjobs.errors import ServiceError
from streamjobs.local import state, warden
from streamjobs.local.environment import Environment
from streamjobs.local.mariadb import MariaDbOptions, MariaDbServer
from tests.integration.waiting import wait_for
from tests.patience import limit_s

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    root = tmp_path_factory.mktemp("mariadb")
    with Environment(root, kafka=False, flink=False, mariadb=True) as env:
        yield env


def _answer(server: MariaDbServer, sql: str, timeout_s: float | None = None) -> Any:
    limit = timeout_s or limit_s(30)
    connection = pymysql.connect(host=server.host, port=server.port, user="root", read_timeout=limit)
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()
    finally:
        connection.close()


def test_it_writes_the_binlog_that_capture_needs(environment: Environment) -> None:
    variables = "@@log_bin, @@binlog_format, @@binlog_row_image, @@binlog_row_metadata"
    assert _answer(environment.mariadb, f"SELECT {variables}") == ((1, "ROW", "FULL", "FULL"),)


def test_it_listens_on_loopback_only(environment: Environment) -> None:
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for connection in psutil.Process(environment.mariadb.pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", environment.mariadb.port)}
    assert environment.mariadb.url == f"mysql://root@127.0.0.1:{environment.mariadb.port}"


def test_a_killed_server_comes_back_with_its_rows(environment: Environment) -> None:
    server = environment.mariadb
    _answer(server, "CREATE DATABASE kept")
    server.kill()
    assert not server.alive
    server.restart()
    assert _answer(server, "SHOW DATABASES LIKE 'kept'") == (("kept",),)


def test_a_frozen_server_does_not_answer_until_it_thaws(environment: Environment) -> None:
    server = environment.mariadb
    server.freeze()
    try:
        with pytest.raises(pymysql.err.OperationalError):
            _answer(server, "SELECT 1", timeout_s=0.5)
    finally:
        server.thaw()
    wait_for(lambda: _answer(server, "SELECT 1") == ((1,),), "the server answers again")


def test_without_binlog(tmp_path: Path) -> None:
    options = MariaDbOptions(binlog=False)
    with Environment(tmp_path, kafka=False, flink=False, mariadb=options) as env:
        assert _answer(env.mariadb, "SELECT @@log_bin") == ((0,),)
        environment_id = env.environment_id
    assert warden.carriers(environment_id) == []


def test_a_broken_setting_quotes_the_log(tmp_path: Path) -> None:
    options = MariaDbOptions(settings={"no-such-option": "1"})
    with pytest.raises(ServiceError) as caught:
        Environment(tmp_path, kafka=False, flink=False, mariadb=options).start()
    assert f"The last lines of {tmp_path}/logs/mariadb.log:" in str(caught.value)
    assert "unknown variable 'no-such-option=1'" in str(caught.value)
    assert state.running(tmp_path) is None
