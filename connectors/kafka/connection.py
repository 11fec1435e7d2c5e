"""Client options for a Kafka cluster, and the only mapping of kafka-python's errors to ours."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka.errors import KafkaError

from connectors.kafka.logins import telling_client
from connectors.kafka.sockets import DIRECT
from streamjobs.brokers.kafka import KafkaConnection
from streamjobs.errors import ConfigError, RetriableError, StreamjobsError, SystemicError

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
"""Errors that kafka-python calls final, but that a new connection or a new producer may cure."""

_FINAL = frozenset({"UnknownTopicOrPartitionError", "UnknownTopicIdError"})
"""Errors that kafka-python would retry for ever; we look up the topic first, so it is really missing."""


def client_options(connection: KafkaConnection, client_id: str) -> dict[str, Any]:
    """Return the options that producer, consumer and admin clients of kafka-python share.

    Raises ConfigError for certificates that cannot be read.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in connection.bootstrap.split(",")],
        "client_id": client_id,
        "reconnect_backoff_max_ms": 1000,
        "security_protocol": connection.protocol,
        "proxy_url": DIRECT,
        "kafka_client": telling_client,
    }
    if connection.protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": connection.mechanism,
            "sasl_plain_username": connection.username,
            "sasl_plain_password": connection.password,
        }
    if connection.has_tls:
        options["ssl_context"] = _ssl_context(connection)
    return options


def _ssl_context(connection: KafkaConnection) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=connection.ca_file, cadata=connection.ca_pem)
        if connection.certificate_file is not None:
            context.load_cert_chain(connection.certificate_file, connection.key_file)
    except (OSError, ValueError) as exc:  # ssl.SSLError is an OSError
        files = (connection.ca_file, connection.certificate_file, connection.key_file)
        message = f"cannot read the certificates {', '.join(filter(None, files)) or 'of ca_pem'}: {exc}"
        raise ConfigError(message) from exc
    return context


def error_of(exc: BaseException, what: str) -> StreamjobsError:
    """Return our error for one of kafka-python's; `what` says what failed and where.

    Promise: total over `kafka.errors`. Retriable means: with a new client the same call may work.
    """
    name = type(exc).__name__
    text = f"{what}: {exc}"
    retriable = name in _TRANSIENT or (getattr(exc, "retriable", False) and name not in _FINAL)
    return RetriableError(text) if retriable else SystemicError(text)


@contextmanager
def kafka_errors(what: str) -> Iterator[None]:
    """Turn kafka-python's errors inside into ours; its ValueError means an illegal name or option."""
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
