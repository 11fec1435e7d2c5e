"""A broker with TLS and logins: certificates from the JDK's keytool, listeners beside the plain one."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from streamjobs.local import places
from streamjobs.local.ports import LOOPBACK
from tests.patience import limit_s

USER, PASSWORD = "etl", 'p"a\\ss word'
_STORE_PASSWORD = "changeit"  # noqa: S105


@dataclass(frozen=True)
class Certificates:
    """An authority's certificate, another's that signed nothing, and the broker's own key store."""

    ca: Path
    other_ca: Path
    keystore: Path


def certificates(directory: Path) -> Certificates:
    """Make them; the broker's is for 127.0.0.1 alone."""
    tool = str(Path(places.java()).with_name("keytool"))
    if not Path(tool).exists():
        tool = "keytool"
    store = directory / "broker.p12"

    def keytool(*arguments: str, given: bytes = b"") -> bytes:
        command = [tool, *arguments, "-storepass", _STORE_PASSWORD]
        return subprocess.run(
            command, input=given, check=True, capture_output=True, timeout=limit_s(60)
        ).stdout

    def authority(name: str) -> tuple[Path, Path]:
        made, pem = directory / f"{name}.p12", directory / f"{name}.pem"
        keytool("-genkeypair", "-alias", "ca", "-keyalg", "EC", "-dname", f"CN={name}", "-ext", "bc:c",
                "-ext", "ku=keyCertSign,cRLSign", "-validity", "30", "-keystore", str(made))  # fmt: skip
        pem.write_bytes(keytool("-exportcert", "-rfc", "-alias", "ca", "-keystore", str(made)))
        return made, pem

    ca_store, ca = authority("authority")
    _, other_ca = authority("stranger")
    keytool("-genkeypair", "-alias", "broker", "-keyalg", "EC", "-dname", "CN=broker", "-validity", "30",
            "-keystore", str(store))  # fmt: skip
    request = keytool("-certreq", "-alias", "broker", "-keystore", str(store))
    signed = keytool("-gencert", "-alias", "ca", "-rfc", "-ext", f"san=ip:{LOOPBACK}", "-validity", "30",
                     "-keystore", str(ca_store), given=request)  # fmt: skip
    keytool("-importcert", "-noprompt", "-alias", "ca", "-keystore", str(store), given=ca.read_bytes())
    keytool("-importcert", "-noprompt", "-alias", "broker", "-keystore", str(store), given=signed)
    return Certificates(ca, other_ca, store)


@dataclass(frozen=True)
class Ports:
    """Where the broker listens: for plain clients, for itself, for those that log in."""

    plain: int
    controller: int
    secure: int


def settings(ports: Ports, made: Certificates) -> dict[str, str]:
    """Give the settings of a broker with a listener more, `SECURE`: TLS, and PLAIN or SCRAM logins."""
    addresses = {"PLAINTEXT": ports.plain, "SECURE": ports.secure, "CONTROLLER": ports.controller}
    listeners = {name: f"{name}://{LOOPBACK}:{port}" for name, port in addresses.items()}
    quoted = PASSWORD.replace("\\", "\\\\").replace('"', '\\"').replace("\\", "\\\\")  # JAAS, then properties
    module = "org.apache.kafka.common.security"
    secure = {
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "plain.sasl.jaas.config": f'{module}.plain.PlainLoginModule required user_{USER}="{quoted}";',
        "scram-sha-256.sasl.jaas.config": f"{module}.scram.ScramLoginModule required;",
        "scram-sha-512.sasl.jaas.config": f"{module}.scram.ScramLoginModule required;",
        "ssl.keystore.type": "PKCS12",
        "ssl.keystore.location": str(made.keystore),
        "ssl.keystore.password": _STORE_PASSWORD,
        "ssl.key.password": _STORE_PASSWORD,
    }
    return {
        "controller.quorum.voters": f"1@{LOOPBACK}:{ports.controller}",
        "listeners": ",".join(listeners.values()),
        "advertised.listeners": f"{listeners['PLAINTEXT']},{listeners['SECURE']}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL",
        **{f"listener.name.secure.{key}": value for key, value in secure.items()},
    }
