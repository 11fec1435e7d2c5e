"""What a connection to Kafka takes, and what each of Kafka's errors means to a job."""

from __future__ import annotations

import gc
import socket
from typing import Any

import kafka.errors
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connectors.kafka import KafkaConnection
from connectors.kafka.connection import client_options, error_of
from connectors.kafka.sockets import DIRECT, ClosingSocket
from streamjobs.brokers.kafka import connection_of_properties
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


@given(
    st.sampled_from(["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]),
    st.sampled_from(["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]),
    st.text(min_size=1),
    st.text(min_size=1),
    st.none() | st.just("-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n"),
)
@example("SASL_SSL", "PLAIN", "a b", "\"'\\;= password=x", None)
def test_properties_of_javas_client_are_read_back(
    protocol: str, mechanism: str, username: str, password: str, ca_pem: str | None
) -> None:
    pem = ca_pem if protocol.endswith("SSL") else None
    connection = (
        KafkaConnection("h:1,i:2", protocol, ca_pem=pem)
        if not protocol.startswith("SASL")
        else (KafkaConnection("h:1,i:2", protocol, mechanism, username, password, ca_pem=pem))
    )
    assert connection_of_properties(connection.java_properties()) == connection


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"security.protocol": "SSL", "ssl.truststore.location": "/t.jks"},
        {"security.protocol": "SSL", "ssl.keystore.key": "-----BEGIN"},
        {"security.protocol": "SSL", "ssl.endpoint.identification.algorithm": ""},
        {"security.protocol": "SASL_PLAINTEXT"},
        {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "GSSAPI"},
        {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"},
        {
            "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN",
            "sasl.jaas.config": 'x.PlainLoginModule required username="a" password="\\u0041";',
        },
        {"security.protocol": "QUIC"},
    ],
)  # fmt: skip
def test_what_only_javas_client_can_do_is_no_connection(properties: dict[str, str]) -> None:
    servers = {"bootstrap.servers": "h:1"} if properties else {}
    assert connection_of_properties(servers | properties) is None
