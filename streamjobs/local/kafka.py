"""A real single-node Kafka (KRaft, broker and controller in one process) on loopback ports."""

from __future__ import annotations

import shutil
import socket
import struct
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from streamjobs.class_data import archive_flags
from streamjobs.local import places
from streamjobs.local.ports import LOOPBACK, PortLease
from streamjobs.local.processes import ProcessGroup, child_environment
from streamjobs.local.service import Service

# Any valid cluster id (22 characters of URL-safe base 64).
_CLUSTER_ID = "c3RyZWFtam9icy1sb2NhbA"
_METADATA_REQUEST = struct.pack(">hhih", 3, 1, 0, -1) + struct.pack(">i", 0)
_ANSWER_TIMEOUT_S = 2.0

_LOG4J = """\
status = WARN
appender.console.name = console
appender.console.type = Console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %-5p %m (%c{2})%n
rootLogger.level = WARN
rootLogger.appenderRef.console.ref = console
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = INFO
logger.lifecycle.name = kafka.server.BrokerServer
logger.lifecycle.level = INFO
"""


@dataclass(frozen=True)
class KafkaSize:
    """Memory and JVM flags of the broker; heap in MiB. Kafka itself uses mostly the page cache."""

    heap_mb: int = 320
    java_options: tuple[str, ...] = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def _settings(root: Path, port: int, controller_port: int) -> dict[str, str]:
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(root / "kafka" / "data"),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "2",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        # Flink's Kafka sink asks for one hour by default.
        "transaction.max.timeout.ms": "3600000",
        # The maximum, 24 days: the records' times determine the age, and ours are event times.
        "producer.id.expiration.ms": "2147483647",
        "share.coordinator.state.topic.replication.factor": "1",
        "group.initial.rebalance.delay.ms": "0",
        # A broker killed with SIGKILL serves again after 8 s instead of 13-25 s.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "1000",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "log.cleaner.dedupe.buffer.size": "4194304",
        "log.cleaner.threads": "1",
    }


def missing_broker(port: int) -> str | None:
    """Return why the broker on this port is not ready; None when its metadata answer names a broker."""
    try:
        with socket.create_connection((LOOPBACK, port), _ANSWER_TIMEOUT_S) as connection:
            connection.sendall(struct.pack(">i", len(_METADATA_REQUEST)) + _METADATA_REQUEST)
            head = connection.recv(12, socket.MSG_WAITALL)
    except OSError as exc:
        return f"no metadata answer on {LOOPBACK}:{port} ({exc})"
    if len(head) < 12:  # size, correlation id, number of brokers
        return f"{LOOPBACK}:{port} closed the connection"
    _size, _correlation, brokers = struct.unpack(">iii", head)
    return None if brokers > 0 else "the broker has not joined its cluster yet"


class KafkaServer(Service):
    """The broker of an environment; `bootstrap` is what clients connect to, e.g. "127.0.0.1:24242".

    Its data stays under `<root>/kafka/data` and is found again by the next start in the same root.
    """

    def __init__(
        self,
        group: ProcessGroup,
        lease: PortLease,
        *,
        port: int | None = None,
        size: KafkaSize | None = None,
        settings: Mapping[str, str] | None = None,
        deadline_s: float = 60.0,
    ) -> None:
        size = size or KafkaSize()
        self.port = lease.take(port)
        self.controller_port = lease.take()
        self.bootstrap = f"{LOOPBACK}:{self.port}"
        self._root = group.root
        self._home = group.root / "kafka"
        self._settings = {**_settings(group.root, self.port, self.controller_port), **(settings or {})}
        env = child_environment(group.root)
        java = [
            places.java(),
            *archive_flags(places.archive_dir() / "kafka.jsa"),
            f"-Xmx{size.heap_mb}m",
            *size.java_options,
            "-XX:-UsePerfData",
            "-Djava.net.preferIPv4Stack=true",
            "-Djava.awt.headless=true",
            f"-Djava.io.tmpdir={group.root / 'tmp'}",
            f"-Dlog4j2.configurationFile={self._home / 'log4j2.properties'}",
            "-cp",
            str(places.jar_dir("kafka") / "*"),
        ]
        properties = str(self._home / "server.properties")
        self._format = [
            *java[:1],
            "-XX:TieredStopAtLevel=1",
            *java[1:],
            *("kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", properties),
        ]
        super().__init__(
            group,
            "kafka",
            command=lambda _launch: [*java, "kafka.Kafka", properties],
            env=env,
            missing=lambda _launch: missing_broker(self.port),
            deadline_s=deadline_s,
        )

    def launch(self) -> None:
        """Start the broker without waiting; format its storage first when it is new."""
        self._home.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{key}={value}\n" for key, value in self._settings.items())
        (self._home / "server.properties").write_text(lines, encoding="utf-8")
        (self._home / "log4j2.properties").write_text(_LOG4J, encoding="utf-8")
        if not (self._home / "data" / "meta.properties").exists():
            self._format_storage()
        super().launch()

    def _format_storage(self) -> None:
        """Copy a storage that this release of Kafka has formatted, or let it format one and keep a copy.

        Kafka's tool is a JVM of its own, and what it writes does not depend on ports or settings of ours.
        """
        data, formatted = self._home / "data", places.archive_dir() / f"storage-of-{_release()}"
        if formatted.is_dir():
            shutil.copytree(formatted, data)
            return
        self._group.start("kafka-format", self._format, self._env)
        self._group.wait_for_success("kafka-format", self._deadline_s)
        formatted.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=formatted.parent) as draft, suppress(OSError):
            shutil.copytree(data, Path(draft) / "storage")
            (Path(draft) / "storage").rename(formatted)  # fails where another process has kept one


def _release() -> str:
    """Return the name of the broker's jar without its suffix, e.g. "kafka_2.13-4.3.1"."""
    return next(places.jar_dir("kafka").glob("kafka_*.jar")).stem
