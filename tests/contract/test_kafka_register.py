"""A register in a real broker: the last value, and only one owner."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.kafka import KafkaRegister
from streamjobs.errors import SystemicError
from streamjobs.local.environment import Environment

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Environment(tmp_path_factory.mktemp("register"), flink=False) as env:
        yield env.kafka.bootstrap


def test_the_last_value_of_each_name_is_read(bootstrap: str) -> None:
    first, second = KafkaRegister(bootstrap, "positions", "a"), KafkaRegister(bootstrap, "positions", "b")
    assert first.read() is None
    for n in range(20):
        first.write(b"a\n%d" % n)
        second.write(b"%d" % (100 + n))
    first.write(b"beside", "slot")
    assert (first.read(), second.read(), first.read("slot")) == (b"a\n19", b"119", b"beside")
    first.close()
    second.close()
    again = KafkaRegister(bootstrap, "positions", "a")
    assert again.read() == b"a\n19"
    again.close()


def test_a_new_owner_fences_the_old_one(bootstrap: str) -> None:
    old = KafkaRegister(bootstrap, "positions", "fenced")
    old.write(b"old")
    new = KafkaRegister(bootstrap, "positions", "fenced")
    with pytest.raises(SystemicError, match="fenced in topic positions was taken over by another process"):
        old.write(b"late")
    assert new.read() == b"old"
    new.write(b"new")
    assert new.read() == b"new"
    old.close()
    new.close()
