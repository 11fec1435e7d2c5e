"""An old real binlog, replayed into Kafka, joined by a job: the figures that Sakila is known by."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.mysql.binlog.file import open_file
from streamjobs.capture.config.routes import Route, Routes
from streamjobs.capture.config.settings import BrokerSettings
from streamjobs.capture.publish.kafka import KafkaBroker
from streamjobs.capture.replay import Replay
from streamjobs.changes.row_batch import RowBatch
from streamjobs.changes.row_change import TableId
from tests.patience import limit_s
from tests.services.kinds import FlinkAddress, KafkaAddress

SAKILA = Path(__file__).parents[3] / "shared" / "data" / "mysql-bin.sakila.gz"
JOB = Path(__file__).parents[2] / "sql" / "jobs" / "rental_payments.sql"
REVENUE = """
    SELECT staff_id, substr(payment_date, 1, 10), count(*), sum(amount) FROM payment
    GROUP BY staff_id, substr(payment_date, 1, 10)
"""
JOINED = """
    SELECT r.rental_id, r.rental_date, r.return_date, count(p.payment_id), sum(p.amount)
    FROM rental r LEFT JOIN payment p ON r.rental_id = p.rental_id
    GROUP BY r.rental_id, r.rental_date, r.return_date
"""
Found = dict[str, object]


@pytest.fixture(scope="session")
def sakila() -> Path:
    if not SAKILA.is_file():
        pytest.skip(f"the real input {SAKILA} is not there")
    return SAKILA


def oracle(path: Path) -> sqlite3.Connection:
    """The rows of the log in SQLite; amounts in cents."""
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE rental (rental_id, rental_date, return_date)")
    database.execute("CREATE TABLE payment (payment_id, staff_id, rental_id, amount, payment_date)")
    columns = {
        TableId("sakila", "rental"): ("rental_id", "rental_date", "return_date"),
        TableId("sakila", "payment"): ("payment_id", "staff_id", "rental_id", "amount", "payment_date"),
    }
    with open_file(path, wanted=lambda table: table in columns) as reader:
        for batch in (event for event in reader if isinstance(event, RowBatch)):
            wanted = columns[batch.schema.table]
            places = [batch.schema.names.index(name) for name in wanted]
            rows = [[image[place] for place in places] for image in batch.images]
            texts = [[value.decode() if isinstance(value, bytes) else None for value in row] for row in rows]
            made = [
                [int(Decimal(v) * 100) if n == "amount" and v else int(v) if v and n.endswith("_id") else v
                 for n, v in zip(wanted, row, strict=True)]
                for row in texts
            ]  # fmt: skip
            marks = ", ".join("?" * len(wanted))
            database.executemany(f"INSERT INTO {batch.schema.table.table} VALUES ({marks})", made)
    return database


def shell(*args: str) -> str:
    with subprocess.Popen(
        [sys.executable, "-m", "streamjobs.cli.main", *args],
        env={**os.environ, "COLUMNS": "200"},
        cwd=JOB.parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=limit_s(300))
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
        assert process.returncode == 0, err
    return out


def table(home: Path, name: str) -> list[Found]:
    out = shell("query", name, "--format", "json", "--limit", "0", "--path", str(home / "rocksdb"))
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.services
def test_the_old_log_gives_exactly_the_figures_of_sakila(
    kafka: KafkaAddress, flink: FlinkAddress, sakila: Path, tmp_path: Path
) -> None:
    routes = Routes([Route.made("sakila.*")])
    broker = KafkaBroker(BrokerSettings(kafka.bootstrap), "sakila")
    summary = Replay("sakila", routes, broker).run([sakila])
    assert summary.dead_letters == 0
    assert (summary.rows["sakila.rental"], summary.rows["sakila.payment"]) == (16_044, 16_049)

    profile = tmp_path / "streamjobs.toml"
    profile.write_text(
        f'[brokers.default]\nbootstrap = "{kafka.bootstrap}"\n'
        f'[flink]\nrest_url = "{flink.rest_url}"\n'
        f'[store]\npath = "{tmp_path / "rocksdb"}"\n',
        encoding="utf-8",
    )
    shell("run", str(JOB), "--until-idle", "3s", "--parallelism", "2", "--profile", str(profile))
    rentals, revenue = table(tmp_path, "rental_payments"), table(tmp_path, "staff_revenue")

    truth = oracle(sakila)
    assert sorted(map(_rental, rentals)) == sorted(map(_joined, truth.execute(JOINED)))
    assert sorted(map(_revenue, revenue)) == sorted(truth.execute(REVENUE))
    truth.close()
    assert len(rentals) == 16_044
    assert sum(1 for one in rentals if one["payments"]) == 16_044
    assert sum(1 for one in rentals if one["return_date"] is None) == 183
    assert sum(Decimal(str(one["revenue"])) for one in revenue) == Decimal("67416.51")
    payments = sum(int(str(one["payments"])) for one in revenue)
    assert (payments, payments - sum(int(str(one["payments"])) for one in rentals)) == (16_049, 5)


def _rental(row: Found) -> tuple[object, ...]:
    returned = "" if row["return_date"] is None else _time(row["return_date"])
    return row["rental_id"], _time(row["rental_date"]), returned, row["payments"], _cents(row["paid"])


def _joined(row: tuple[object, ...]) -> tuple[object, ...]:
    return row[0], row[1], row[2] or "", row[3], row[4]


def _revenue(row: Found) -> tuple[object, ...]:
    return row["staff_id"], row["day"], row["payments"], _cents(row["revenue"])


def _time(value: object) -> str:
    return str(value).replace("T", " ")


def _cents(value: object) -> int:
    return int(Decimal(str(value)) * 100)
