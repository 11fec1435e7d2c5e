"""What changes between two runs of a capture: topics that grow, tables that the configuration adds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kafka.admin import KafkaAdminClient, NewPartitions

from connectors.kafka import describe_topic
from connectors.mysql.session import Session
from streamjobs.rowchange import TableId
from tests.integration.capture_rig import CaptureFile, Rig, by_key, replayed, rig

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    yield from rig(tmp_path_factory.mktemp("capture"))


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
    made.kill()


def count_up(session: Session, table: str, to: int) -> None:
    rows = ", ".join(f"({key}, {to})" for key in range(10))
    session.execute(f"REPLACE INTO {table} VALUES {rows}")


def grow(live: Rig, topic: str, partitions: int) -> None:
    admin = KafkaAdminClient(bootstrap_servers=live.bootstrap)
    try:
        admin.create_partitions({topic: NewPartitions(partitions)})
    finally:
        admin.close()


def test_a_topic_that_has_grown_is_refused(live: Rig, capture: CaptureFile) -> None:
    table, topic = f"{capture.name}.a", f"{capture.name}.a"
    capture.start().streaming()
    live.caught_up(capture)
    assert capture.stop() == 0, capture.log()
    before = len(live.sent(topic))
    grow(live, topic, 3)
    with live.session() as session:
        count_up(session, table, 2)
    assert capture.start().wait() == 2, capture.log()
    assert f"topic {topic} had 2 partitions when this capture wrote to it, and has 3 now" in capture.log()
    assert len(live.sent(topic)) == before

    # both ways that the message names
    moved = live.configure(
        capture.name,
        f'[[tables]]\nmatch = "{table}"\ntopic = "{topic}.new"\n[[tables]]\nmatch = "{capture.name}.*"\n',
    )
    moved.start().streaming()
    try:
        assert moved.command("snapshot", table, str(moved.path))[0] == 0
        live.caught_up(moved)
        moved.streaming()
        live.caught_up(moved)
        assert replayed(live.sent(f"{topic}.new")) == live.rows(TableId(capture.name, "a"))
    finally:
        moved.kill()
    again = live.configure(capture.name)
    again.start("--resnapshot").streaming()
    try:
        assert f"topic {topic} had 2 partitions and has 3" in again.log()
        live.caught_up(again)
        assert again.stop() == 0
        again.start().streaming()  # and the new number is the known one
    finally:
        again.kill()


def test_a_topic_that_grows_under_a_capture_keeps_its_keys_in_place(live: Rig, capture: CaptureFile) -> None:
    table, topic = f"{capture.name}.a", f"{capture.name}.a"
    capture.start().streaming()
    with live.session() as session:
        count_up(session, table, 2)
        grow(live, topic, 5)
        for to in range(3, 6):
            count_up(session, table, to)
            live.caught_up(capture)
    info = describe_topic(live.bootstrap, topic)
    assert info is not None
    assert info.partitions == 5
    sent = live.sent(topic)
    assert {one.partition for one in sent} == {0, 1}
    assert all(len(changes) == 5 for changes in by_key(sent).values())
    assert replayed(sent) == live.rows(TableId(capture.name, "a"))
    assert capture.stop() == 0, capture.log()
    assert capture.start().wait() == 2
    assert "had 2 partitions when this capture wrote to it, and has 5 now" in capture.log()


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
    capture.start("--resnapshot").streaming()
    live.caught_up(capture)
    assert capture.stop() == 0, capture.log()
    capture.start().streaming()
