"""What a connection to Kafka takes, and what each of Kafka's errors means to a job."""

from __future__ import annotations

import gc
import socket
from typing import Any

import kafka.errors
import pytest

from connectors.kafka import KafkaConnection
from connectors.kafka.connection import client_options, error_of
from connectors.kafka.sockets import DIRECT, ClosingSocket
from streamjobs.errors import ConfigError, RetriableError, SystemicError
from tests.patience import limit_s

RETRIABLE_THOUGH_KAFKA_SAYS_FINAL = {
    "UnknownError",
    "OutOfOrderSequenceNumberError",
    "BrokerNotAvailableError",
}
FINAL_THOUGH_KAFKA_WOULD_RETRY = {"UnknownTopicOrPartitionError", "UnknownTopicIdError"}
STOPS_THE_JOB = {
    "AuthorizationError", "ClusterAuthorizationFailedError", "GroupAuthorizationFailedError",
    "TopicAuthorizationFailedError", "TransactionalIdAuthorizationFailedError",
    "SaslAuthenticationFailedError",
    "MessageSizeTooLargeError", "RecordListTooLargeError", "InvalidTimestampError", "OffsetOutOfRangeError",
    "PolicyViolationError", "ProducerFencedError", "UnsupportedVersionError", "InvalidTopicError",
    "LogTruncationError", "UnsupportedCodecError", "KafkaConfigurationError", "IllegalStateError",
}  # fmt: skip


def test_map_of_errors_is_total_over_kafka_errors() -> None:
    classes: dict[str, Any] = {
        name: kind
        for name, kind in vars(kafka.errors).items()
        if isinstance(kind, type) and issubclass(kind, kafka.errors.KafkaError)
    }
    mapped = {name: type(error_of(kind.__new__(kind), "x")) for name, kind in classes.items()}
    assert set(mapped.values()) == {RetriableError, SystemicError}
    assert {mapped[name] for name in STOPS_THE_JOB | FINAL_THOUGH_KAFKA_WOULD_RETRY} == {SystemicError}
    assert {mapped[name] for name in RETRIABLE_THOUGH_KAFKA_SAYS_FINAL} == {RetriableError}
    for name, kind in classes.items():
        if kind.retriable and name not in FINAL_THOUGH_KAFKA_WOULD_RETRY:
            assert mapped[name] is RetriableError


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"bootstrap": " "}, "needs bootstrap servers"),
        ({"protocol": "TLS"}, "one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ({"protocol": "SASL_SSL"}, "mechanism None is unknown; one of PLAIN"),
        ({"protocol": "SASL_SSL", "mechanism": "PLAIN", "username": "u"}, "needs a username and a password"),
    ],
)
def test_wrong_connection_is_refused_with_what_is_legal(options: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        KafkaConnection(**{"bootstrap": "x:1", **options})


def test_password_is_in_no_repr() -> None:
    connection = KafkaConnection("x:1", "SASL_SSL", "PLAIN", username="u", password="hunter2")  # noqa: S106
    assert "hunter2" not in repr(connection)
    assert client_options(connection, "c")["sasl_plain_password"] == "hunter2"  # noqa: S105


def test_a_socket_that_kafka_python_forgets_is_closed_without_a_warning() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        forgotten = [ClosingSocket(DIRECT).socket(socket.AF_INET, socket.SOCK_STREAM)]
        forgotten[0].connect(server.getsockname())
        peer, _ = server.accept()
        with peer:
            peer.settimeout(limit_s(10))
            forgotten.append(forgotten)  # type: ignore[arg-type]  # as theirs, it lies in a cycle
            del forgotten
            gc.collect()
            assert peer.recv(1) == b""
