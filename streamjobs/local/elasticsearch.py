"""A real Elasticsearch with a single node on a loopback port."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streamjobs.errors import ServiceError
from streamjobs.local import places
from streamjobs.local.ports import LOOPBACK, PortLease
from streamjobs.local.processes import ProcessGroup, child_environment
from streamjobs.local.service import Service

USER = "elastic"
"""The superuser of a node with a password."""
_NOBODY = 65534
_ANSWER_TIMEOUT_S = 2.0
_KEYSTORE_DEADLINE_S = 60.0
_POLL_S = 0.01


@dataclass(frozen=True)
class ElasticsearchOptions:
    """The configuration of the node; heap in MiB.

    With a `password` clients must log in; with `certificate` and `key` (PEM files) they must use TLS, too.
    `settings` are further lines of elasticsearch.yml.
    """

    heap_mb: int = 512
    java_options: tuple[str, ...] = ("-XX:TieredStopAtLevel=1",)
    password: str | None = None
    certificate: Path | None = None
    key: Path | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


def _settings(home: Path, port: int, transport_port: int, options: ElasticsearchOptions) -> dict[str, str]:
    settings = {
        "cluster.name": "streamjobs",
        "node.name": "local",
        "path.data": str(home / "data"),
        "path.logs": str(home / "logs"),
        "network.host": LOOPBACK,
        "http.port": str(port),
        "transport.port": str(transport_port),
        "discovery.type": "single-node",
        "xpack.security.enabled": str(options.password is not None).lower(),
        "xpack.security.enrollment.enabled": "false",
        # A node for tests and developers may fill the disk.
        "cluster.routing.allocation.disk.threshold_enabled": "false",
    }
    if options.certificate is not None and options.key is not None:
        settings |= {
            "xpack.security.http.ssl.enabled": "true",
            "xpack.security.http.ssl.certificate": "node.crt",
            "xpack.security.http.ssl.key": "node.key",
        }
    return settings | dict(options.settings)


def _unprivileged() -> list[str]:
    """Return what goes before the command on the command line: Elasticsearch refuses to run as root.

    It then runs as `nobody`, but may write where root may: its directory can be below a directory that only
    root may enter. Java calls access(2), which checks capabilities only with no_setuid_fixup
    (capabilities(7)).
    """
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        msg = "no setpriv found, which starts Elasticsearch as a user other than root: install util-linux"
        raise ServiceError(msg)
    return [
        *(setpriv, f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"),
        *("--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"),
    ]


class ElasticsearchServer(Service):
    """The node of an environment; `url` is what clients connect to, e.g. "http://127.0.0.1:24242".

    Its data stays under `<root>/elasticsearch/data` and is found again by the next start in the same root.
    `pid` is that of the node itself once it is ready; its launcher process is between the node and us.
    """

    def __init__(
        self,
        group: ProcessGroup,
        lease: PortLease,
        *,
        port: int | None = None,
        options: ElasticsearchOptions | None = None,
        deadline_s: float = 120.0,
    ) -> None:
        self._options = options or ElasticsearchOptions()
        self.port = lease.take(port)
        self.transport_port = lease.take()
        self._tls = self._options.certificate is not None
        self.url = f"{'https' if self._tls else 'http'}://{LOOPBACK}:{self.port}"
        self._home = group.root / "elasticsearch"
        self._pid_file = self._home / "node.pid"
        self._distribution = places.distribution("elasticsearch")
        flags = [
            f"-Xms{self._options.heap_mb}m",
            f"-Xmx{self._options.heap_mb}m",
            *self._options.java_options,
        ]
        env = child_environment(
            group.root,
            ES_JAVA_HOME=str(Path(places.java()).resolve().parents[1]),
            ES_PATH_CONF=str(self._home / "config"),
            ES_TMPDIR=str(self._home / "tmp"),
            ES_JAVA_OPTS=" ".join(flags),
            CLI_JAVA_OPTS="-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx64m",
            # The launcher ignores ES_TMPDIR: each start left a folder in the system's temporary folder.
            # Java's own variable, because it may quote a path and the launcher's may not.
            JDK_JAVA_OPTIONS=f'"-Djava.io.tmpdir={self._home / "tmp"}"',
        )
        env.pop("JAVA_HOME", None)
        run = [*_unprivileged(), str(self._distribution / "bin" / "elasticsearch"), "-p", str(self._pid_file)]
        super().__init__(
            group,
            "elasticsearch",
            command=lambda _launch: run,
            env=env,
            missing=lambda _launch: self._lacks(),
            deadline_s=deadline_s,
            address=self.url,
        )

    def launch(self) -> None:
        """Write the node's configuration and start the node without waiting."""
        config = self._home / "config"
        for name in ("config", "data", "logs", "tmp"):
            (self._home / name).mkdir(parents=True, exist_ok=True)
        self._pid_file.unlink(missing_ok=True)
        if not (config / "jvm.options").exists():
            shutil.copytree(self._distribution / "config", config, dirs_exist_ok=True)
        settings = _settings(self._home, self.port, self.transport_port, self._options)
        lines = "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items())
        (config / "elasticsearch.yml").write_text(lines, encoding="utf-8")
        if self._options.certificate is not None and self._options.key is not None:
            shutil.copyfile(self._options.certificate, config / "node.crt")
            shutil.copyfile(self._options.key, config / "node.key")
        if self._options.password is not None and not (config / "elasticsearch.keystore").exists():
            self._set_password(self._options.password)
        super().launch()

    def await_ready(self) -> None:
        """Wait until the node answers and every shard of its data is available."""
        super().await_ready()
        self.pid = int(self._pid_file.read_text(encoding="ascii"))

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End the node; SIGKILL goes to the node itself and to its launcher. Returns when it is gone."""
        node = int(self._pid_file.read_text(encoding="ascii")) if self._pid_file.exists() else None
        if node is not None and number == signal.SIGKILL and _lives(node):
            os.kill(node, number)
        super().kill(number)
        end = time.monotonic() + _ANSWER_TIMEOUT_S
        while node is not None and _lives(node) and time.monotonic() < end:
            time.sleep(_POLL_S)
            self._group.exit_status(self.name)  # makes the warden reap what the launcher left

    def _set_password(self, password: str) -> None:
        keystore = str(self._distribution / "bin" / "elasticsearch-keystore")
        for arguments, given in ((("create",), ""), (("add", "-x", "bootstrap.password"), password)):
            done = subprocess.run(  # noqa: S603 (our own command line)
                [*_unprivileged(), keystore, *arguments],
                env=dict(self._env), input=given.encode(), capture_output=True, check=False,
                timeout=_KEYSTORE_DEADLINE_S,
            )  # fmt: skip
            if done.returncode != 0:
                msg = (
                    f"elasticsearch-keystore {arguments[0]} failed: {done.stderr.decode('utf-8', 'replace')}"
                )
                raise ServiceError(msg)

    def _lacks(self) -> str | None:
        """Return why the node is not ready; None when its cluster is yellow or green."""
        try:
            answer = self._ask("/_cluster/health?wait_for_status=yellow&timeout=1s&filter_path=status")
        except (OSError, http.client.HTTPException) as exc:
            return f"no answer on {self.url} ({exc})"
        if answer.get("status") not in ("yellow", "green") or not self._pid_file.exists():
            return f"its cluster is not ready: {answer}"
        return None

    def _ask(self, path: str) -> dict[str, object]:
        if self._tls:
            context = ssl.create_default_context(cafile=str(self._options.certificate))
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                LOOPBACK, self.port, timeout=_ANSWER_TIMEOUT_S, context=context
            )
        else:
            connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=_ANSWER_TIMEOUT_S)
        try:
            connection.request("GET", path, headers=self._authorization())
            text = connection.getresponse().read()
        finally:
            connection.close()
        try:
            answer = json.loads(text)
        except ValueError:
            return {"answer": text.decode("utf-8", "replace")}
        return answer if isinstance(answer, dict) else {"answer": answer}

    def _authorization(self) -> dict[str, str]:
        if self._options.password is None:
            return {}
        pair = f"{USER}:{self._options.password}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"}


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
