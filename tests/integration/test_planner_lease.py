"""The planner process: one lease at a time, replaced when it dies, hangs or is of another version."""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from py4j.java_gateway import GatewayParameters, JavaGateway

from streamjobs.errors import ConfigError
from streamjobs.job.planner import lease, server
from streamjobs.job.planner.gateway import jvm_command
from streamjobs.job.planner.jvm import LOG, TEMPORARY
from streamjobs.job.planner.lease import JvmCommand, Lease, take
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.services


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A planner's directory whose name is too long for the address of a socket."""
    path = tmp_path / ("long" * 30) / "planner"
    yield path
    lease.stop(path)


@pytest.fixture
def command(directory: Path) -> JvmCommand:
    return jvm_command(directory, ())


def jvm_pid(leased: Lease) -> int:
    """Ask the JVM of a lease for its pid: it lives and takes the token."""
    gateway = JavaGateway(
        gateway_parameters=GatewayParameters(port=leased.port, auth_token=leased.token, auto_convert=True)
    )
    try:
        return int(gateway.jvm.java.lang.ProcessHandle.current().pid())
    finally:
        gateway.close()


def used(directory: Path, command: JvmCommand) -> int:
    """Take a lease and hand it back as it was; the pid of its JVM."""
    with closing(take(directory, command)) as leased:
        pid = jvm_pid(leased)
        leased.release()
    return pid


def server_pid(directory: Path) -> int:
    return int((directory / server.PID).read_text())


def test_a_jvm_that_was_handed_back_serves_the_next(directory: Path, command: JvmCommand) -> None:
    assert used(directory, command) == used(directory, command)


def test_a_lease_that_ends_otherwise_ends_its_jvm(directory: Path, command: JvmCommand) -> None:
    with closing(take(directory, command)) as leased:
        first = jvm_pid(leased)
    assert used(directory, command) != first
    wait_for(lambda: not psutil.pid_exists(first), "the JVM of the broken lease ends")


def test_two_clients_never_share_a_jvm(directory: Path, command: JvmCommand) -> None:
    holding: set[int] = set()
    together: list[int] = []
    failures: list[BaseException] = []

    def client() -> None:
        try:
            for _ in range(5):
                with closing(take(directory, command)) as leased:
                    pid = jvm_pid(leased)
                    if pid in holding:
                        together.append(pid)
                    holding.add(pid)
                    jvm_pid(leased)
                    holding.discard(pid)
                    leased.release()
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failures, together) == ([], [])


def test_who_waits_long_gets_another_jvm_which_ends_when_it_is_idle(
    directory: Path, command: JvmCommand
) -> None:
    with closing(take(directory, command)) as first, closing(take(directory, command)) as second:
        pids = {jvm_pid(first), jvm_pid(second)}
        assert len(pids) == 2
        first.release()
        first.close()
        second.release()
    wait_for(lambda: sum(map(psutil.pid_exists, pids)) == 1, "one of them ends", server.EXTRA_IDLE_S + 30)
    assert used(directory, command) in pids


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_jvm_that_dies_or_hangs_is_replaced(
    directory: Path, command: JvmCommand, number: signal.Signals
) -> None:
    first = used(directory, command)
    os.kill(first, number)
    assert used(directory, command) != first


def test_a_planner_process_that_is_killed_takes_its_jvm_with_it_and_is_replaced(
    directory: Path, command: JvmCommand
) -> None:
    first, process = used(directory, command), server_pid(directory)
    os.kill(process, signal.SIGKILL)
    wait_for(lambda: not psutil.pid_exists(first), "its JVM ends")
    assert used(directory, command) != first
    assert server_pid(directory) != process


def test_a_planner_process_that_hangs_is_replaced(
    directory: Path, command: JvmCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, process = used(directory, command), server_pid(directory)
    monkeypatch.setattr(lease, "_SILENT_S", 2.0)
    os.kill(process, signal.SIGSTOP)
    assert used(directory, command) != first
    wait_for(lambda: not psutil.pid_exists(first), "the JVM of the hung process ends")


def test_a_planner_process_of_another_version_is_replaced(directory: Path, command: JvmCommand) -> None:
    first, process = used(directory, command), server_pid(directory)
    other = replace(command, env={**command.env, "TZ": "Asia/Shanghai"})
    assert used(directory, other) != first
    wait_for(lambda: not psutil.pid_exists(process), "the old planner process ends")
    assert used(directory, other) != first


def test_a_planner_process_that_is_replaced_leaves_the_files_of_the_next(
    directory: Path, command: JvmCommand
) -> None:
    other = replace(command, env={**command.env, "TZ": "Asia/Shanghai"})
    with closing(take(directory, command)) as first:
        (old,) = (directory / TEMPORARY).iterdir()
        with closing(take(directory, other)) as second:
            assert jvm_pid(second) != jvm_pid(first)
            (new,) = set((directory / TEMPORARY).iterdir()) - {old}
            (new / "unpacked.jar").touch()
            (old / "left.zip").touch()
            first.release()
            first.close()
            wait_for(lambda: not old.exists(), "the replaced process ends and clears")
            assert (new / "unpacked.jar").exists()


def test_nobody_else_gets_in(directory: Path, command: JvmCommand) -> None:
    with closing(take(directory, command)) as leased:
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        with socket.create_connection(("127.0.0.1", leased.port), 10) as stranger:
            stranger.sendall(b"A\nwrong-token\n")
            assert not stranger.recv(64).startswith(b"!y")


def test_an_idle_planner_process_ends(
    directory: Path, command: JvmCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(lease.IDLE_VARIABLE, "0.5")
    pid = used(directory, command)
    process = server_pid(directory)
    wait_for(lambda: not (psutil.pid_exists(pid) or psutil.pid_exists(process)), "both end")
    assert sorted(path.name for path in directory.iterdir()) == ["lock", LOG, TEMPORARY]
    assert list((directory / TEMPORARY).iterdir()) == []


def test_a_planner_process_whose_directory_is_removed_ends(directory: Path, command: JvmCommand) -> None:
    used(directory, command)
    process = server_pid(directory)
    (directory / server.SOCKET).unlink()
    wait_for(lambda: not psutil.pid_exists(process), "it ends")


def test_stop_ends_all_and_says_whether_there_was_anything(directory: Path, command: JvmCommand) -> None:
    assert not lease.stop(directory)
    with closing(take(directory, command)) as leased:
        pid = jvm_pid(leased)
        assert lease.stop(directory)
        wait_for(lambda: not psutil.pid_exists(pid), "the JVM ends, leased or not")
    assert not lease.stop(directory)


def test_what_cannot_be_started_is_named(
    directory: Path, command: JvmCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = replace(command, argv=["/nowhere/java", *command.argv[1:]])
    with pytest.raises(ConfigError, match=r"^cannot start /nowhere/java: .*No such file or directory"):
        take(directory, broken)
    wrong = replace(command, argv=[command.argv[0], "-XX:+NoSuchFlag"])
    with pytest.raises(ConfigError, match=r"(?s)^the planner's JVM does not start: .*NoSuchFlag"):
        take(directory, wrong)
    monkeypatch.setenv(lease.IDLE_VARIABLE, "soon")
    lease.stop(directory)
    with pytest.raises(ConfigError, match=r"STREAMJOBS_PLANNER_IDLE_S must be the seconds .*not 'soon'"):
        take(directory, command)


def test_a_missing_jdk_is_named(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with pytest.raises(ConfigError, match=r"no java found \(JAVA_HOME=/nowhere\): install a JDK 17"):
        jvm_command(directory, ())


def test_a_full_disk_is_named(directory: Path, command: JvmCommand) -> None:
    directory.mkdir(parents=True)
    (directory / server.PID).symlink_to("/dev/full")
    with pytest.raises(ConfigError, match=f"{directory}: No space left on device"):
        take(directory, command)


def test_a_planner_process_that_is_told_to_end_takes_its_leased_jvm_with_it(
    directory: Path, command: JvmCommand
) -> None:
    with closing(take(directory, command)) as leased:
        pid, process = jvm_pid(leased), server_pid(directory)
        os.kill(process, signal.SIGTERM)
        wait_for(lambda: not (psutil.pid_exists(pid) or psutil.pid_exists(process)), "both end")
    assert list((directory / TEMPORARY).iterdir()) == []
