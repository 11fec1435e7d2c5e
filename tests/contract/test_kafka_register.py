"""A register in a real broker: the last value, and only one owner."""

from __future__ import annotations

import pytest

from connectors.kafka import KafkaRegister
from streamjobs.errors import SystemicError
from tests.services.kinds import KafkaAddress
from tests.services.shared import unique_name

pytestmark = pytest.mark.services


def test_the_last_value_of_each_name_is_read(kafka: KafkaAddress) -> None:
    topic = unique_name("positions")
    first, second = KafkaRegister(kafka.bootstrap, topic, "a"), KafkaRegister(kafka.bootstrap, topic, "b")
    assert first.read() is None
    for n in range(20):
        first.write(b"a\n%d" % n)
        second.write(b"%d" % (100 + n))
    first.write(b"beside", "slot")
    assert (first.read(), second.read(), first.read("slot")) == (b"a\n19", b"119", b"beside")
    first.close()
    second.close()
    again = KafkaRegister(kafka.bootstrap, topic, "a")
    assert again.read() == b"a\n19"
    again.close()


def test_a_new_owner_fences_the_old_one(kafka: KafkaAddress) -> None:
    topic = unique_name("positions")
    old = KafkaRegister(kafka.bootstrap, topic, "fenced")
    old.write(b"old")
    new = KafkaRegister(kafka.bootstrap, topic, "fenced")
    with pytest.raises(SystemicError, match=f"fenced in topic {topic} was taken over by another process"):
        old.write(b"late")
    assert new.read() == b"old"
    new.write(b"new")
    assert new.read() == b"new"
    old.close()
    new.close()
