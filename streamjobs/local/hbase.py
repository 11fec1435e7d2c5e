"""A real HBase on loopback ports: all its servers in one JVM, the Thrift gateway in another."""

from __future__ import annotations

import shutil
import signal
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from streamjobs.local import places
from streamjobs.local.ports import LOOPBACK, PortLease
from streamjobs.local.processes import ProcessGroup, child_environment
from streamjobs.local.service import Service

_ANSWER_TIMEOUT_S = 2.0
_TICK_MS = 6000
_REVIVALS = 2
"""How often a server that ends while its gateway waits for it is started again."""
# Source: https://github.com/apache/thrift/blob/0.25.0/doc/specs/thrift-binary-protocol.md
_STRICT_CALL, _STRICT_REPLY = 0x80010001, 0x80010002
_PROBE = b"getTableNames"

_LOG4J = """\
log4j.rootLogger=INFO,C
log4j.appender.C=org.apache.log4j.ConsoleAppender
log4j.appender.C.target=System.err
log4j.appender.C.layout=org.apache.log4j.PatternLayout
log4j.appender.C.layout.ConversionPattern=%d{ISO8601} %-5p [%t] %c{2}: %m%n
log4j.logger.org.apache.zookeeper=WARN
log4j.logger.org.apache.hadoop.metrics2=WARN
"""
# Packages that Hadoop and Netty access by reflection (bin/hbase of 2.6 opens the same).
_OPENED = (
    *("java.nio", "sun.nio.ch", "java.lang", "jdk.internal.ref", "java.lang.reflect", "java.util"),
    "java.util.concurrent",
)


@dataclass(frozen=True)
class HBaseOptions:
    """The configuration; heaps in MiB. `settings` are properties of hbase-site.xml that override ours."""

    heap_mb: int = 512
    gateway_heap_mb: int = 192
    java_options: tuple[str, ...] = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Ports:
    zookeeper: int
    master: int
    region_server: int
    gateway: int


def _site(home: Path, ports: _Ports) -> dict[str, str]:
    return {
        "hbase.cluster.distributed": "false",
        "hbase.rootdir": f"file://{home / 'data'}",
        "hbase.tmp.dir": str(home / "tmp"),
        # Otherwise each column family of each table, however small, uses 2 MiB of the heap.
        "hbase.hregion.memstore.mslab.enabled": "false",
        # A local file system has no hflush: a killed process loses nothing, a machine without power may.
        "hbase.unsafe.stream.capability.enforce": "false",
        "hbase.zookeeper.quorum": LOOPBACK,
        "hbase.zookeeper.property.clientPort": str(ports.zookeeper),
        "hbase.zookeeper.property.clientPortAddress": LOOPBACK,
        "hbase.zookeeper.property.dataDir": str(home / "zookeeper"),
        # A master that hangs ends itself: after a crash it may wait for hbase:meta for ever.
        "hbase.master.init.timeout.localHBaseCluster": "90000",
        # A server that is frozen longer than its session ends itself. The longest session is 20 ticks.
        "zookeeper.session.timeout.localHBaseCluster": str(20 * _TICK_MS),
        "hbase.zookeeper.property.tickTime": str(_TICK_MS),
        "hbase.localcluster.assign.random.ports": "false",
        "hbase.master.hostname": "localhost",
        "hbase.master.ipc.address": LOOPBACK,
        "hbase.master.port": str(ports.master),
        "hbase.master.info.port": "-1",
        "hbase.regionserver.hostname": "localhost",
        "hbase.unsafe.regionserver.hostname": "localhost",
        "hbase.regionserver.ipc.address": LOOPBACK,
        "hbase.regionserver.port": str(ports.region_server),
        "hbase.regionserver.info.port": "-1",
        "hbase.regionserver.thrift.port": str(ports.gateway),
        "hbase.regionserver.thrift.ipaddress": LOOPBACK,
        "hbase.thrift.info.port": "-1",
        # The only region server is available at once: nothing to wait for.
        "hbase.regionserver.msginterval": "250",
        "hbase.master.wait.on.regionservers.mintostart": "1",
        "hbase.master.wait.on.regionservers.maxtostart": "1",
        "hbase.master.wait.on.regionservers.interval": "50",
        "hbase.master.wait.on.regionservers.timeout": "500",
        "hbase.client.pause": "50",
        # A major compaction keeps delete markers for an hour: no late write of a zombie restores a row.
        "hbase.hstore.time.to.purge.deletes": "3600000",
        "hbase.regionserver.handler.count": "10",
    }


def _missing(port: int) -> str | None:
    """Return why the gateway is not ready; None when it lists the tables, for which it asks the servers."""
    call = struct.pack(">Ii", _STRICT_CALL, len(_PROBE)) + _PROBE + struct.pack(">ib", 0, 0)
    try:
        with socket.create_connection((LOOPBACK, port), _ANSWER_TIMEOUT_S) as connection:
            connection.settimeout(_ANSWER_TIMEOUT_S)
            connection.sendall(call)
            head = connection.recv(4, socket.MSG_WAITALL)
            rest = connection.recv(65_536)
    except OSError as exc:
        return f"no answer on {LOOPBACK}:{port} ({exc})"
    if len(head) < 4 or struct.unpack(">I", head)[0] != _STRICT_REPLY:
        return f"{LOOPBACK}:{port} does not speak Thrift"
    # name length, name, sequence number, then the first field's type and id: 0 is the result, 1 an error
    start = 4 + len(_PROBE) + 4
    (number,) = struct.unpack_from(">h", rest.ljust(start + 3), start + 1)
    return None if number == 0 else "the gateway cannot reach the master yet"


class HBaseServer(Service):
    """ZooKeeper, master and region server of an environment, in one process.

    Its data stays under `<root>/hbase` and is found again by the next start in the same root.
    """

    def __init__(self, cluster: HBaseCluster, group: ProcessGroup, deadline_s: float) -> None:
        super().__init__(
            group,
            "hbase",
            command=lambda _launch: cluster.java("org.apache.hadoop.hbase.master.HMaster", cluster.heap_mb),
            env=child_environment(group.root),
            missing=lambda _launch: cluster.lacks(),
            deadline_s=deadline_s,
        )
        self._cluster = cluster

    def launch(self) -> None:
        """Start it without old sessions, which would keep an earlier process's servers for two minutes."""
        self._cluster.forget_sessions()
        super().launch()


class ThriftGateway(Service):
    """The gateway that happybase talks to (Thrift 1, buffered transport, binary protocol)."""

    def __init__(self, cluster: HBaseCluster, group: ProcessGroup, deadline_s: float) -> None:
        super().__init__(
            group,
            "hbase-thrift",
            command=lambda _launch: cluster.java(
                "org.apache.hadoop.hbase.thrift.ThriftServer", cluster.gateway_heap_mb
            ),
            env=child_environment(group.root),
            missing=lambda _launch: cluster.revived() or _missing(cluster.port),
            deadline_s=deadline_s,
            address=f"{LOOPBACK}:{cluster.port}",
        )


class HBaseCluster:
    """The HBase of an environment: clients connect to `host`:`port`, the gateway.

    `server` and `gateway` can be killed and restarted separately; `services` are both, in starting order.
    """

    def __init__(
        self,
        group: ProcessGroup,
        lease: PortLease,
        *,
        port: int | None = None,
        options: HBaseOptions | None = None,
        deadline_s: float = 120.0,
    ) -> None:
        self._options = options or HBaseOptions()
        self._ports = _Ports(lease.take(), lease.take(), lease.take(), lease.take(port))
        self._home = group.root / "hbase"
        self._jars = places.jar_dir("hbase")
        self.heap_mb = self._options.heap_mb
        self.gateway_heap_mb = self._options.gateway_heap_mb
        self.host = LOOPBACK
        self.port = self._ports.gateway
        self.zookeeper_port = self._ports.zookeeper
        self.server = HBaseServer(self, group, deadline_s)
        self.gateway = ThriftGateway(self, group, deadline_s)
        self.services: tuple[Service, ...] = (self.server, self.gateway)
        self._revivals = 0
        self._write_configuration()

    @property
    def alive(self) -> bool:
        """Return whether both run."""
        return all(service.alive for service in self.services)

    def kill(self) -> None:
        """Kill both without warning."""
        for service in self.services:
            service.kill()

    def restart(self) -> None:
        """Start both again, on the same ports and data, and wait until they serve."""
        self._revivals = 0
        for service in self.services:
            if service.alive:
                service.kill(signal.SIGKILL)
            service.launch()
        for service in self.services:
            service.await_ready()

    def freeze(self) -> None:
        """Stop both by SIGSTOP: connections stay open and nothing answers."""
        for service in self.services:
            service.freeze()

    def thaw(self) -> None:
        """Continue both after `freeze`."""
        for service in self.services:
            service.thaw()

    def java(self, main: str, heap_mb: int) -> list[str]:
        """Return the command line of one of the two JVMs."""
        return [
            places.java(),
            f"-Xmx{heap_mb}m",
            *self._options.java_options,
            "-XX:+ExitOnOutOfMemoryError",  # a region server hangs when some of its threads have ended
            *("-XX:-UsePerfData", "-Djava.net.preferIPv4Stack=true", "-Djava.awt.headless=true"),
            *(word for name in _OPENED for word in ("--add-opens", f"java.base/{name}=ALL-UNNAMED")),
            *("--add-exports", "java.base/jdk.internal.misc=ALL-UNNAMED"),
            "-Dorg.apache.hbase.thirdparty.io.netty.tryReflectionSetAccessible=true",
            f"-Djava.io.tmpdir={self._home / 'tmp'}",
            "-cp",
            f"{self._home / 'conf'}:{self._jars / '*'}",
            main,
            "start",
        ]

    def lacks(self) -> str | None:
        """Return why the region server cannot be reached; None when it listens."""
        try:
            socket.create_connection((LOOPBACK, self._ports.region_server), _ANSWER_TIMEOUT_S).close()
        except OSError as exc:
            return f"no region server on {LOOPBACK}:{self._ports.region_server} ({exc})"
        return None

    def revived(self) -> str | None:
        """Restart a server that has ended while its gateway starts; return what was done, None if it runs."""
        if self.server.alive:
            return None
        if self._revivals >= _REVIVALS:
            return f"{self.server.name} ended {_REVIVALS + 1} times while it started: see {self.server.log}"
        self._revivals += 1
        self.server.launch()
        return f"{self.server.name} ended while it started, and was started again"

    def forget_sessions(self) -> None:
        """Empty ZooKeeper, which holds only sessions: HBase keeps all durable data in its own files."""
        shutil.rmtree(self._home / "zookeeper", ignore_errors=True)
        (self._home / "zookeeper").mkdir(parents=True)

    def _write_configuration(self) -> None:
        for name in ("conf", "data", "tmp"):
            (self._home / name).mkdir(parents=True, exist_ok=True)
        properties = _site(self._home, self._ports) | dict(self._options.settings)
        lines = "".join(
            f"  <property><name>{escape(key)}</name><value>{escape(value)}</value></property>\n"
            for key, value in properties.items()
        )
        site = f'<?xml version="1.0"?>\n<configuration>\n{lines}</configuration>\n'
        (self._home / "conf" / "hbase-site.xml").write_text(site, encoding="utf-8")
        (self._home / "conf" / "log4j.properties").write_text(_LOG4J, encoding="utf-8")
