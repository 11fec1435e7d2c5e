"""Connections to a Kafka cluster: addresses, TLS and logins, for Python's client and the one in Flink."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from streamjobs.errors import ConfigError

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
LOGIN_MODULES: Mapping[str, str] = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
"""SASL mechanism -> the login class of Kafka's Java client."""

_CREDENTIAL = re.compile(
    r"""\b(username|password)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s;"'\\]+))"""
)
_ESCAPE = re.compile(r"\\(.)")
_LITERAL = "\\\"'"
"""Characters that a backslash escapes in a JAAS text."""


@dataclass(frozen=True)
class KafkaConnection:
    """The address of a cluster, and how to log in.

    Shape: `KafkaConnection("127.0.0.1:9092")`, or with TLS and SASL
    `KafkaConnection("b1:9093,b2:9093", protocol="SASL_SSL", mechanism="SCRAM-SHA-512", username="etl",
    password=…, ca_file="/etc/ca.pem")`. TLS always checks certificate and host name. `ca_pem` is the text of
    the authorities' certificates, for machines that do not have `ca_file`; without both, the authorities of
    the system are trusted. `certificate_file` and `key_file` (PEM) are for brokers that authenticate the
    client. `str` returns only the servers, and the password is never in the repr.
    Raises: ConfigError for an unknown protocol or mechanism, or one that lacks its credentials.
    """

    bootstrap: str
    protocol: str = "PLAINTEXT"
    mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    ca_pem: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.bootstrap.strip():
            message = "a Kafka connection needs bootstrap servers, for example 127.0.0.1:9092"
            raise ConfigError(message)
        if self.protocol not in PROTOCOLS:
            message = f"Kafka protocol {self.protocol!r} is unknown; one of {', '.join(PROTOCOLS)}"
            raise ConfigError(message)
        if not self.protocol.startswith("SASL"):
            return
        if self.mechanism not in LOGIN_MODULES:
            legal = ", ".join(LOGIN_MODULES)
            message = f"Kafka SASL mechanism {self.mechanism!r} is unknown; one of {legal}"
            raise ConfigError(message)
        if not self.username or not self.password:
            message = f"Kafka SASL {self.mechanism} needs a username and a password"
            raise ConfigError(message)

    def __str__(self) -> str:
        return self.bootstrap

    @property
    def has_tls(self) -> bool:
        """Return whether the connection is encrypted."""
        return self.protocol.endswith("SSL")

    def carried(self) -> KafkaConnection:
        """Return a copy with the certificates of the authorities, for other machines. Raises ConfigError."""
        if self.ca_file is None:
            return self
        return replace(self, ca_pem=_read(self.ca_file), ca_file=None)

    def java_properties(self) -> dict[str, str]:
        """Return the properties of Kafka's Java client, with secrets and certificates in clear text.

        Raises ConfigError for a certificate file that cannot be read.
        """
        properties = {"bootstrap.servers": self.bootstrap}
        if self.protocol != "PLAINTEXT":
            properties["security.protocol"] = self.protocol
        if self.mechanism is not None and self.protocol.startswith("SASL"):
            properties["sasl.mechanism"] = self.mechanism
            login = f"username={_jaas(self.username or '')} password={_jaas(self.password or '')}"
            properties["sasl.jaas.config"] = f"{LOGIN_MODULES[self.mechanism]} required {login};"
        if not self.has_tls:
            return properties
        ca_pem = self.carried().ca_pem
        if ca_pem is not None:
            properties |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": ca_pem}
        if self.certificate_file is not None and self.key_file is not None:
            properties |= {
                "ssl.keystore.type": "PEM",
                "ssl.keystore.certificate.chain": _read(self.certificate_file),
                "ssl.keystore.key": _read(self.key_file),
            }
        return properties


def connection_of(bootstrap: str | KafkaConnection) -> KafkaConnection:
    """Return the connection itself, or a plain one to these bootstrap servers."""
    return bootstrap if isinstance(bootstrap, KafkaConnection) else KafkaConnection(bootstrap)


def connection_of_properties(properties: Mapping[str, str]) -> KafkaConnection | None:
    """Return the connection that the properties of Kafka's Java client describe.

    None for what only that client can do: key stores that are not PEM texts, client certificates, Kerberos,
    tokens, a broker whose name is not checked; None also if there are no servers.
    """
    bootstrap = properties.get("bootstrap.servers", "").strip()
    protocol = properties.get("security.protocol", "PLAINTEXT").upper()
    if not bootstrap or protocol not in PROTOCOLS:
        return None
    ca_pem = None
    if protocol.endswith("SSL"):
        known = ("ssl.truststore.type", "ssl.truststore.certificates")
        if any(name.startswith("ssl.") and name not in known for name in properties):
            return None
        ca_pem = properties.get("ssl.truststore.certificates")
    if not protocol.startswith("SASL"):
        return KafkaConnection(bootstrap, protocol, ca_pem=ca_pem)
    mechanism = properties.get("sasl.mechanism", "")
    login = _login(properties.get("sasl.jaas.config", ""))
    if mechanism not in LOGIN_MODULES or login is None:
        return None
    return KafkaConnection(bootstrap, protocol, mechanism, login[0], login[1], ca_pem=ca_pem)


def _login(jaas: str) -> tuple[str, str] | None:
    """Return user and password of a JAAS text; None if one is missing or has an unknown syntax."""
    found: dict[str, str] = {}
    for name, *spelled in _CREDENTIAL.findall(jaas):
        text = "".join(spelled)
        if name in found or any(escaped not in _LITERAL for escaped in _ESCAPE.findall(text)):
            return None
        found[name] = _ESCAPE.sub(r"\1", text)
    if not found.get("username") or not found.get("password"):
        return None
    return found["username"], found["password"]


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as exc:
        message = f"cannot read the certificate file {path}: {exc}"
        raise ConfigError(message) from exc


def _jaas(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
