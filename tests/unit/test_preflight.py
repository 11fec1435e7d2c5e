"""Topics that Flink's own connector reads or writes are looked at before a job is submitted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from connectors.kafka import TopicInfo
from streamjobs.errors import ConfigError
from streamjobs.job import preflight as module
from streamjobs.job.planning import plan_job
from streamjobs.job.preflight import preflight
from streamjobs.job.run_settings import RunSettings
from streamjobs.kafka_connection import KafkaConnection

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
