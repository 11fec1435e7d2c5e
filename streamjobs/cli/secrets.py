"""Secrets from the environment, for commands that do not need them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


class MissingSecrets(Mapping[str, str]):
    """An environment in which each variable has a value; `missing` lists those it made up, in order.

    Only for explaining and checking: a plan made with it must never run.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.missing: list[str] = []

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)

    def __getitem__(self, name: str) -> str:
        found = self._environment.get(name)
        if found:
            return found
        if name not in self.missing:
            self.missing.append(name)
        return "not-set"

    def __iter__(self) -> Iterator[str]:
        return iter(self._environment)

    def __len__(self) -> int:
        return len(self._environment)
