"""What changes between two runs of a capture: topics that grow, tables that the configuration adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from kafka.admin import KafkaAdminClient, NewPartitions

from connectors.kafka import create_topic, delete_topic, newest_times
from connectors.mysql.server.session import Session
from streamjobs.changes.row_change import TableId
from tests.integration.capture_file import CaptureFile
from tests.integration.capture_rig import Rig, by_key, replayed
from tests.integration.waiting import wait_for

pytestmark = pytest.mark.services


@pytest.fixture
def database(live: Rig) -> str:
    """A database with one table, `a`, of ten rows."""
    name = live.database()
    with live.session() as session:
        session.execute(f"CREATE TABLE {name}.a (id INT PRIMARY KEY, v INT)")
        count_up(session, f"{name}.a", 1)
    return name


@pytest.fixture
def capture(live: Rig, database: str) -> Iterator[CaptureFile]:
    made = live.configure(database)
    yield made
    made.close()


def count_up(session: Session, table: str, to: int) -> None:
    rows = ", ".join(f"({key}, {to})" for key in range(10))
    session.execute(f"REPLACE INTO {table} VALUES {rows}")


def grow(live: Rig, topic: str, partitions: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=live.bootstrap)
    try:
        admin.create_partitions({topic: NewPartitions(partitions)})
    finally:
        admin.close()


def heard(live: Rig, topic: str) -> Mapping[int, int]:
    """The newest time of each partition that has one."""
    return {n: at for n, at in newest_times(live.bootstrap, topic).items() if at is not None}


def test_a_topic_that_grows_keeps_its_keys_in_place(live: Rig, capture: CaptureFile) -> None:
    table, topic = f"{capture.name}.a", f"{capture.name}.a"
    capture.start().streaming()
    with live.session() as session:
        count_up(session, table, 2)
        grow(live, topic, 5)
        for to in range(3, 6):
            count_up(session, table, to)
            live.caught_up(capture)
        assert capture.stop() == 0, capture.log()
        capture.start().streaming()
        count_up(session, table, 6)
        live.caught_up(capture)
    kept = f"topic {topic} had 2 partitions when this capture began to write to it, and has 5 now"
    assert kept in capture.log()
    sent = live.sent(topic)
    assert {one.partition for one in sent} == {0, 1}
    assert all(len(changes) == 6 for changes in by_key(sent).values())
    assert replayed(sent) == live.rows(TableId(capture.name, "a"))
    wait_for(lambda: set(heard(live, topic)) == set(range(5)), "the new partitions hear the time", 30.0)
    assert capture.stop() == 0, capture.log()

    # the way that the message names
    capture.start(resnapshot=True).streaming()
    live.caught_up(capture)
    sent = sorted(live.sent(topic), key=lambda one: one.change.seq)
    assert {one.partition for one in sent} == set(range(5))
    assert replayed(sent, strict=False) == live.rows(TableId(capture.name, "a"))


def test_a_topic_that_was_made_again_is_refused(live: Rig, capture: CaptureFile) -> None:
    topic = f"{capture.name}.a"
    capture.start().streaming()
    live.caught_up(capture)
    assert capture.stop() == 0, capture.log()
    delete_topic(live.bootstrap, topic)
    create_topic(live.bootstrap, topic, 1)
    assert capture.start().wait() == 2, capture.log()
    assert f"topic {topic} had 2 partitions when this capture wrote to it, and has 1 now" in capture.log()
    assert live.sent(topic) == []

    # one of the ways that the message names
    moved = live.configure(
        capture.name,
        f'[[tables]]\nmatch = "{topic}"\ntopic = "{topic}.new"\n[[tables]]\nmatch = "{capture.name}.*"\n',
    )
    moved.start().streaming()
    try:
        moved.send_whole(topic)
        live.caught_up(moved)
        moved.streaming()
        live.caught_up(moved)
        assert replayed(live.sent(f"{topic}.new")) == live.rows(TableId(capture.name, "a"))
    finally:
        moved.close()


def test_columns_that_choose_the_partition_stay(live: Rig, capture: CaptureFile) -> None:
    table = f"{capture.name}.a"
    capture.start().streaming()
    live.caught_up(capture)
    assert capture.stop() == 0, capture.log()
    by_v = f'[[tables]]\nmatch = "{capture.name}.*"\nexclude = "*.caught_up"\npartition_by = "v"\n'
    live.configure(capture.name, by_v)
    assert capture.start().wait() == 2, capture.log()
    assert f"{table} went to topic {table} by its primary key, and would go there by v now" in capture.log()
    live.configure(capture.name, by_v + f'topic = "{table}.by_v"\n')
    capture.start().streaming()
    with live.session() as session:
        session.execute(f"UPDATE {table} SET v = v + 1")
    live.caught_up(capture)
    assert capture.stop() == 0, capture.log()
    live.configure(capture.name, by_v)
    capture.start(resnapshot=True).streaming()
    live.caught_up(capture)
    assert capture.stop() == 0, capture.log()
    capture.start().streaming()
