"""Preflight on real servers: each finding with the statement that cures it."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.mysql.server.session import Login, Session
from streamjobs.capture.config.file import parse_config
from streamjobs.capture.config.settings import CaptureConfig
from streamjobs.capture.source.preflight import Finding, Severity, check_server
from streamjobs.capture.state import CaptureState
from streamjobs.local.environment import Environment
from streamjobs.local.mariadb import MariaDbOptions, MariaDbServer
from streamjobs.options.options import Secret

pytestmark = pytest.mark.services


def config(server: MariaDbServer, user: str = "root", tables: str = "") -> CaptureConfig:
    text = f"""
        [source]
        name = "shop"
        url = "mysql://{user}@127.0.0.1:{server.port}"
        tls = "off"
        server_id = 1
        [broker]
        bootstrap = "127.0.0.1:9"
        [[tables]]
        match = "shop.*"
        {tables}
    """
    return parse_config(text, "shop.toml", {})


def session(server: MariaDbServer, user: str = "root", password: str = "") -> Session:
    return Session(Login("127.0.0.1", server.port, user, Secret(password), tls=False))


def found(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.severity.value, finding.fix) for finding in findings]


def test_a_server_without_a_log_is_refused(tmp_path: Path) -> None:
    options = MariaDbOptions(binlog=False)
    with (
        Environment(tmp_path, kafka=False, flink=False, mariadb=options) as env,
        session(env.mariadb) as root,
    ):
        root.execute("CREATE DATABASE shop")
        first, *_ = check_server(root, config(env.mariadb), None)
        assert first == Finding(
            Severity.ERROR,
            "the server writes no binary log",
            "start it with --log-bin --binlog-format=ROW",
        )


def test_each_finding_has_its_cure(tmp_path: Path) -> None:
    settings = {
        "binlog-format": "MIXED",
        "binlog-row-image": "MINIMAL",
        "binlog-row-metadata": "NO_LOG",
        "expire-logs-days": "0.5",
    }
    options = MariaDbOptions(settings=settings)
    with (
        Environment(tmp_path, kafka=False, flink=False, mariadb=options) as env,
        session(env.mariadb) as root,
    ):
        root.execute("CREATE DATABASE shop")
        root.execute("CREATE TABLE shop.keyless (a INT)")
        root.execute("CREATE USER reader@'127.0.0.1' IDENTIFIED BY 'pw'")
        root.execute("GRANT SELECT ON shop.* TO reader@'127.0.0.1'")
        root.execute("GRANT REPLICATION SLAVE ADMIN ON *.* TO reader@'127.0.0.1'")  # is another privilege
        gone = CaptureState("uuid", 0, "bin.000099", 4)
        with session(env.mariadb, "reader", "pw") as reader:
            wanted = config(env.mariadb, "reader", 'event_time_column = "at"')
            missing = found(check_server(reader, wanted, gone))
        grants = [fix for _, fix in missing if fix.startswith("GRANT")]
        assert grants == [
            "GRANT REPLICATION SLAVE ON *.* TO 'reader'@'127.0.0.1'",
            "GRANT BINLOG MONITOR ON *.* TO 'reader'@'127.0.0.1'",
        ]
        for grant in grants:
            root.execute(grant)
        with session(env.mariadb, "reader", "pw") as reader:
            assert found(check_server(reader, wanted, gone)) == [
                ("error", "SET GLOBAL binlog_format = 'ROW'"),
                ("error", "SET GLOBAL binlog_row_image = 'FULL'"),
                (
                    "warning",
                    "SET GLOBAL binlog_row_metadata = 'FULL'  -- and in the server's configuration",
                ),
                ("error", "choose another [source] server_id, or leave it out"),
                ("warning", "SET GLOBAL binlog_expire_logs_seconds = 604800"),
                ("error", "streamjobs capture run --resnapshot"),
                ("error", ""),
                ("warning", "ALTER TABLE `shop`.`keyless` ADD PRIMARY KEY (…)"),
            ]


def test_changes_that_no_log_shows_are_found(tmp_path: Path) -> None:
    settings = {"log-slave-updates": "OFF", "binlog-ignore-db": "other,shop"}
    options = MariaDbOptions(settings=settings)
    with (
        Environment(tmp_path, kafka=False, flink=False, mariadb=options) as env,
        session(env.mariadb) as root,
    ):
        root.execute("CREATE DATABASE shop")
        root.execute("CREATE TABLE shop.parent (id INT PRIMARY KEY)")
        rules = {"gone": "ON DELETE CASCADE ON UPDATE SET NULL", "moved": "ON UPDATE CASCADE", "none": ""}
        for name, rule in rules.items():
            root.execute(
                f"CREATE TABLE shop.`{name}` (id INT PRIMARY KEY, parent INT, CONSTRAINT `of_{name}` "
                f"FOREIGN KEY (parent) REFERENCES shop.parent (id) {rule})"
            )
        root.execute("CREATE TABLE shop.old (id INT PRIMARY KEY) WITH SYSTEM VERSIONING")
        root.execute("CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = 9, MASTER_USER = 'nobody'")
        findings = [
            one for one in check_server(root, config(env.mariadb), None) if "server_id" not in one.what
        ]
        assert [(finding.severity.value, finding.what) for finding in findings] == [
            ("error", "the server does not log changes of shop (binlog-ignore-db)"),
            (
                "error",
                "the server is a replica that does not log replicated changes (log_slave_updates is off)",
            ),
            (
                "error",
                "foreign key of_gone of shop.gone to shop.parent says ON DELETE CASCADE ON UPDATE SET NULL: "
                "InnoDB changes rows of shop.gone through this key without logging it",
            ),
            (
                "warning",
                "foreign key of_moved of shop.moved to shop.parent says ON UPDATE CASCADE: "
                "InnoDB changes rows of shop.moved through this key without logging it",
            ),
            (
                "error",
                "shop.old: system-versioned tables are refused: their log contains old versions of rows, "
                "which SELECT does not show. Leave the table out (exclude in [[tables]])",
            ),
        ]
        assert findings[-1].fix == 'exclude = "shop.old"'
