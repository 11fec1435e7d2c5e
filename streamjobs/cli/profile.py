"""The profile `streamjobs.toml`: the addresses of brokers and clusters."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamjobs.brokers.kafka import KafkaConnection
from streamjobs.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROFILE_FILE = "streamjobs.toml"
_LOGIN_KEYS = ("protocol", "mechanism", "username", "password", "ca_file", "certificate_file", "key_file")
_BROKER_KEYS = ("kind", "bootstrap", "create_topics", *_LOGIN_KEYS)
_FLINK_KEYS = ("rest_url",)
_STORE_KEYS = ("path",)


@dataclass(frozen=True)
class Profile:
    """The content of a profile; what it omits is local.

    Shape: `brokers={"default": KafkaConnection("10.0.0.1:9092")}`, `rest_url="http://10.0.0.2:8081"`,
    `store="/data/rocksdb"`. `creates_topics` are the brokers where jobs may create topics that they write.
    `rest_url` None: the local Flink. `store` None: the store in the state directory.
    """

    brokers: Mapping[str, KafkaConnection]
    rest_url: str | None = None
    store: str | None = None
    creates_topics: frozenset[str] = frozenset()


def read_profile(path: Path | None, env: Mapping[str, str] | None = None) -> Profile:
    """Read a profile; without `path` the `streamjobs.toml` of the current directory, if there is one.

    `env` has the passwords; default: the environment.

    Raises ConfigError for a file that cannot be read, for an unknown key, and for a password that is not
    written as `${NAME}`.
    """
    file = path or Path(PROFILE_FILE)
    if path is None and not file.exists():
        return Profile({})
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as exc:
        message = f"cannot read the profile {file}: {exc}"
        raise ConfigError(message) from exc
    _known(content, ("brokers", "flink", "store"), str(file))
    brokers = {
        name: _broker(
            os.environ if env is None else env,
            _table(broker, f"{file}: [brokers.{name}]"),
            f"{file}: [brokers.{name}]",
        )
        for name, broker in _table(content.get("brokers", {}), f"{file}: [brokers]").items()
    }
    flink = _table(content.get("flink", {}), f"{file}: [flink]")
    _known(flink, _FLINK_KEYS, f"{file}: [flink]")
    store = _table(content.get("store", {}), f"{file}: [store]")
    _known(store, _STORE_KEYS, f"{file}: [store]")
    return Profile(
        brokers,
        _text(flink, "rest_url", f"{file}: [flink]"),
        _text(store, "path", f"{file}: [store]"),
        frozenset(
            name
            for name, broker in content.get("brokers", {}).items()
            if _flag(broker, "create_topics", f"{file}: [brokers.{name}]")
        ),
    )


def _broker(env: Mapping[str, str], broker: Mapping[str, Any], where: str) -> KafkaConnection:
    _known(broker, _BROKER_KEYS, where)
    kind = broker.get("kind", "kafka")
    if kind != "kafka":
        message = f"{where}: kind = {kind!r} is not supported yet; use 'kafka'"
        raise ConfigError(message)
    bootstrap = _text(broker, "bootstrap", where)
    if not bootstrap:
        message = f'{where}: bootstrap is missing, such as bootstrap = "10.0.0.1:9092"'
        raise ConfigError(message)
    login = {key: _text(broker, key, where) for key in _LOGIN_KEYS if key in broker}
    if login.get("password") is not None:
        login["password"] = _secret(env, str(login["password"]), f"{where}: password")
    if (login.get("certificate_file") is None) != (login.get("key_file") is None):
        message = f"{where}: certificate_file and key_file go together"
        raise ConfigError(message)
    try:
        return KafkaConnection(bootstrap, **{key: text for key, text in login.items() if text is not None})
    except ConfigError as exc:
        message = f"{where}: {exc}"
        raise ConfigError(message) from exc


def _secret(env: Mapping[str, str], text: str, where: str) -> str:
    match = re.fullmatch(r"\$\{(\w+)\}", text)
    if match is None:
        message = f'{where} must not be in the file: write "${{NAME}}" and set the variable NAME'
        raise ConfigError(message)
    if match[1] not in env or not env[match[1]]:
        message = f"{where}: the environment variable {match[1]} is not set"
        raise ConfigError(message)
    return env[match[1]]


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        message = f"{where} is a table, not {value!r}"
        raise ConfigError(message)
    return value


def _text(table: Mapping[str, Any], key: str, where: str) -> str | None:
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        message = f"{where}: {key} is a text, not {value!r}"
        raise ConfigError(message)
    return value


def _flag(table: Mapping[str, Any], key: str, where: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        message = f"{where}: {key} is true or false, not {value!r}"
        raise ConfigError(message)
    return value


def _known(table: Mapping[str, Any], legal: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in legal:
            near = difflib.get_close_matches(key, legal, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            message = f"{where}: unknown key {key!r}; legal are {', '.join(legal)}{hint}"
            raise ConfigError(message)
