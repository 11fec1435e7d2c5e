"""The profile file: what it gives, and each mistake told with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamjobs.brokers.kafka import KafkaConnection
from streamjobs.cli.profile import Profile, read_profile
from streamjobs.errors import ConfigError


def written(path: Path, text: str) -> Path:
    file = path / "streamjobs.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_profile_names_brokers_flink_and_store(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        '[brokers.default]\nkind = "kafka"\nbootstrap = "k:9092"\n[brokers.audit]\nbootstrap = "a:1,b:2"\n'
        '[flink]\nrest_url = "http://f:8081"\n[store]\npath = "/data/rocksdb"\n',
    )
    assert read_profile(file) == Profile(
        {"default": KafkaConnection("k:9092"), "audit": KafkaConnection("a:1,b:2")},
        "http://f:8081",
        "/data/rocksdb",
    )


LOGIN = """\
bootstrap = "k:9093"
protocol = "SASL_SSL"
mechanism = "PLAIN"
username = "etl"
ca_file = "/ca.pem"
"""


def test_a_broker_is_logged_in_with_a_secret_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", "hunter2")
    file = written(tmp_path, "[brokers.default]\n" + LOGIN + 'password = "${KAFKA_PASSWORD}"\n')
    profile = read_profile(file)
    assert profile.brokers["default"] == KafkaConnection(
        "k:9093",
        "SASL_SSL",
        "PLAIN",
        username="etl",
        password="hunter2",  # noqa: S106
        ca_file="/ca.pem",
    )
    assert "hunter2" not in repr(profile)


def test_no_profile_is_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_profile(None) == Profile({})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[broker.default]\n",
            "unknown key 'broker'; legal are brokers, flink, store; did you mean brokers?",
        ),
        (
            '[brokers.b]\nkind = "rocketmq"\n',
            "[brokers.b]: kind = 'rocketmq' is not supported yet; use 'kafka'",
        ),
        ("[brokers.b]\n", '[brokers.b]: bootstrap is missing, such as bootstrap = "10.0.0.1:9092"'),
        (
            "[brokers.b]\n" + LOGIN + 'password = "hunter2"\n',
            '[brokers.b]: password must not be in the file: write "${NAME}" and set the variable NAME',
        ),
        (
            "[brokers.b]\n" + LOGIN + 'password = "${NOT_SET_ANYWHERE}"\n',
            "[brokers.b]: password: the environment variable NOT_SET_ANYWHERE is not set",
        ),
        ("[brokers.b]\n" + LOGIN, "[brokers.b]: Kafka SASL PLAIN needs a username and a password"),
        (
            '[brokers.b]\nbootstrap = "k"\nprotocol = "TLS"\n',
            "[brokers.b]: Kafka protocol 'TLS' is unknown; one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL",
        ),
        (
            '[brokers.b]\nbootstrap = "k"\ncertificate_file = "c"\n',
            "[brokers.b]: certificate_file and key_file go together",
        ),
        ("[brokers.b]\nbootstrap = 3\n", "[brokers.b]: bootstrap is a text, not 3"),
        ('[flink]\nurl = "x"\n', "[flink]: unknown key 'url'; legal are rest_url"),
        ("flink = 3\n", "[flink] is a table, not 3"),
        ("[flink\n", "cannot read the profile"),
    ],
)
def test_mistake_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_profile(written(tmp_path, text))
    assert told in str(caught.value)


def test_profile_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the profile"):
        read_profile(tmp_path / "no.toml")
