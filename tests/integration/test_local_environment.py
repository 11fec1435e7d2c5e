"""Environments of real services: up, killed in part, down without a trace."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from kafka import KafkaAdminClient

from streamjobs.errors import ServiceError
from streamjobs.local import state, warden
from streamjobs.local.environment import Environment
from streamjobs.local.ports import PortLease, is_free
from tests.integration.waiting import wait_for
from tests.patience import limit_s

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    with Environment(tmp_path_factory.mktemp("full"), slots=2) as environment:
        yield environment


def _listening(environment_id: str) -> set[tuple[str, int]]:
    """Addresses that any process of the environment listens on."""
    found = set()
    for pid in warden.carriers(environment_id):
        for connection in psutil.Process(pid).net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                found.add((connection.laddr.ip, connection.laddr.port))
    return found


def _slots(environment: Environment) -> tuple[int, int]:
    overview = httpx.get(f"{environment.flink.rest_url}/overview", timeout=limit_s(10)).json()
    return overview["taskmanagers"], overview["slots-total"]


def _metadata(bootstrap: str) -> str:
    """The address that the broker itself tells its clients."""
    client = KafkaAdminClient(bootstrap_servers=bootstrap, bootstrap_timeout_ms=limit_s(20) * 1000)
    try:
        (broker,) = client.describe_cluster()["brokers"]
        return f"{broker['host']}:{broker['port']}"
    finally:
        client.close()


def test_flink_shows_its_slots(full: Environment) -> None:
    assert _slots(full) == (1, 2)


def test_kafka_answers_with_its_loopback_address(full: Environment) -> None:
    assert _metadata(full.kafka.bootstrap) == full.kafka.bootstrap


def test_everything_listens_on_loopback_only(full: Environment) -> None:
    addresses = _listening(full.environment_id)
    assert {ip for ip, _ in addresses} == {"127.0.0.1"}
    assert {full.kafka.port, full.flink.rest_port, full.flink.rpc_port} <= {port for _, port in addresses}


def test_nothing_is_written_outside_the_root(full: Environment) -> None:
    for pid in warden.carriers(full.environment_id):
        for opened in psutil.Process(pid).open_files():
            if opened.mode != "r" and not opened.path.startswith(("/dev/", "/proc/")):
                assert Path(opened.path).is_relative_to(full.root)


def test_killed_taskmanager_comes_back_with_its_slots(full: Environment) -> None:
    taskmanager = full.flink.taskmanagers[0]
    before = taskmanager.pid
    taskmanager.kill()
    assert not taskmanager.alive
    assert not psutil.pid_exists(before)
    taskmanager.restart()
    assert taskmanager.pid != before
    wait_for(lambda: _slots(full) == (1, 2), "the dead TaskManager is forgotten")


def test_one_more_taskmanager_adds_its_slots(full: Environment) -> None:
    added = full.flink.start_taskmanager()
    wait_for(lambda: _slots(full) == (2, 4), "two TaskManagers")
    added.kill()
    wait_for(lambda: _slots(full) == (1, 2), "one TaskManager again")


def test_killed_jobmanager_comes_back_on_its_port(full: Environment) -> None:
    full.flink.jobmanager.kill()
    full.flink.jobmanager.restart()
    wait_for(lambda: _slots(full) == (1, 2), "the TaskManager has registered again")


def test_killed_kafka_comes_back_with_its_topics(full: Environment) -> None:
    client = KafkaAdminClient(bootstrap_servers=full.kafka.bootstrap)
    client.create_topics({"kept": {"num_partitions": 1, "replication_factor": 1}})
    client.close()
    full.kafka.kill()
    full.kafka.restart()
    assert _metadata(full.kafka.bootstrap) == full.kafka.bootstrap
    client = KafkaAdminClient(bootstrap_servers=full.kafka.bootstrap)
    assert "kept" in client.list_topics()
    client.close()


def test_stop_leaves_no_process_and_no_port(tmp_path: Path) -> None:
    environment = Environment(tmp_path).start()
    environment_id = environment.environment_id
    ports = {port for _, port in _listening(environment_id)}
    environment.stop()
    assert warden.carriers(environment_id) == []
    assert [port for port in ports if not is_free(port)] == []
    assert state.running(tmp_path) is None
    environment.stop()


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    environment_id = ""

    def work() -> None:
        nonlocal environment_id
        with Environment(tmp_path, flink=False) as environment:
            environment_id = environment.environment_id
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert warden.carriers(environment_id) == []


def test_two_environments_live_side_by_side(full: Environment, tmp_path: Path) -> None:
    with Environment(tmp_path, flink=False) as other:
        assert other.kafka.bootstrap != full.kafka.bootstrap
        assert _metadata(other.kafka.bootstrap) == other.kafka.bootstrap
    assert _metadata(full.kafka.bootstrap) == full.kafka.bootstrap
    assert full.kafka.alive


def test_a_root_holds_one_environment(full: Environment) -> None:
    with pytest.raises(ServiceError, match=r"an environment already runs in .* \(warden pid \d+\)"):
        Environment(full.root).start()
    assert full.kafka.alive


def test_broken_kafka_quotes_its_log(tmp_path: Path) -> None:
    with pytest.raises(ServiceError) as caught:
        Environment(tmp_path, flink=False, kafka_settings={"num.io.threads": "plenty"}).start()
    message = str(caught.value)
    assert f"The last lines of {tmp_path}/logs/kafka.log:" in message
    assert "Invalid value plenty for configuration num.io.threads" in message
    assert state.running(tmp_path) is None


def test_broken_flink_quotes_its_log(tmp_path: Path) -> None:
    broken = {"taskmanager.memory.network.min": "much"}
    with pytest.raises(ServiceError) as caught:
        Environment(tmp_path, kafka=False, flink_settings=broken).start()
    message = str(caught.value)
    assert f"The last lines of {tmp_path}/logs/taskmanager-0.log:" in message
    assert "Could not parse value 'much'" in message
    assert state.running(tmp_path) is None


def test_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServiceError, match=f"port {port} of 127.0.0.1 is in use"):
            Environment(tmp_path, flink=False, kafka_port=port).start()
    assert state.running(tmp_path) is None


def test_a_port_is_leased_once() -> None:
    first, second = PortLease(), PortLease()
    port = first.take()
    with pytest.raises(ServiceError, match=f"port {port} of 127.0.0.1 is in use"):
        second.take(port)
    first.close()
    assert second.take(port) == port
    second.close()


OWNER = """
    import signal, sys
    from pathlib import Path
    from streamjobs.local.environment import Environment
    with Environment(Path(sys.argv[1]), flink=False) as environment:
        print(environment.environment_id, environment.kafka.port, flush=True)
        signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_dead_owner_leaves_no_service(tmp_path: Path, number: signal.Signals) -> None:
    argv = [sys.executable, "-c", textwrap.dedent(OWNER), str(tmp_path)]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as owner:
        assert owner.stdout is not None
        environment_id, port = owner.stdout.readline().split()
        assert not is_free(int(port))
        os.killpg(owner.pid, number)
        owner.wait(limit_s(30))
    wait_for(lambda: warden.carriers(environment_id) == [], "no service is left")
    assert is_free(int(port))
    with Environment(tmp_path, flink=False) as environment:
        assert environment.kafka.alive
