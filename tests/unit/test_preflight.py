"""Topics that Flink's own connector reads or writes are looked at before a job is submitted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from connectors.kafka import TopicInfo
from streamjobs.brokers.kafka import KafkaConnection
from streamjobs.errors import ConfigError
from streamjobs.job.cluster import preflight as module
from streamjobs.job.cluster.preflight import preflight
from streamjobs.job.plan.job_plan import JobPlan
from streamjobs.job.plan.planning import plan_job
from streamjobs.job.plan.run_settings import RunSettings

JOB = """
CREATE TABLE seen (n BIGINT) WITH (type='metaq', topic='seen', 'table'='shop.seen', ingest='append');
CREATE TABLE kept (n BIGINT) WITH (type='kafka', topic='kept', format='json');
CREATE TABLE named (n BIGINT) WITH (type='kafka', topic='named', format='json');
CREATE TABLE unused (n BIGINT) WITH (type='kafka', topic='unused', format='json');
INSERT INTO kept SELECT n FROM seen UNION ALL SELECT n FROM named;
"""
BROKER = "127.0.0.1:1"


class Broker:
    """Has topics, and makes those that it is asked for."""

    def __init__(self, *topics: str) -> None:
        self.topics = dict.fromkeys(topics, 1)

    def describe_topic(self, _broker: KafkaConnection, name: str) -> TopicInfo | None:
        return TopicInfo(name, self.topics[name], {}) if name in self.topics else None

    def ensure_topic(
        self, broker: KafkaConnection, name: str, partitions: int, configs: Mapping[str, str] | None = None
    ) -> None:
        self.topics.setdefault(name, partitions)


def checked(monkeypatch: pytest.MonkeyPatch, *topics: str, creates: bool = False) -> dict[str, int]:
    """Run the preflight of the job with these topics at the broker; the topics that there are then."""
    broker = Broker("seen", *topics)
    monkeypatch.setattr(module, "describe_topic", broker.describe_topic)
    monkeypatch.setattr(module, "ensure_topic", broker.ensure_topic)
    creating = frozenset({"default"}) if creates else frozenset[str]()
    preflight(
        plan_job(JOB, "job.sql", "job", RunSettings(BROKER, Path("store"), creates_topics=creating), {})
    )
    return broker.topics


OWN = """
CREATE TABLE seen (n BIGINT) WITH (type='metaq', topic='seen', 'table'='shop.seen', ingest='append');
CREATE TABLE kept (n BIGINT, PRIMARY KEY (n) NOT ENFORCED) WITH ('connector'='upsert-kafka', 'topic'='kept',
  'properties.bootstrap.servers'='{servers}', 'key.format'='json', 'value.format'='json'{more});
CREATE TABLE named (n BIGINT) WITH ('connector'='kafka', 'topic'='named; other',
  'properties.bootstrap.servers'='{servers}', 'format'='json', 'scan.startup.mode'='earliest-offset'{more});
CREATE TABLE unused (n BIGINT) WITH ('connector'='kafka', 'topic'='unused', 'format'='json',
  'properties.bootstrap.servers'='{servers}');
INSERT INTO kept SELECT n FROM seen UNION ALL SELECT n FROM named ON CONFLICT DO NOTHING;
"""


def own(servers: str, more: str = "", creating: frozenset[str] = frozenset()) -> JobPlan:
    """Plan a job whose tables name their servers themselves."""
    settings = RunSettings(BROKER, Path("store"), brokers={"far": "b1:9092,b2:9092"}, creates_topics=creating)
    return plan_job(OWN.format(servers=servers, more=more), "job.sql", "job", settings, {})


def topics(plan: JobPlan) -> dict[str, tuple[str, bool, bool, bool]]:
    return {
        each.topic[0]: (each.topic[1].bootstrap, each.read, each.written, each.creates)
        for each in plan.flink_topics
    }


def test_topics_of_flinks_own_tables_are_looked_at_where_they_are() -> None:
    assert topics(own("h1:9092, h2:9092")) == {
        "kept": ("h1:9092, h2:9092", False, True, False),
        "named": ("h1:9092, h2:9092", True, False, False),
        "other": ("h1:9092, h2:9092", True, False, False),
    }


def test_a_sink_topic_of_flinks_own_is_made_where_the_profile_has_these_servers() -> None:
    assert topics(own("b2:9092,B1:9092", creating=frozenset({"far"}))) == {
        "kept": ("b1:9092,b2:9092", False, True, True),
        "named": ("b1:9092,b2:9092", True, False, False),
        "other": ("b1:9092,b2:9092", True, False, False),
    }
    assert topics(own("b1:9092", creating=frozenset({"far", "default"})))["kept"] == (
        "b1:9092", False, True, False,
    )  # fmt: skip


def test_a_missing_topic_of_flinks_own_tables_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker("seen", "named")
    monkeypatch.setattr(module, "describe_topic", broker.describe_topic)
    monkeypatch.setattr(module, "ensure_topic", broker.ensure_topic)
    with pytest.raises(ConfigError) as refused:
        preflight(own("h1:9092"))
    assert str(refused.value) == (
        "topic kept does not exist at h1:9092, and table kept writes to it: create it, correct the table's "
        "topic, or let jobs create what they write by create_topics = true of this broker in the profile"
    )
    broker.topics["kept"] = 1
    with pytest.raises(ConfigError) as refused:
        preflight(own("h1:9092"))
    assert str(refused.value) == (
        "topic other does not exist at h1:9092, and table named reads it: start its producer first, or "
        "correct the table's topic"
    )


def test_servers_that_only_flink_can_log_in_to_are_warned_of() -> None:
    more = ", 'properties.security.protocol'='SSL', 'properties.ssl.truststore.location'='/t.jks'"
    plan = own("h1:9092", more)
    assert plan.flink_topics == ()
    assert plan.warnings[1:] == tuple(
        f"job.sql:{line}:14: the topics of table {name} are not checked before the job runs: only Flink's "
        "own client can log in with its properties. If one does not exist, the job runs and its checkpoints "
        "fail. Name its servers as a broker in the profile to have them checked\n"
        f"  {shown}\n               ^"
        for line, name, shown in (
            (3, "kept", plan.text.splitlines()[2]), (5, "named", plan.text.splitlines()[4]),
        )
    )  # fmt: skip
    known = own("b1:9092,b2:9092", more)
    assert (known.warnings, topics(known)["kept"][0]) == (plan.warnings[:1], "b1:9092,b2:9092")


def test_a_missing_sink_topic_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as refused:
        checked(monkeypatch, "named")
    assert str(refused.value) == (
        f"topic kept does not exist at {BROKER}, and table kept writes to it: create it, correct the table's "
        "topic, or let jobs create what they write by create_topics = true of this broker in the profile"
    )


def test_a_missing_sink_topic_is_made_where_the_profile_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    topics = checked(monkeypatch, "named", creates=True)
    assert topics == {"seen": 1, "named": 1, "kept": -1, "streamjobs.dead_letters": 1}


@pytest.mark.parametrize("creates", [True, False])
def test_a_missing_topic_that_is_read_is_never_made(monkeypatch: pytest.MonkeyPatch, creates: bool) -> None:
    with pytest.raises(ConfigError) as refused:
        checked(monkeypatch, "kept", creates=creates)
    assert str(refused.value) == (
        f"topic named does not exist at {BROKER}, and table named reads it: start its producer first, or "
        "correct the table's topic"
    )


def test_a_table_that_is_not_used_needs_no_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "unused" not in checked(monkeypatch, "kept", "named")
