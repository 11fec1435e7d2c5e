"""Checks a job's topics at the brokers, after the job is planned and before it is submitted."""

from __future__ import annotations

from connectors.kafka import DEAD_LETTER_CONFIGS, TopicInfo, describe_topic, ensure_topic
from streamjobs.errors import ConfigError
from streamjobs.job.plan.flink_ddl import Partitions, Topic
from streamjobs.job.plan.flink_topics import FlinkTopic
from streamjobs.job.plan.job_plan import DEAD_LETTER_TOPIC, JobPlan

BROKERS_DEFAULT = -1
"""The broker's default number of partitions or replicas of a topic."""


def preflight(plan: JobPlan) -> Partitions:
    """Check every topic that the job reads or writes, create the dead-letter topic, and count partitions.

    Each topic must exist, and topics of row changes must keep the timestamps of their producers. A source
    topic is never created here: a job with a misspelled name would read an empty topic for ever, and the real
    producer would find a topic with the wrong number of partitions. A topic that is only written is created
    if the profile allows it. Returns the partitions of `plan.offset_topics`.
    Raises ConfigError, which names topic and broker.
    """
    for used in plan.flink_topics:
        _check_topic(used)
    asked = dict.fromkeys((*plan.topics, *plan.offset_topics))
    partitions = {topic: _described(topic).partitions for topic in asked}
    for name, broker in dict.fromkeys(plan.topics):
        ensure_topic(broker, name, partitions[name, broker])  # refuses LogAppendTime
    ensure_topic(plan.dead_letter_broker, DEAD_LETTER_TOPIC, 1, DEAD_LETTER_CONFIGS)
    return {topic: partitions[topic] for topic in plan.offset_topics}


def _check_topic(used: FlinkTopic) -> None:
    name, broker = used.topic
    if describe_topic(broker, name) is not None:
        return
    if used.creates:
        ensure_topic(broker, name, BROKERS_DEFAULT)
        return
    if used.read:
        message = (
            f"topic {name} does not exist at {broker}, and table {used.table} reads it: start its producer "
            "first, or correct the table's topic"
        )
    else:
        message = (
            f"topic {name} does not exist at {broker}, and table {used.table} writes to it: create it, "
            "correct the table's topic, or let jobs create what they write by create_topics = true of this "
            "broker in the profile"
        )
    raise ConfigError(message)


def _described(topic: Topic) -> TopicInfo:
    name, broker = topic
    info = describe_topic(broker, name)
    if info is None:
        message = (
            f"topic {name} does not exist at {broker}, and a job does not make the topics it reads: "
            "start its producer first, or correct the table's topic"
        )
        raise ConfigError(message)
    return info
