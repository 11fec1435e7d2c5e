"""Kafka and Flink for a command: those of `streamjobs dev up` when they run, otherwise its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from streamjobs.errors import ConfigError
from streamjobs.local import places, state
from streamjobs.local.environment import Environment


@dataclass(frozen=True)
class Services:
    """Where broker and cluster are; `stay` says whether they outlive the command."""

    bootstrap: str
    rest_url: str
    stay: bool


@contextmanager
def services(
    name: str, slots: int, *, keep: bool = False, on_launched: Callable[[Services], None] = lambda _: None
) -> Iterator[Services]:
    """Give the running development environment, or start one that ends with the block.

    `name` is the directory of its data and logs under the state directory. With `keep` it becomes the
    development environment and stays. `on_launched` is called as soon as the addresses are known.
    Raises ServiceError, ConfigError.
    """
    known = state.running(places.dev_root())
    if known is not None:
        if known.bootstrap is None or known.rest_url is None:
            message = f"the environment in {known.root} has no Kafka or no Flink: `streamjobs dev down` first"
            raise ConfigError(message)
        found = Services(known.bootstrap, known.rest_url, stay=True)
        on_launched(found)
        yield found
        return
    root = places.dev_root() if keep else places.state_dir() / name
    if not keep:
        shutil.rmtree(root, ignore_errors=True)
    environment = Environment(root, slots=max(2, slots))
    environment.start(lambda launched: on_launched(_of(launched, keep)))
    try:
        yield _of(environment, keep)
    except BaseException:
        environment.stop()
        raise
    if keep:
        environment.detach()
    else:
        environment.stop()


def _of(environment: Environment, stay: bool) -> Services:
    return Services(environment.kafka.bootstrap, environment.flink.rest_url, stay)
