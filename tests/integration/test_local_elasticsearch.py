"""A private Elasticsearch: up, killed with its documents, frozen, gone."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import psutil
import pytest

from streamjobs.local import warden
from streamjobs.local.environment import Environment
from tests.patience import limit_s

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    root = tmp_path_factory.mktemp("elastic search")
    with Environment(root, kafka=False, flink=False, elasticsearch=True) as env:
        known = env.environment_id
        yield env
    assert warden.carriers(known) == []


def test_it_listens_on_loopback_and_does_not_run_as_root(environment: Environment) -> None:
    node = psutil.Process(environment.elasticsearch.pid)
    assert node.uids().real != 0
    listening = [each for each in node.net_connections("inet") if each.status == psutil.CONN_LISTEN]
    assert {each.laddr.ip.removeprefix("::ffff:") for each in listening} == {"127.0.0.1"}


def test_what_its_launcher_leaves_is_among_its_own_files(environment: Environment) -> None:
    """The launcher asks Java for its flags in a new temporary folder, and leaves that behind."""
    assert list((environment.root / "elasticsearch" / "tmp").glob("final-flags*"))


def test_a_killed_node_comes_back_with_its_documents(environment: Environment) -> None:
    server = environment.elasticsearch
    stored = httpx.put(f"{server.url}/kept/_doc/1?refresh=true", json={"n": 1}, timeout=limit_s(30))
    assert stored.status_code == 201
    before = server.pid
    server.kill()
    assert not server.alive
    assert not psutil.pid_exists(before)
    server.restart()
    assert server.pid != before
    assert httpx.get(f"{server.url}/kept/_doc/1", timeout=limit_s(30)).json()["_source"] == {"n": 1}


def test_a_frozen_node_does_not_answer_until_it_thaws(environment: Environment) -> None:
    server = environment.elasticsearch
    server.freeze()
    try:
        with pytest.raises(httpx.TimeoutException):
            httpx.get(f"{server.url}/_cluster/health", timeout=0.5)
    finally:
        server.thaw()
    assert httpx.get(f"{server.url}/_cluster/health", timeout=limit_s(30)).status_code == 200
