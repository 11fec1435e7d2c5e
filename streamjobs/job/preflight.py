"""What is checked at the brokers before a job is submitted."""

from __future__ import annotations

from connectors.kafka import DEAD_LETTER_CONFIGS, describe_topic, ensure_topic
from streamjobs.errors import ConfigError
from streamjobs.job.plan import DEAD_LETTER_TOPIC, JobPlan


def preflight(plan: JobPlan) -> None:
    """See that every topic the job reads is there and keeps its producers' times; make the dead-letter topic.

    A source topic is never made here: a job that misspells its name would read an empty topic for ever, and
    the real producer would find one with the wrong number of partitions.
    Raises ConfigError, which names topic and broker.
    """
    for topic, broker in dict.fromkeys(plan.topics):
        info = describe_topic(broker, topic)
        if info is None:
            message = (
                f"topic {topic} does not exist at {broker}, and a job does not make the topics it reads: "
                "start its producer first, or correct the table's topic"
            )
            raise ConfigError(message)
        ensure_topic(broker, topic, info.partitions)  # refuses LogAppendTime
    ensure_topic(plan.dead_letter_broker, DEAD_LETTER_TOPIC, 1, DEAD_LETTER_CONFIGS)
