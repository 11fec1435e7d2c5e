"""A private HBase: up, killed with its rows in part and whole, frozen, gone."""

from __future__ import annotations

from collections.abc import Iterator

import happybase
import psutil
import pytest

from streamjobs.local import warden
from streamjobs.local.environment import Environment
from tests.patience import limit_s

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    with Environment(tmp_path_factory.mktemp("hbase"), kafka=False, flink=False, hbase=True) as env:
        known = env.environment_id
        yield env
    assert warden.carriers(known) == []


def _row(environment: Environment, table: str, key: bytes) -> dict[bytes, bytes]:
    connection = happybase.Connection(
        environment.hbase.host, environment.hbase.port, timeout=limit_s(20) * 1000
    )
    try:
        row: dict[bytes, bytes] = connection.table(table).row(key)
        return row
    finally:
        connection.close()


def _put(environment: Environment, table: str, key: bytes) -> None:
    connection = happybase.Connection(
        environment.hbase.host, environment.hbase.port, timeout=limit_s(20) * 1000
    )
    try:
        connection.create_table(table, {"f": {}})
        connection.table(table).put(key, {b"f:x": b"1"})
    finally:
        connection.close()


def test_it_listens_on_loopback(environment: Environment) -> None:
    for service in environment.hbase.services:
        connections = psutil.Process(service.pid).net_connections("inet")
        listening = {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}
        assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


def test_killed_servers_come_back_with_their_rows(environment: Environment) -> None:
    hbase = environment.hbase
    _put(environment, "kept", b"a")
    hbase.server.kill()
    assert not hbase.server.alive
    hbase.server.restart()
    hbase.gateway.await_ready()
    assert _row(environment, "kept", b"a") == {b"f:x": b"1"}
    hbase.kill()
    hbase.restart()
    assert _row(environment, "kept", b"a") == {b"f:x": b"1"}


def test_a_server_that_ends_while_its_gateway_starts_is_started_again(environment: Environment) -> None:
    hbase = environment.hbase
    _put(environment, "revived", b"a")
    hbase.kill()
    hbase.gateway.launch()
    hbase.gateway.await_ready()
    assert hbase.server.alive
    assert _row(environment, "revived", b"a") == {b"f:x": b"1"}


def test_frozen_servers_do_not_answer_until_they_thaw(environment: Environment) -> None:
    hbase = environment.hbase
    connection = happybase.Connection(hbase.host, hbase.port, timeout=500)
    try:
        hbase.freeze()
        try:
            with pytest.raises(TimeoutError):
                connection.tables()
        finally:
            hbase.thaw()
    finally:
        connection.close()
    hbase.gateway.await_ready()
