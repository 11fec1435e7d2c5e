"""Runs PyFlink on a leased JVM as if it were its own, without anything left of an earlier plan."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyflink.java_gateway
from py4j.java_gateway import GatewayParameters, JavaGateway
from py4j.protocol import Py4JJavaError
from pyflink.pyflink_gateway_server import (
    construct_flink_classpath,
    get_jvm_opts,
    prepare_environment_variables,
)

from streamjobs.class_data import archive_flags
from streamjobs.errors import ConfigError
from streamjobs.job.planner.jvm import OWN_TEMPORARY
from streamjobs.job.planner.lease import JvmCommand, Lease

JVM_FLAGS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Xmx1g")
"""Only one JIT compiler: with both, a first plan takes 27 s instead of 13, and later plans are not faster."""
PLANNER_JAR = "flink-table-planner.jar"
LOADER = "flink-table-planner-loader"
"""The jar on Flink's class path that contains the planner; a class-data archive cannot hold its classes."""
ARCHIVE = "planner.jsa"
_GATEWAY_SERVER = "org.apache.flink.api.python.shaded.py4j.GatewayServer"
_PASSED_ON = ("HOME", "PATH", "LANG", "TZ", "USER", "LD_LIBRARY_PATH", "JAVA_HOME", "TMPDIR")
_PREFIXES = ("LC_", "FLINK_", "HADOOP_", "YARN_", "HBASE_", "KRB5", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS")
_NODE_IDS = "org.apache.flink.table.planner.plan.nodes.exec.ExecNodeContext"


def jvm_command(directory: Path, client_jars: Sequence[str], files: Path | None = None) -> JvmCommand:
    """Return how to start a planner JVM with these connectors. Raises ConfigError if there is no Java.

    `files` may contain Flink's planner as a plain jar, and the class-data archive of a JVM that runs it.
    """
    env = {
        name: value
        for name, value in os.environ.items()
        if (name in _PASSED_ON or name.startswith(_PREFIXES)) and name != "FLINK_CONF_DIR"
    }
    prepare_environment_variables(env)
    jars = [str(Path(jar).resolve()) for jar in client_jars]
    flink = sorted(construct_flink_classpath(env).split(os.pathsep))
    plain = files / PLANNER_JAR if files else None
    if plain and plain.is_file():
        flink = [str(plain) if LOADER in Path(jar).name else jar for jar in flink]
    class_path = os.pathsep.join([*flink, *jars])
    argv = [
        java(),
        *(archive_flags(files / ARCHIVE) if files else ()),
        *JVM_FLAGS,
        *get_jvm_opts(env),
        f"-Djava.io.tmpdir={OWN_TEMPORARY}",
        f"-Dlog4j.configurationFile={env['FLINK_CONF_DIR']}/log4j-cli.properties",
        f"-Dlog.file={directory / 'client.log'}",
        "-cp",
        class_path,
        _GATEWAY_SERVER,
        "--die-on-broken-pipe",
        "--enable-auth",
        "0",
    ]
    return JvmCommand(argv, env)


def java() -> str:
    """Return the path of `java`: that of JAVA_HOME, else that on PATH. Raises ConfigError without one."""
    home = os.environ.get("JAVA_HOME")
    found = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if not found or not os.access(found, os.X_OK):
        message = f"no java found (JAVA_HOME={home or 'unset'}): install a JDK 17 or set JAVA_HOME"
        raise ConfigError(message)
    return found


class Attached:
    """PyFlink's gateway on a lease, until `detach`.

    The JVM gets a gateway server for this lease alone. When that server closes, the JVM releases all that it
    holds for this process.
    """

    def __init__(self, lease: Lease) -> None:
        self._master = _gateway(lease.port, lease.token)
        builder = getattr(self._master.jvm, f"{_GATEWAY_SERVER}$GatewayServerBuilder")
        token = secrets.token_hex(32)
        entry_point = self._master.jvm.java.util.concurrent.ConcurrentHashMap()
        self._server = builder(entry_point).javaPort(0).authToken(token).build()
        self._server.start(True)
        gateway = _gateway(self._server.getListeningPort(), token)
        pyflink.java_gateway.import_flink_view(gateway)
        pyflink.java_gateway.install_exception_handler()
        pyflink.java_gateway._gateway = gateway  # noqa: SLF001 - its own would start a JVM
        pyflink.java_gateway.install_py4j_hooks()
        _reset_counters(gateway.jvm)

    def detach(self) -> None:
        """Close this lease's server; then the JVM may serve others, and this process cannot use PyFlink."""
        silence()
        self._server.shutdown()


def silence() -> None:
    """Silence the log of py4j, whose finalizers report that their server is gone."""
    logging.getLogger("py4j").setLevel(logging.CRITICAL + 1)
    logging.getLogger("root").setLevel(logging.CRITICAL + 1)


def _gateway(port: int, token: str) -> JavaGateway:
    return JavaGateway(gateway_parameters=GatewayParameters(port=port, auth_token=token, auto_convert=True))


def _reset_counters(jvm: Any) -> None:
    """Restart the numbers of plan nodes, as in a new JVM: the names of operators contain them."""
    try:
        ids = jvm.Class.forName(_NODE_IDS)
    except Py4JJavaError:  # it runs from the loader's jar
        module = jvm.org.apache.flink.table.planner.loader.PlannerModule.getInstance()
        ids = module.getSubmoduleClassLoader().loadClass(_NODE_IDS)
    ids.getMethod("resetIdCounter", None).invoke(None, None)
