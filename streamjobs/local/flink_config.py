"""Configuration of the local Flink cluster: memory, heartbeats, state, everything on loopback."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streamjobs.local.ports import LOOPBACK

LOG4J = """\
status = WARN
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
appender.console.name = console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{yyyy-MM-dd HH:mm:ss,SSS} %-5p %c{1.} %x - %m%n
logger.pekko.name = org.apache.pekko
logger.pekko.level = WARN
logger.kafka.name = org.apache.kafka
logger.kafka.level = WARN
logger.configuration.name = org.apache.flink.configuration
logger.configuration.level = WARN
logger.netty.name = org.jboss.netty.channel.DefaultChannelPipeline
logger.netty.level = OFF
logger.python.name = PythonWorker
logger.python.level = ALL
"""

# Source: `env.java.opts.all` of conf/config.yaml in apache-flink 2.3.0.
_EXPORTS = (
    "java.rmi/sun.rmi.registry",
    "jdk.compiler/com.sun.tools.javac.api",
    "jdk.compiler/com.sun.tools.javac.file",
    "jdk.compiler/com.sun.tools.javac.parser",
    "jdk.compiler/com.sun.tools.javac.tree",
    "jdk.compiler/com.sun.tools.javac.util",
    "java.security.jgss/sun.security.krb5",
)
_OPENS = (
    "java.lang",
    "java.net",
    "java.io",
    "java.nio",
    "sun.nio.ch",
    "java.lang.reflect",
    "java.text",
    "java.time",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "java.util.concurrent.locks",
)
JAVA_OPTIONS = (
    "-XX:-UsePerfData",
    "-Djava.net.preferIPv4Stack=true",
    "-Djava.awt.headless=true",
    "-XX:+IgnoreUnrecognizedVMOptions",
    *(f"--add-exports={name}=ALL-UNNAMED" for name in _EXPORTS),
    *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in _OPENS),
)


@dataclass(frozen=True)
class JobManagerSize:
    """Memory of the JobManager, in MiB; `process_mb` is Flink's total process memory.

    It computes little: the first compiler (C1) alone is enough, and makes the start shorter.
    """

    heap_mb: int = 384
    off_heap_mb: int = 64
    metaspace_mb: int = 192
    overhead_mb: int = 128
    java_options: tuple[str, ...] = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

    @property
    def process_mb(self) -> int:
        """Return the sum of all parts."""
        return self.heap_mb + self.off_heap_mb + self.metaspace_mb + self.overhead_mb

    def settings(self) -> dict[str, str]:
        """Return the memory options for exactly these sizes."""
        return {
            "jobmanager.memory.heap.size": f"{self.heap_mb}m",
            "jobmanager.memory.off-heap.size": f"{self.off_heap_mb}m",
            "jobmanager.memory.jvm-metaspace.size": f"{self.metaspace_mb}m",
            "jobmanager.memory.jvm-overhead.min": f"{self.overhead_mb}m",
            "jobmanager.memory.jvm-overhead.max": f"{self.overhead_mb}m",
        }

    def java_flags(self) -> list[str]:
        """Return the JVM's own limits for the same sizes."""
        return [f"-Xmx{self.heap_mb}m", f"-XX:MaxMetaspaceSize={self.metaspace_mb}m", *self.java_options]


SHORT_LIVED = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""`java_options` of a TaskManager for jobs of a minute: the second compiler uses half of its CPU time."""


@dataclass(frozen=True)
class TaskManagerSize:
    """Memory of one TaskManager, in MiB; that of Python workers is extra unless they use managed memory.

    `managed_mb` is shared by RocksDB and, by default, the Python workers; Arrow uses `off_heap_mb`.
    """

    heap_mb: int = 608
    managed_mb: int = 400
    network_mb: int = 64
    off_heap_mb: int = 192
    metaspace_mb: int = 256
    overhead_mb: int = 192
    java_options: tuple[str, ...] = ("-XX:+UseSerialGC",)

    _FRAMEWORK_MB = 64

    @property
    def process_mb(self) -> int:
        """Return the sum of all parts."""
        java = self.heap_mb + self.network_mb + self.off_heap_mb + self.metaspace_mb
        return java + self.managed_mb + self.overhead_mb

    def settings(self, slots: int) -> dict[str, str]:
        """Return the memory options for exactly these sizes; a TaskManager needs every one of them."""
        framework = self._FRAMEWORK_MB
        return {
            "taskmanager.cpu.cores": str(float(slots)),
            "taskmanager.memory.framework.heap.size": f"{framework}m",
            "taskmanager.memory.task.heap.size": f"{self.heap_mb - framework}m",
            "taskmanager.memory.framework.off-heap.size": f"{framework}m",
            "taskmanager.memory.task.off-heap.size": f"{self.off_heap_mb - framework}m",
            "taskmanager.memory.network.min": f"{self.network_mb}m",
            "taskmanager.memory.network.max": f"{self.network_mb}m",
            "taskmanager.memory.managed.size": f"{self.managed_mb}m",
            "taskmanager.memory.jvm-metaspace.size": f"{self.metaspace_mb}m",
            "taskmanager.memory.jvm-overhead.min": f"{self.overhead_mb}m",
            "taskmanager.memory.jvm-overhead.max": f"{self.overhead_mb}m",
        }

    def java_flags(self) -> list[str]:
        """Return the JVM's own limits for the same sizes."""
        return [
            f"-Xmx{self.heap_mb}m",
            f"-XX:MaxDirectMemorySize={self.off_heap_mb + self.network_mb}m",
            f"-XX:MaxMetaspaceSize={self.metaspace_mb}m",
            *self.java_options,
        ]


def cluster_settings(root: Path, rest_port: int, rpc_port: int, slots: int) -> dict[str, str]:
    """Return the settings of all processes of the cluster, which keep all their files under `root`."""
    home = root / "flink"
    return {
        "jobmanager.rpc.address": LOOPBACK,
        "jobmanager.bind-host": LOOPBACK,
        "jobmanager.rpc.port": str(rpc_port),
        "rest.address": LOOPBACK,
        "rest.bind-address": LOOPBACK,
        "rest.port": str(rest_port),
        "rest.bind-port": str(rest_port),
        "taskmanager.host": LOOPBACK,
        "taskmanager.bind-host": LOOPBACK,
        "taskmanager.numberOfTaskSlots": str(slots),
        "web.submit.enable": "false",
        "web.cancel.enable": "true",
        # A killed TaskManager is noticed after 8 s instead of 50 s.
        "heartbeat.interval": "2 s",
        "heartbeat.timeout": "8 s",
        # A query that a killed TaskManager never answers blocks all metrics this long, not 10 min.
        "web.timeout": "20000",
        # REST shows a new state of a job's task after this time, not after 3 s.
        "web.refresh-interval": "250",
        # REST shows a new value of a metric after this time.
        "metrics.fetcher.update-interval": "1 s",
        "state.backend.type": "rocksdb",
        "execution.checkpointing.dir": (home / "checkpoints").as_uri(),
        "execution.checkpointing.savepoint-dir": (home / "savepoints").as_uri(),
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "500 ms",
        "restart-strategy.exponential-delay.backoff-multiplier": "2.0",
        "restart-strategy.exponential-delay.max-backoff": "10 s",
        "restart-strategy.exponential-delay.reset-backoff-threshold": "1 min",
        "classloader.check-leaked-classloader": "false",
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
        "io.tmp.dirs": str(root / "tmp" / "flink"),
        "blob.storage.directory": str(root / "tmp" / "blobs"),
    }


def to_yaml(settings: Mapping[str, str]) -> str:
    """Return flat YAML with quoted values, for `config.yaml`."""
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in sorted(settings.items()))
