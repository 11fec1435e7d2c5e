"""Kafka and Flink for a command: those of `streamjobs dev up` if they run, otherwise temporary ones."""

from __future__ import annotations

import fcntl
import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from streamjobs.errors import ConfigError, ServiceError
from streamjobs.job.cluster.limits import Limits
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.planner.lease import default_planner_dir
from streamjobs.local import places, revival, state
from streamjobs.local.environment import Environment
from streamjobs.local.flink_config import SHORT_LIVED, TaskManagerSize
from streamjobs.local.ports import LOOPBACK, PortLease


@dataclass(frozen=True)
class Services:
    """The addresses of broker and cluster; `stay`: they outlive the command."""

    bootstrap: str
    rest_url: str
    stay: bool


@contextmanager
def services(
    name: str,
    slots: int,
    *,
    keep: bool = False,
    short_lived: bool = False,
    on_addresses: Callable[[Services], None] = lambda _: None,
) -> Iterator[Services]:
    """Yield the running development environment, or start one that ends with the block.

    `name` is the directory of its data and logs under the state directory. With `keep` it becomes the
    development environment and keeps running; `short_lived` is for jobs of a minute. `on_addresses` is called
    when the addresses are known and nothing is started yet; what it raises is raised here.
    Raises ServiceError, ConfigError.
    """
    known = state.running(places.dev_root())
    if known is not None:
        if known.bootstrap is None or known.rest_url is None:
            message = f"the environment in {known.root} has no Kafka or no Flink: `streamjobs dev down` first"
            raise ConfigError(message)
        dead = [each.name for each in revival.gone(known) if not each.name.startswith("taskmanager-")]
        if dead:  # a TaskManager is restarted automatically
            message = (
                f"of the services in {known.root}, {', '.join(dead)} has ended: start it again with "
                "`streamjobs dev up`"
            )
            raise ServiceError(message)
        found = Services(known.bootstrap, known.rest_url, stay=True)
        on_addresses(found)
        yield found
        return
    with closing(PortLease()) as lease:
        kafka_port, rest_port = lease.take(), lease.take()
        found = Services(f"{LOOPBACK}:{kafka_port}", f"http://{LOOPBACK}:{rest_port}", stay=keep)
        on_addresses(found)
        with _root(name, keep=keep) as root:
            environment = Environment(
                root,
                slots=max(2, slots),
                lease=lease,
                kafka_port=kafka_port,
                rest_port=rest_port,
                taskmanager_size=TaskManagerSize(java_options=SHORT_LIVED) if short_lived else None,
            )
            environment.start()
            try:
                yield found
            except BaseException:
                environment.stop()
                raise
            if keep:
                environment.detach()
            else:
                environment.stop()


@contextmanager
def _root(name: str, *, keep: bool) -> Iterator[Path]:
    """Yield an empty directory that no other command uses meanwhile; with `keep`, that of `dev up`."""
    if keep:
        yield places.dev_root()
        return
    for number in itertools.count(1):
        root = places.state_dir() / (name if number == 1 else f"{name}-{number}")
        root.parent.mkdir(parents=True, exist_ok=True)
        with root.with_name(f"{root.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # another command of this checkout runs there
            shutil.rmtree(root, ignore_errors=True)
            yield root
            return


def flink_session(rest_url: str, limits: Limits | None = None) -> FlinkSession:
    """Return a session on a cluster, with this project's connectors and planner process."""
    home = places.state_dir()
    return FlinkSession(
        rest_url,
        client_jars=sorted(places.jar_dir("flink").glob("*.jar")),
        work_dir=home / "workers",
        planner_dir=default_planner_dir(home),
        planner_files=places.planner_files(),
        limits=limits,
    )
