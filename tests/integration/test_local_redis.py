"""A private Redis: up, killed with its rows, frozen, as a cluster, behind a password."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from streamjobs.local import warden
from streamjobs.local.environment import Environment
from streamjobs.local.redis import RedisOptions
from tests.patience import limit_s

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    with Environment(tmp_path_factory.mktemp("redis"), kafka=False, flink=False, redis=True) as env:
        yield env


def test_a_killed_server_comes_back_with_its_rows(environment: Environment) -> None:
    server = environment.redis
    with redis.Redis(port=server.port) as client:
        client.set("kept", "1")
    server.kill()
    assert not server.alive
    server.restart()
    with redis.Redis.from_url(server.url) as client:
        assert client.get("kept") == b"1"


def test_a_frozen_server_does_not_answer_until_it_thaws(environment: Environment) -> None:
    server = environment.redis
    server.freeze()
    try:
        with (
            redis.Redis(port=server.port, socket_timeout=0.5) as client,
            pytest.raises(redis.TimeoutError),
        ):
            client.get("kept")
    finally:
        server.thaw()
    with redis.Redis(port=server.port, socket_timeout=limit_s(30)) as client:
        assert client.ping()


def test_a_cluster_behind_a_password(tmp_path: Path) -> None:
    options = RedisOptions(cluster=True, password="pass-7")  # noqa: S106
    with Environment(tmp_path, kafka=False, flink=False, redis=options) as env:
        with redis.Redis(port=env.redis.port, password="pass-7") as client:  # noqa: S106
            assert client.execute_command("CLUSTER", "KEYSLOT", "a") == 15495
            assert client.set("a", "1")
        env.redis.restart()
        environment_id = env.environment_id
    assert warden.carriers(environment_id) == []
