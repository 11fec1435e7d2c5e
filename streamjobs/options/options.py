"""Tables of legal options, their kinds, and all problems of a configuration."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal, TypeVar

from streamjobs.errors import ConfigError
from streamjobs.options.units import duration_ms, size_bytes


class Secret:
    """A text that is never shown: `str()` and `repr()` return `****`, `reveal()` returns the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself: pass it to a client, never to a log or a message."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "****"


class OptionKind(Enum):
    """How the text of an option is read. Durations become whole milliseconds, sizes whole bytes."""

    TEXT = "text"
    INTEGER = "whole number"
    FLAG = "true or false"
    DURATION_MS = "duration such as '30 s', '5 min' or 'PT1M'"
    SIZE_BYTES = "size such as '64 kb' or '2 gb'"


OptionValue = str | int | Secret | None
"""The parsed value of an option; None: not given, and there is no default."""


@dataclass(frozen=True)
class Option:
    """One legal option.

    `default` is written as a job would write it, None when there is none. A name that ends with `.*` means
    all names with that prefix. `choices` lists the legal texts (compared ignoring case, kept as listed).
    `minimum` bounds numbers, durations (ms) and sizes (bytes). A `secret` is read as `Secret`, and its text
    may come from the environment: `${NAME}`.
    """

    name: str
    doc: str
    kind: OptionKind = OptionKind.TEXT
    default: str | None = None
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    secret: bool = False
    required: bool = False

    def read(self, text: str | Secret, env: Mapping[str, str]) -> OptionValue:
        """Return the value that the text means. Raises ValueError, with a text for people."""
        if isinstance(text, Secret):
            if not self.secret:
                message = "is not a secret option"
                raise ValueError(message)
            return text
        if self.secret:
            return Secret(_from_environment(text, env))
        if "${" in text:
            message = "only secrets (passwords, keys) are taken from the environment"
            raise ValueError(message)
        if self.choices:
            return self._choice(text)
        value = _READERS[self.kind](text.strip() if self.kind is not OptionKind.TEXT else text)
        if self.kind is OptionKind.TEXT and not text:
            message = "must not be empty"
            raise ValueError(message)
        if self.minimum is not None and isinstance(value, int) and value < self.minimum:
            message = f"must be at least {self.minimum}, not {text!r}"
            raise ValueError(message)
        return value

    def _choice(self, text: str) -> str:
        for choice in self.choices:
            if choice.lower() == text.strip().lower():
                return choice
        message = f"must be one of {', '.join(self.choices)}, not {text!r}{_nearest(text, self.choices)}"
        raise ValueError(message)


@dataclass(frozen=True)
class OptionProblem:
    """One problem: with the `key` as written, with its value, or because the key is missing."""

    key: str
    about: Literal["key", "value", "missing"]
    message: str


_T = TypeVar("_T")


@dataclass(frozen=True)
class Options(Mapping[str, OptionValue]):
    """The options as read, by their declared names, defaults filled in.

    `given` holds the names that were written. Names of a prefix option (`cast.*`) exist only when given; the
    part after the prefix keeps the case in which it was written. The accessors raise AssertionError for an
    option of another kind, or without a value: that is a bug in the table, not in the job.
    """

    values_by_name: Mapping[str, OptionValue]
    given: frozenset[str] = field(default_factory=frozenset)

    def __getitem__(self, name: str) -> OptionValue:
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)

    def _of(self, name: str, type_: type[_T]) -> _T:
        value = self.values_by_name[name]
        if not isinstance(value, type_):
            message = f"option {name} is no {type_.__name__}"
            raise AssertionError(message)
        return value

    def text(self, name: str) -> str:
        """Return a text or choice that has a value."""
        return self._of(name, str)

    def text_or_none(self, name: str) -> str | None:
        """Return a text or choice, None when it is not given."""
        return None if self.values_by_name[name] is None else self.text(name)

    def number(self, name: str) -> int:
        """Return a whole number, a duration in ms or a size in bytes that has a value."""
        return self._of(name, int)

    def number_or_none(self, name: str) -> int | None:
        """Return a whole number, a duration in ms or a size in bytes, None when it is not given."""
        return None if self.values_by_name[name] is None else self.number(name)

    def flag(self, name: str) -> bool:
        """Return True or False."""
        return self._of(name, bool)

    def secret(self, name: str) -> Secret | None:
        """Return a secret, None when it is not given."""
        return None if self.values_by_name[name] is None else self._of(name, Secret)

    def prefixed(self, prefix: str) -> dict[str, OptionValue]:
        """Return the given options of a prefix such as `cast.`, by the rest of their names."""
        return {name[len(prefix) :]: value for name, value in self.items() if name.startswith(prefix)}


class OptionSet:
    """All legal options of one thing."""

    def __init__(self, options: Iterable[Option]) -> None:
        self.options = tuple(options)
        self._exact = {
            spelling.lower(): option
            for option in self.options
            if not option.name.endswith(".*")
            for spelling in (option.name, *option.aliases)
        }
        self._prefixes = {option.name[:-1]: option for option in self.options if option.name.endswith(".*")}

    def parse(
        self, mapping: Mapping[str, str | Secret], where: str, env: Mapping[str, str] | None = None
    ) -> Options:
        """Read the options.

        `where` names what is configured, for messages: `table item`. `${NAME}` is looked up in `env`, by
        default the environment. Raises ConfigError with every problem, one per line.
        """
        options, problems = self.read(mapping, env)
        if problems:
            raise ConfigError("\n".join(f"{where}: {problem.message}" for problem in problems))
        return options

    def read(
        self, mapping: Mapping[str, str | Secret], env: Mapping[str, str] | None = None
    ) -> tuple[Options, list[OptionProblem]]:
        """Read what can be read, and list the problems; the options are complete only if there are none.

        A value that is already a Secret is kept as it is.
        """
        env = os.environ if env is None else env
        values: dict[str, OptionValue] = {}
        problems: list[OptionProblem] = []
        written: dict[str, str] = {}
        for key, text in mapping.items():
            name, option = self._option(key)
            if option is None:
                problems.append(OptionProblem(key, "key", self._unknown(key)))
                continue
            if name in written:
                message = f"{key!r} and {written[name]!r} are the same option"
                problems.append(OptionProblem(key, "key", message))
                continue
            written[name] = key
            try:
                values[name] = option.read(text, env)
            except ValueError as exc:
                problems.append(OptionProblem(key, "value", f"option {key!r}: {exc}"))
        for option in self._exact.values():
            if option.required and option.name not in written:
                message = f"option {option.name!r} is missing: {option.doc}"
                problem = OptionProblem(option.name, "missing", message)
                problems += [problem] if problem not in problems else []
            elif option.name not in values:
                values[option.name] = None if option.default is None else option.read(option.default, env)
        return Options(values, frozenset(written)), problems

    def as_given(self, mapping: Mapping[str, str], options: Options) -> dict[str, str | Secret]:
        """Return the written texts by declared names, secrets as read: another process reads them again."""
        given: dict[str, str | Secret] = {}
        for key, text in mapping.items():
            name, _ = self._option(key)
            value = options.get(name)
            given[name] = value if isinstance(value, Secret) else text
        return given

    def _option(self, key: str) -> tuple[str, Option | None]:
        option = self._exact.get(key.lower())
        if option is not None:
            return option.name, option
        for prefix, prefixed in self._prefixes.items():
            if key.lower().startswith(prefix.lower()) and len(key) > len(prefix):
                return prefix + key[len(prefix) :], prefixed
        return key, None

    def _unknown(self, key: str) -> str:
        names = [option.name for option in self.options]
        hint = _nearest(key, [*names, *(alias for option in self.options for alias in option.aliases)])
        return f"unknown option {key!r}{hint}; the options are {', '.join(names)}"


def _nearest(text: str, known: Iterable[str]) -> str:
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(text.lower(), by_lower, n=1)
    return f", did you mean {by_lower[near[0]]!r}?" if near else ""


_VARIABLE = re.compile(r"\$\{([^}]*)\}")


def _from_environment(text: str, env: Mapping[str, str]) -> str:
    missing = [name for name in _VARIABLE.findall(text) if name not in env]
    if missing:
        message = f"the environment variable {missing[0]} is not set"
        raise ValueError(message)
    return _VARIABLE.sub(lambda match: env[match.group(1)], text)


def _integer(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        message = f"must be a whole number, not {text!r}"
        raise ValueError(message)
    return int(text)


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        message = f"must be true or false, not {text!r}"
        raise ValueError(message)
    return text.lower() == "true"


_READERS: Mapping[OptionKind, Callable[[str], str | int]] = {
    OptionKind.TEXT: str,
    OptionKind.INTEGER: _integer,
    OptionKind.FLAG: _flag,
    OptionKind.DURATION_MS: duration_ms,
    OptionKind.SIZE_BYTES: size_bytes,
}
