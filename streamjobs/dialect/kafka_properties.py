"""The Kafka client properties that a job may set. Others could load classes, read files or call hosts."""

from __future__ import annotations

import difflib
import re

SECRET_PROPERTIES = (
    "sasl.jaas.config",
    "ssl.key.password",
    "ssl.keystore.password",
    "ssl.keystore.key",
    "ssl.truststore.password",
)
_ALLOWED = (
    *SECRET_PROPERTIES,
    # producer
    "acks",
    "batch.size",
    "buffer.memory",
    "compression.type",
    "delivery.timeout.ms",
    "enable.idempotence",
    "linger.ms",
    "max.block.ms",
    "max.in.flight.requests.per.connection",
    "max.request.size",
    "retries",
    "transaction.timeout.ms",
    # consumer
    "auto.offset.reset",
    "fetch.max.bytes",
    "fetch.max.wait.ms",
    "fetch.min.bytes",
    "group.id",
    "isolation.level",
    "max.partition.fetch.bytes",
    "max.poll.records",
    # both
    "client.dns.lookup",
    "client.id",
    "client.rack",
    "connections.max.idle.ms",
    "metadata.max.age.ms",
    "partition.discovery.interval.ms",
    "receive.buffer.bytes",
    "reconnect.backoff.max.ms",
    "reconnect.backoff.ms",
    "request.timeout.ms",
    "retry.backoff.max.ms",
    "retry.backoff.ms",
    "sasl.mechanism",
    "security.protocol",
    "send.buffer.bytes",
    "socket.connection.setup.timeout.max.ms",
    "socket.connection.setup.timeout.ms",
    "ssl.certificate.chain",
    "ssl.cipher.suites",
    "ssl.enabled.protocols",
    "ssl.endpoint.identification.algorithm",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.location",
    "ssl.keystore.type",
    "ssl.protocol",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.type",
)
_LOGIN_MODULES = (
    "org.apache.kafka.common.security.plain.PlainLoginModule",
    "org.apache.kafka.common.security.scram.ScramLoginModule",
)
_JAAS = re.compile(
    r"""\s*(?P<module>[\w.$]+)\s+(?:required|requisite|sufficient|optional)
        (?:\s+[\w.]+\s*=\s*(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s;"'\\]+))*\s*;\s*""",
    re.VERBOSE,
)
# Why a list: CVE-2023-25194 (a JNDI login module runs code), CVE-2025-27817 (an endpoint URL reads files).


def refusal(name: str, value: str, *, own_broker: bool = False) -> str | None:
    """Return why the property must not be set, or None if it may be set.

    `own_broker` is true for a table that names its servers itself, as one of Flink's own connector does. The
    text never shows the value.
    """
    if name == "bootstrap.servers":
        return None if own_broker else "the servers come from the broker's profile: use the option 'broker'"
    if name.endswith(".endpoint.url"):
        return f"{name} is refused: with an endpoint URL a job's file could read files and call other hosts"
    if name not in _ALLOWED:
        near = difflib.get_close_matches(name, _ALLOWED, n=1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        return f"the Kafka property {name!r} is not on the list{hint}; allowed are {', '.join(_ALLOWED)}"
    if name == "sasl.jaas.config":
        match = _JAAS.fullmatch(value)
        if match is None or match["module"] not in _LOGIN_MODULES:
            legal = ", ".join(_LOGIN_MODULES)
            return f"sasl.jaas.config must be one entry with one of the login modules {legal}"
    return None
