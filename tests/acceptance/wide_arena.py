"""item_wide.sql on real services: fed, run, and read back by plain clients."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pymysql
import pytest

from connectors.kafka import KafkaProducer, create_topic
from streamjobs.brokers.contract import Envelope
from streamjobs.job.cluster.running_job import RunningFlinkJob
from streamjobs.job.cluster.session import FlinkSession
from streamjobs.job.plan.run_settings import RunSettings
from streamjobs.local.environment import Environment
from tests.acceptance.wide_shop import PARTITIONS, Shop, messages
from tests.patience import limit_s
from tests.services.shared import unique_name

JOB = Path(__file__).parents[2] / "sql" / "jobs" / "item_wide.sql"
PASSWORD = "item-wide-7"  # noqa: S105
_TABLE = """
CREATE TABLE item_wide (
    item_id BIGINT PRIMARY KEY, title VARCHAR(64), price DECIMAL(10, 2), updated_at DATETIME(3),
    shop_id BIGINT, shop_name VARCHAR(64), shop_city VARCHAR(64), shop_rating DOUBLE,
    schedule_id BIGINT, schedule_label VARCHAR(64), starts_on DATE, ends_on DATE, discount DECIMAL(5, 2)
)
"""


@dataclass(frozen=True)
class WideServices:
    """Where the job runs, and its stores. `index` is the name of its index."""

    bootstrap: str
    rest_url: str
    mysql_port: int
    search_url: str
    index: str = "item_wide"


def services_of(environment: Environment, search_url: str | None = None) -> WideServices:
    """Return the addresses of an environment; `search_url` is a node that others use, too."""
    return WideServices(
        environment.kafka.bootstrap,
        environment.flink.rest_url,
        environment.mariadb.port,
        search_url or environment.elasticsearch.url,
        unique_name("item_wide") if search_url else "item_wide",
    )


@contextmanager
def password_known() -> Iterator[None]:
    """Set the password that the job's file takes from the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ITEM_WIDE_PASSWORD", PASSWORD)
        yield


class WideArena:
    """One cluster, one MySQL, one Elasticsearch; `start` runs the job of the repository on them.

    `database` holds the report.
    """

    def __init__(self, services: WideServices, work: Path, *, database: str = "shop") -> None:
        self._services = services
        self._work = work
        self._database = database

    def prepare(self) -> None:
        """Make topics, the user and the table of the report."""
        for topic in ("shop.item", "shop.shop", "shop.schedule"):
            create_topic(self._services.bootstrap, topic, PARTITIONS)
        self.prepare_report()

    def prepare_report(self) -> None:
        """Make the user and the table of the report."""
        database = self._database
        self.execute(
            f"CREATE DATABASE {database} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
            f"CREATE USER writer@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
            f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON {database}.* TO writer@'127.0.0.1'",
            f"USE {database}",
            _TABLE,
        )

    def execute(self, *statements: str) -> None:
        """Run statements on the server as its root."""
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            connection.commit()

    def start(self, checkpoints_every: str = "3 s") -> RunningFlinkJob:
        """Run the job file with these addresses."""
        text = JOB.read_text(encoding="utf-8")
        for given, ours in (
            ("http://127.0.0.1:9200", self._services.search_url),
            ("index='item_wide'", f"index='{self._services.index}'"),
            (
                "mysql://127.0.0.1:3306/shop",
                f"mysql://127.0.0.1:{self._services.mysql_port}/{self._database}",
            ),
        ):
            assert given in text
            text = text.replace(given, ours)
        path = self._work / JOB.name
        path.write_text(text, encoding="utf-8")
        overrides = RunSettings(
            self._services.bootstrap,
            self._work,
            2,
            settings={"execution.checkpointing.interval": checkpoints_every},
        )
        return FlinkSession(self._services.rest_url).start(path, overrides)

    def feed(self, shop: Shop, rng: random.Random) -> None:
        """Send all changes of the three tables."""
        for _ in self.feed_slices(shop, rng, 1):
            pass

    def feed_slices(self, shop: Shop, rng: random.Random, count: int) -> Iterator[int]:
        """Send the changes in so many slices, in each some of every table; gives the number of the next."""
        with closing(KafkaProducer(self._services.bootstrap)) as producer:
            for number, envelopes in enumerate(_slices(shop, rng, count), start=1):
                for envelope in envelopes:
                    producer.send(envelope)
                producer.flush()
                yield number

    def report(self) -> dict[int, dict[str, Any]]:
        """What a plain SELECT shows."""
        return self.select(f"SELECT * FROM {self._database}.item_wide")

    def select(self, query: str) -> dict[int, dict[str, Any]]:
        """The rows of a query by item, spelled as the truth is."""
        with closing(self._connect()) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            names = [column[0] for column in cursor.description]
            rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        return {row["item_id"]: {name: _spelled(value) for name, value in row.items()} for row in rows}

    def search(self) -> dict[int, dict[str, Any]]:
        """What a plain search shows; nothing while the sink has not made its index."""
        index = self._services.index
        found: dict[int, dict[str, Any]] = {}
        with httpx.Client(base_url=self._services.search_url, timeout=limit_s(60)) as client:
            if client.post(f"/{index}/_refresh").status_code == httpx.codes.NOT_FOUND:
                return {}
            page = client.post(f"/{index}/_search?scroll=1m", json={"size": 5000}).raise_for_status().json()
            while hits := page["hits"]["hits"]:
                found |= {hit["_source"]["item_id"]: _searched(hit["_source"]) for hit in hits}
                body = {"scroll": "1m", "scroll_id": page["_scroll_id"]}
                page = client.post("/_search/scroll", json=body).raise_for_status().json()
            client.request("DELETE", "/_search/scroll", json={"scroll_id": page["_scroll_id"]})
        return found

    def _connect(self) -> Any:
        port = self._services.mysql_port
        return pymysql.connect(host="127.0.0.1", port=port, user="root", charset="utf8mb4", use_unicode=True)


@contextmanager
def wide_arena(services: WideServices, work: Path) -> Iterator[WideArena]:
    """An arena whose topics and tables are made, its files in `work`."""
    with password_known():
        arena = WideArena(services, work)
        arena.prepare()
        yield arena


def _slices(shop: Shop, rng: random.Random, count: int) -> Iterator[list[Envelope]]:
    built = {topic: messages(table, rng) for topic, table in shop.tables.items()}
    for number in range(count):
        yield [
            Envelope(topic, partition, message.payload, message.time_ms)
            for topic, all_ in built.items()
            for partition, message in all_[len(all_) * number // count : len(all_) * (number + 1) // count]
        ]


def _spelled(value: Any) -> Any:
    """Give a value of pymysql as the truth spells it."""
    if hasattr(value, "isoformat"):
        return value.isoformat(" ", "milliseconds") if hasattr(value, "hour") else value.isoformat()
    return value if value is None or isinstance(value, (int, float, str)) else str(value)


def _searched(source: dict[str, Any]) -> dict[str, Any]:
    """Give a document as the truth spells it."""
    moment = source["updated_at"]
    text = None if moment is None else f"{moment.replace('T', ' ')}{'' if '.' in moment else '.000'}"
    return {**source, "updated_at": None if text is None else text[:23]}
