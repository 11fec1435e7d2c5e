"""The warden: what it owns ends with its owner, whatever happens to either."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from streamjobs.errors import ServiceError
from streamjobs.local import warden
from streamjobs.local.processes import ProcessGroup, child_environment
from tests.integration.waiting import wait_for
from tests.patience import limit_s

# A service that leaves a child behind in a session of its own, as a TaskManager leaves its Python workers.
SERVICE = ["sh", "-c", "setsid sleep 600 & echo started; wait"]


@pytest.fixture
def group(tmp_path: Path) -> Iterator[ProcessGroup]:
    group = ProcessGroup(tmp_path, grace_s=3.0)
    yield group
    group.stop()


def _start(group: ProcessGroup, name: str = "service") -> int:
    pid = group.start(name, SERVICE, child_environment(group.root))
    wait_for(lambda: len(psutil.Process(pid).children()) == 1, "the service has a child")
    return pid


def test_stop_ends_a_service_and_the_children_it_left(group: ProcessGroup) -> None:
    pid = _start(group)
    child = psutil.Process(pid).children()[0]
    group.kill("service")
    assert child.is_running()
    group.stop()
    assert not psutil.pid_exists(pid)
    assert not child.is_running()
    assert warden.carriers(group.environment_id) == []


def test_stop_ends_a_service_that_was_stopped_by_a_signal(group: ProcessGroup) -> None:
    pid = _start(group)
    os.kill(pid, signal.SIGSTOP)
    group.stop()
    assert not psutil.pid_exists(pid)


def test_stop_twice_is_harmless(group: ProcessGroup) -> None:
    _start(group)
    group.stop()
    group.stop()


def test_killed_service_reports_its_signal(group: ProcessGroup) -> None:
    _start(group)
    assert group.exit_status("service") is None
    group.kill("service")
    assert group.exit_status("service") == -signal.SIGKILL


def test_a_kept_service_is_started_again_when_it_ends_by_itself(group: ProcessGroup) -> None:
    pid = _start(group)
    group.keep("service")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: group.exit_status("service") is None and _pid_of(group) != pid, "it runs again")
    again = _pid_of(group)
    wait_for(lambda: len(psutil.Process(again).children()) == 1, "it is as it was")
    told = f"service ended with status -9: starting it again in {warden._FIRST_PAUSE_S:g} s"
    assert told in group.log("warden").read_text()
    assert group.log("service").read_text().splitlines() == ["started", "started"]
    group.stop()
    assert not psutil.pid_exists(again)
    assert warden.carriers(group.environment_id) == []


def control(group: ProcessGroup, **command: str) -> dict[str, object]:
    """What the warden answers to a command at its socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(warden.control_address(group.environment_id))
        connection.sendall(json.dumps(command).encode())
        answer: dict[str, object] = json.loads(connection.makefile().read())
    return answer


@pytest.mark.parametrize("detached", [False, True])
def test_a_service_that_has_ended_is_started_again_by_whoever_asks(
    group: ProcessGroup, detached: bool
) -> None:
    pid = _start(group)
    if detached:
        group.detach()
    assert control(group, op="revive", name="service") == {"pid": pid}
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not psutil.pid_exists(pid), "the service is gone")
    again = control(group, op="revive", name="service")["pid"]
    assert isinstance(again, int)
    assert again != pid
    assert json.loads((group.root / warden.PIDS).read_text()) == {"service": again}
    os.kill(group.warden_pid, signal.SIGTERM)
    wait_for(lambda: warden.carriers(group.environment_id) == [], "all have ended")


def test_a_living_service_is_restarted_also_when_it_is_frozen_or_kept(group: ProcessGroup) -> None:
    pid = _start(group)
    group.keep("service")
    os.kill(pid, signal.SIGSTOP)
    again = control(group, op="restart", name="service")["pid"]
    assert isinstance(again, int)
    assert not psutil.pid_exists(pid)
    os.kill(again, signal.SIGKILL)
    wait_for(lambda: group.exit_status("service") is None, "it is kept as before")


def test_a_name_that_was_never_started_is_refused(group: ProcessGroup) -> None:
    _start(group)
    answer = control(group, op="revive", name="other")
    assert answer == {"error": "no other was started here; there are service"}


@pytest.mark.parametrize("words", [b"", b"no json", b"[]", b'{"op": "start", "name": "service"}'])
def test_words_that_are_no_command_do_not_stop_the_warden(group: ProcessGroup, words: bytes) -> None:
    pid = _start(group)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(warden.control_address(group.environment_id))
        connection.sendall(words)
    assert control(group, op="revive", name="service") == {"pid": pid}


def test_a_kept_service_that_is_killed_on_purpose_stays_away(group: ProcessGroup) -> None:
    _start(group)
    group.keep("service")
    _start(group, "other")
    group.keep("other")
    group.kill("service")
    os.kill(_pid_of(group, "other"), signal.SIGKILL)
    wait_for(lambda: "other ended" in group.log("warden").read_text(), "the warden looked at both")
    wait_for(lambda: group.exit_status("other") is None, "the other runs again")
    assert group.exit_status("service") == -signal.SIGKILL


def _pid_of(group: ProcessGroup, name: str = "service") -> int:
    return int(json.loads((group.root / warden.PIDS).read_text())[name])


def test_two_groups_do_not_disturb_each_other(group: ProcessGroup, tmp_path: Path) -> None:
    other = ProcessGroup(tmp_path / "other", grace_s=3.0)
    _start(other)
    pid = _start(group)
    other.stop()
    assert group.exit_status("service") is None
    assert psutil.pid_exists(pid)


def test_killed_warden_takes_its_services_along(group: ProcessGroup) -> None:
    pid = _start(group)
    os.kill(group.warden_pid, signal.SIGKILL)
    wait_for(lambda: not psutil.pid_exists(pid) or _is_zombie(pid), "the service is gone")
    with pytest.raises(ServiceError, match="warden has ended"):
        group.exit_status("service")
    group.stop()
    assert warden.carriers(group.environment_id) == []


def test_detached_group_lives_until_its_warden_is_told(group: ProcessGroup) -> None:
    pid = _start(group)
    group.detach()
    os.kill(group.warden_pid, 0)
    assert psutil.pid_exists(pid)
    os.kill(group.warden_pid, signal.SIGTERM)
    wait_for(lambda: warden.carriers(group.environment_id) == [], "the group is gone")


def test_a_program_that_does_not_exist_is_named(group: ProcessGroup) -> None:
    with pytest.raises(ServiceError, match=r"nobody cannot be started: .*No such file.*no-such-program"):
        group.start("nobody", ["no-such-program"], child_environment(group.root))


def test_early_end_quotes_the_log(group: ProcessGroup) -> None:
    group.start("service", ["sh", "-c", "echo the disk is full; exit 7"], child_environment(group.root))
    with pytest.raises(ServiceError) as caught:
        group.wait_until("service", lambda: "nothing yet", deadline_s=limit_s(20))
    log = group.log("service")
    assert str(caught.value) == (
        f"service ended with status 7 before it was ready. The last lines of {log}:\n  the disk is full"
    )


def test_missed_deadline_says_what_is_missing(group: ProcessGroup) -> None:
    _start(group)
    with pytest.raises(
        ServiceError, match=r"not ready in .* s, and makes no progress: no answer\. The last .*\n  started"
    ):
        group.wait_until("service", lambda: "no answer", deadline_s=0.2)


OWNER = """
    import signal, sys
    from pathlib import Path
    from streamjobs.local.processes import ProcessGroup, child_environment
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever started the tests may ignore it (nohup)
    group = ProcessGroup(Path(sys.argv[1]), grace_s=3.0)
    group.start("service", ["sh", "-c", "setsid sleep 600 & wait"], child_environment(group.root))
    print(group.environment_id, group.warden_pid, flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_dead_owner_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    argv = [sys.executable, "-c", textwrap.dedent(OWNER), str(tmp_path)]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as owner:
        assert owner.stdout is not None
        environment_id, warden_pid = owner.stdout.readline().split()
        wait_for(lambda: len(warden.carriers(environment_id)) == 2, "service and child run")
        os.killpg(owner.pid, number)
        owner.wait(limit_s(20))
    wait_for(lambda: warden.carriers(environment_id) == [], "no process of the group is left")
    wait_for(
        lambda: not psutil.pid_exists(int(warden_pid)) or _is_zombie(int(warden_pid)), "no warden is left"
    )


def _is_zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
