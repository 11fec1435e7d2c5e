"""TLS and logins against a broker that asks for both: our clients, Flink's, and what each refusal says."""

from __future__ import annotations

import gc
import itertools
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient, ScramMechanism, UserScramCredentialUpsertion

from connectors.kafka import (
    KafkaConnection,
    KafkaConsumer,
    KafkaProducer,
    committed_offsets,
    create_topic,
    describe_topic,
    list_topics,
    read_topic,
)
from streamjobs.brokers.contract import Envelope
from streamjobs.cli.profile import read_profile
from streamjobs.errors import ConfigError, RetriableError, StreamjobsError, SystemicError
from streamjobs.job.cluster.preflight import preflight
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.flink_ddl import literal
from streamjobs.job.plan.job_plan import DEAD_LETTER_TOPIC
from streamjobs.job.plan.planning import plan_file
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.local.environment import Environment
from streamjobs.local.kafka import KafkaServer
from streamjobs.local.ports import LOOPBACK, PortLease
from tests.integration.secured_kafka import PASSWORD, USER, Certificates, Ports, certificates, settings
from tests.integration.waiting import wait_for
from tests.patience import limit_s
from tests.services.kinds import DEADLINE_S, FlinkAddress

pytestmark = pytest.mark.services

SCRAM_USER = "scram"
_numbers = itertools.count()


@dataclass(frozen=True)
class Secured:
    """The running broker, and the login that is right."""

    kafka: KafkaServer
    login: KafkaConnection
    certificates: Certificates


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    directory = tmp_path_factory.mktemp("secured")
    made = certificates(directory)
    with closing(PortLease()) as lease:
        with closing(PortLease()) as probe:
            plain = probe.take()
        ports = Ports(plain, lease.take(), lease.take())
        with Environment(
            directory / "environment",
            flink=False,
            kafka_port=plain,
            kafka_settings=settings(ports, made),
            deadline_s=limit_s(DEADLINE_S),
        ) as environment:
            login = KafkaConnection(
                f"{LOOPBACK}:{ports.secure}", "SASL_SSL", "PLAIN",
                username=USER, password=PASSWORD, ca_file=str(made.ca),
            )  # fmt: skip
            yield Secured(environment.kafka, login, made)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    threads = threading.active_count()
    yield
    gc.collect()
    wait_for(lambda: threading.active_count() <= threads, "the threads of the test have ended")


@pytest.fixture
def topic(secured: Secured) -> str:
    name = f"secret-{next(_numbers)}"
    create_topic(secured.login, name, 1)
    return name


def send(login: KafkaConnection, topic: str, *texts: bytes) -> None:
    with closing(KafkaProducer(login, connect_timeout_s=limit_s(10))) as producer:
        for number, text in enumerate(texts):
            producer.send(Envelope(topic, 0, text, 1_000 + number))


def read(login: KafkaConnection, topic: str) -> list[bytes]:
    with closing(KafkaConsumer(login, timeout_s=limit_s(10))) as consumer:
        return [envelope.payload for envelope in read_topic(consumer, topic)]


def test_producer_consumer_and_admin_log_in(secured: Secured, topic: str) -> None:
    send(secured.login, topic, b"a", b"b")
    assert read(secured.login, topic) == [b"a", b"b"]
    assert read(secured.login.carried(), topic) == [b"a", b"b"]
    assert describe_topic(secured.login, topic) is not None


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_scram_logs_in(secured: Secured, topic: str, mechanism: str) -> None:
    kind = ScramMechanism[mechanism.replace("-", "_")]
    with closing(KafkaAdminClient(bootstrap_servers=secured.kafka.bootstrap)) as admin:
        admin.alter_user_scram_credentials([UserScramCredentialUpsertion(SCRAM_USER, kind, PASSWORD)])
    login = replace(secured.login, mechanism=mechanism, username=SCRAM_USER)

    def known() -> bool:
        try:
            return topic in list_topics(login)
        except SystemicError:
            return False  # the broker has not read the new user yet

    wait_for(known, "the broker knows the user")
    send(login, topic, b"scram")
    assert read(login, topic) == [b"scram"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"password": "hunter2"}, "Authentication failed: Invalid username or password"),
        ({"username": "nobody"}, "Authentication failed: Invalid username or password"),
        ({"ca_file": "stranger"}, "the broker's certificate is not trusted: .*certificate verify failed"),
        ({"ca_file": None}, "the broker's certificate is not trusted: .*certificate verify failed"),
        ({"bootstrap": "localhost"}, "the broker's certificate is not trusted: .*not valid for 'localhost'"),
    ],
)
def test_a_login_that_cannot_succeed_is_told_at_once(
    secured: Secured, changes: dict[str, str | None], words: str
) -> None:
    meant = {
        "stranger": str(secured.certificates.other_ca),
        "localhost": secured.login.bootstrap.replace(LOOPBACK, "localhost"),
    }
    meant_changes = {key: meant.get(str(text), text) for key, text in changes.items()}
    login = replace(secured.login, **meant_changes)  # type: ignore[arg-type]
    for call in (lambda: send(login, "t", b""), lambda: read(login, "t"), lambda: list_topics(login)):
        with pytest.raises(SystemicError, match=words) as refused:
            call()
        assert "hunter2" not in str(refused.value)
        assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize("what", ["a plain client of a TLS port", "a TLS client of a plain port"])
def test_a_timeout_tells_the_last_failure(secured: Secured, what: str) -> None:
    login = (
        KafkaConnection(secured.login.bootstrap)
        if what.startswith("a plain")
        else replace(secured.login, bootstrap=secured.kafka.bootstrap)
    )
    with pytest.raises(RetriableError, match=r"Unable to bootstrap .* the last attempt: \w+"):
        KafkaConsumer(login, timeout_s=1)


JOB = """
SET 'execution.checkpointing.interval' = '1 s';
CREATE TABLE said (payload VARBINARY) WITH (type='metaq', topic='{said}', consumerGroup='CID_secured');
CREATE TABLE repeated (word VARCHAR) WITH (type='kafka', topic='{repeated}', format='json');
CREATE TABLE kept (word VARCHAR, PRIMARY KEY (word) NOT ENFORCED) WITH (type='rocksdb');
BEGIN STATEMENT SET;
INSERT INTO repeated SELECT CAST(payload AS VARCHAR) FROM said;
INSERT INTO kept
SELECT CAST(NULLIF(payload, X'6e756c6c') AS VARCHAR) FROM said ON CONFLICT DO NOTHING;
END;
"""


def test_a_job_carries_the_login_of_its_profile(
    secured: Secured, flink: FlinkAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_PASSWORD", PASSWORD)
    profile = tmp_path / "streamjobs.toml"
    profile.write_text(
        f'[brokers.default]\nbootstrap = "{secured.login.bootstrap}"\nprotocol = "SASL_SSL"\n'
        f'mechanism = "PLAIN"\nusername = "{USER}"\npassword = "${{BROKER_PASSWORD}}"\n'
        f'ca_file = "{secured.certificates.ca}"\n'
    )
    broker = read_profile(profile).brokers["default"]
    assert broker == secured.login
    for name in ("said", "repeated"):
        create_topic(broker, name, 1)
    send(broker, "said", b"tea", b"null")
    file = tmp_path / "secured.sql"
    file.write_text(JOB.format(said="said", repeated="repeated"))
    session = FlinkSession(flink.rest_url)
    plan = plan_file(file, RunSettings(broker, tmp_path / "store", 1))
    explained = session.explain(plan)
    assert PASSWORD not in explained
    assert "BEGIN CERTIFICATE" not in explained
    job = session.run(plan)
    try:
        wait_for(lambda: covered(broker) == {("said", 0): 2}, "a checkpoint covers all input", 120)
        job.drain()
    finally:
        job.cancel()
    assert [json.loads(text) for text in read(broker, "repeated")] == [{"word": "tea"}, {"word": "null"}]
    assert [json.loads(text)["reason"] for text in read(broker, DEAD_LETTER_TOPIC)] == ["null"]


def covered(broker: KafkaConnection) -> Mapping[tuple[str, int], int]:
    try:
        return committed_offsets(broker, "CID_secured")
    except RetriableError:
        return {}  # the broker has no coordinator yet


OWN = """
SET 'execution.checkpointing.interval' = '1 s';
CREATE TABLE said (word VARCHAR) WITH ('connector'='kafka', 'topic'='{said}', 'format'='raw',
  'scan.startup.mode'='earliest-offset', 'properties.group.id'='CID_own', {login});
CREATE TABLE kept (word VARCHAR, n BIGINT, PRIMARY KEY (word) NOT ENFORCED) WITH ('connector'='upsert-kafka',
  'topic'='{said}-kept', 'key.format'='raw', 'value.format'='json', {login});
INSERT INTO kept SELECT word, COUNT(*) FROM said GROUP BY word;
"""


def own(secured: Secured, topic: str, tmp_path: Path, login: KafkaConnection | None = None) -> Path:
    """Write a job whose tables are Flink's own, and log in by themselves."""
    properties = (login or secured.login).carried().java_properties()
    options = ", ".join(f"{literal(f'properties.{name}')}={literal(v)}" for name, v in properties.items())
    file = tmp_path / "own.sql"
    file.write_text(OWN.format(said=topic, login=options))
    return file


def creating(secured: Secured, tmp_path: Path) -> RunSettings:
    """Settings whose default broker is the plain port, and where jobs may create topics at the other."""
    return RunSettings(
        secured.kafka.bootstrap, tmp_path / "store", 1, brokers={"own": secured.login},
        creates_topics=frozenset({"own"}),
    )  # fmt: skip


def test_topics_of_flinks_own_tables_are_looked_at_by_their_own_login(
    secured: Secured, topic: str, tmp_path: Path
) -> None:
    file = own(secured, topic, tmp_path)
    with pytest.raises(ConfigError) as refused:
        preflight(plan_file(file, RunSettings(secured.kafka.bootstrap, tmp_path / "store", 1)))
    assert str(refused.value) == (
        f"topic {topic}-kept does not exist at {secured.login.bootstrap}, and table kept writes to it: "
        "create it, correct the table's topic, or let jobs create what they write by create_topics = true of "
        "this broker in the profile"
    )
    preflight(plan_file(file, creating(secured, tmp_path)))
    assert describe_topic(secured.login, f"{topic}-kept") is not None


def test_a_wrong_password_of_flinks_own_table_is_told_before_the_job_runs(
    secured: Secured, topic: str, tmp_path: Path
) -> None:
    file = own(secured, topic, tmp_path, replace(secured.login, password="hunter2"))  # noqa: S106
    with pytest.raises(StreamjobsError, match="Authentication failed") as refused:
        preflight(plan_file(file, RunSettings(secured.kafka.bootstrap, tmp_path / "store", 1)))
    assert "hunter2" not in str(refused.value)


def test_flinks_own_tables_log_in_by_their_properties(
    secured: Secured, topic: str, flink: FlinkAddress, tmp_path: Path
) -> None:
    send(secured.login, topic, b"tea", b"tea", b"oil")
    job = FlinkSession(flink.rest_url).start(own(secured, topic, tmp_path), creating(secured, tmp_path))
    wanted = [{"word": "oil", "n": 1}, {"word": "tea", "n": 2}]

    def rows() -> list[dict[str, object]]:
        latest = {row["word"]: row for row in map(json.loads, read(secured.login, f"{topic}-kept"))}
        return [latest[word] for word in sorted(latest)]

    try:
        wait_for(lambda: rows() == wanted, "the counts are in the topic", 120)
    finally:
        job.cancel()


def test_a_job_with_a_wrong_password_is_refused_before_it_runs(
    secured: Secured, flink: FlinkAddress, tmp_path: Path
) -> None:
    file = tmp_path / "secured.sql"
    file.write_text(JOB.format(said="said-2", repeated="repeated-2"))
    wrong = replace(secured.login, password="hunter2")  # noqa: S106
    with pytest.raises(StreamjobsError, match="Authentication failed") as refused:
        FlinkSession(flink.rest_url).start(file, RunSettings(wrong, tmp_path / "store", 1))
    assert "hunter2" not in str(refused.value)
