"""How to reach a Kafka cluster, and the one seam where kafka-python's errors become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from kafka.errors import KafkaError

from connectors.kafka.sockets import DIRECT
from streamjobs.errors import ConfigError, RetriableError, StreamjobsError, SystemicError

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")

_TRANSIENT = frozenset(
    {
        "BrokerIdNotRegisteredError",
        "BrokerNotAvailableError",
        "BrokerResponseError",
        "CommitFailedError",
        "CorruptRecordError",
        "CorruptRecordException",
        "DuplicateSequenceNumberError",
        "FencedMemberEpochError",
        "IllegalGenerationError",
        "InvalidProducerEpochError",
        "InvalidProducerIdMappingError",
        "InvalidReceiveError",
        "KafkaError",
        "KafkaProtocolError",
        "NewLeaderElectedError",
        "OutOfOrderSequenceNumberError",
        "ReassignmentInProgressError",
        "RebalanceInProgressError",
        "StaleBrokerEpochError",
        "StaleControllerEpochError",
        "StaleMemberEpochError",
        "TransactionAbortableError",
        "TransactionAbortedError",
        "TransactionCoordinatorFencedError",
        "UnknownError",
        "UnknownMemberIdError",
        "UnknownProducerIdError",
    }
)
"""Errors that kafka-python calls final and a new connection or a new producer may yet cure."""

_FINAL = frozenset({"UnknownTopicOrPartitionError", "UnknownTopicIdError"})
"""Errors that kafka-python would retry for ever; we look the topic up first, so it is really missing."""


@dataclass(frozen=True)
class KafkaConnection:
    """Where a cluster is and how to log in.

    Shape: `KafkaConnection("127.0.0.1:9092")`, or with TLS and SASL
    `KafkaConnection("b1:9093,b2:9093", protocol="SASL_SSL", mechanism="SCRAM-SHA-512", username="etl",
    password=…, ca_file="/etc/ca.pem")`. TLS always checks certificate and host name. The password is never
    in the repr.
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

    def __post_init__(self) -> None:
        if not self.bootstrap.strip():
            message = "a Kafka connection needs bootstrap servers, for example 127.0.0.1:9092"
            raise ConfigError(message)
        if self.protocol not in PROTOCOLS:
            message = f"Kafka protocol {self.protocol!r} is unknown; one of {', '.join(PROTOCOLS)}"
            raise ConfigError(message)
        if not self.protocol.startswith("SASL"):
            return
        if self.mechanism not in MECHANISMS:
            message = f"Kafka SASL mechanism {self.mechanism!r} is unknown; one of {', '.join(MECHANISMS)}"
            raise ConfigError(message)
        if not self.username or not self.password:
            message = f"Kafka SASL {self.mechanism} needs a username and a password"
            raise ConfigError(message)

    def client_options(self, client_id: str) -> dict[str, Any]:
        """Give the options that producer, consumer and admin clients of kafka-python share."""
        options: dict[str, Any] = {
            "bootstrap_servers": [server.strip() for server in self.bootstrap.split(",")],
            "client_id": client_id,
            "reconnect_backoff_max_ms": 1000,
            "security_protocol": self.protocol,
            "proxy_url": DIRECT,
        }
        if self.protocol.startswith("SASL"):
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        if self.protocol.endswith("SSL"):
            options |= {
                "ssl_cafile": self.ca_file,
                "ssl_certfile": self.certificate_file,
                "ssl_keyfile": self.key_file,
            }
        return options


def connection_of(bootstrap: str | KafkaConnection) -> KafkaConnection:
    """Give the connection itself, or a plain one to these bootstrap servers."""
    return bootstrap if isinstance(bootstrap, KafkaConnection) else KafkaConnection(bootstrap)


def error_of(exc: BaseException, what: str) -> StreamjobsError:
    """Give our error for one of kafka-python's; `what` says what failed and where.

    Promise: total over `kafka.errors`. Retriable means: with a new client the same call may work.
    """
    name = type(exc).__name__
    text = f"{what}: {exc}"
    retriable = name in _TRANSIENT or (getattr(exc, "retriable", False) and name not in _FINAL)
    return RetriableError(text) if retriable else SystemicError(text)


@contextmanager
def kafka_errors(what: str) -> Iterator[None]:
    """Turn what kafka-python raises inside into ours; its ValueError means an illegal name or option."""
    try:
        yield
    except KafkaError as exc:
        raise error_of(exc, what) from exc
    except ValueError as exc:
        message = f"{what}: {exc}"
        raise ConfigError(message) from exc
    except OSError as exc:
        message = f"{what}: {exc}"
        raise RetriableError(message) from exc
