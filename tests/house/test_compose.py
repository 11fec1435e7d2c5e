"""docker-compose.yml starts what streamjobs/local starts."""

from __future__ import annotations

import importlib.metadata
import re
from typing import Any

import pytest
import yaml

from tests.house.checkout import ROOT

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))[
    "services"
]
FLINK = (ROOT / "docker" / "flink" / "Dockerfile").read_text(encoding="utf-8")


def _pinned(pom: str, artifact: str) -> str:
    text = (ROOT / "streamjobs" / "local" / "jars" / pom / "pom.xml").read_text(encoding="utf-8")
    found = re.search(rf"<artifactId>{re.escape(artifact)}</artifactId>\s*<version>([^<]+)<", text)
    assert found is not None
    return found[1]


def test_kafka_is_the_local_one() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{_pinned('kafka', 'kafka_2.13')}"


def test_flink_is_the_local_one() -> None:
    version = importlib.metadata.version("apache-flink")
    assert f"FROM flink:{version}-java17\n" in FLINK
    assert SERVICES["jobmanager"]["image"] == f"streamjobs-flink:{version}"
    assert SERVICES["taskmanager"]["image"] == f"streamjobs-flink:{version}"


def test_the_image_copies_what_exists() -> None:
    copied = re.findall(r"^COPY (\S+) ", FLINK, re.M)
    assert [name for name in copied if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_service_is_checked_and_on_loopback(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert [port for port in service.get("ports", ()) if not str(port).startswith("127.0.0.1:")] == []
    assert [other for other in service.get("depends_on", {}) if other not in SERVICES] == []


def test_named_volumes_are_declared() -> None:
    declared = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["volumes"]
    used = {entry.split(":")[0] for service in SERVICES.values() for entry in service.get("volumes", ())}
    assert used == set(declared)
