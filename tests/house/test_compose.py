"""docker-compose.yml starts what streamjobs/local starts."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from streamjobs.local.hbase import _Ports, _site
from tests.house.checkout import ROOT

FILE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = FILE["services"]
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


def test_elasticsearch_is_the_local_one() -> None:
    assert SERVICES["elasticsearch"]["image"] == f"elasticsearch:{_pinned('elasticsearch', 'elasticsearch')}"


def test_hbase_is_the_local_one() -> None:
    versions = {_pinned("hbase", f"hbase-{part}") for part in ("server", "thrift", "zookeeper")}
    images = {SERVICES[name]["image"] for name in ("hbase", "hbase-thrift")}
    assert images == {f"streamjobs-hbase:{version}" for version in versions}


def test_hbase_is_set_up_as_the_local_one_is() -> None:
    site = (ROOT / "docker" / "hbase" / "hbase-site.xml").read_text(encoding="utf-8")
    given = dict(re.findall(r"<name>([^<]+)</name><value>([^<]+)</value>", site))
    ports = _Ports(2181, 16000, 16020, 9090)
    local = _site(Path("/data"), ports)
    differs = re.compile(r"host|[aA]ddress|quorum|dir|mintostart|maxtostart|regionservers|msginterval")
    assert {k: v for k, v in given.items() if not differs.search(k)} == {
        k: v for k, v in local.items() if not differs.search(k)
    }


def test_the_file_is_as_the_specification_wants_it() -> None:
    schema = yaml.safe_load((ROOT / "tests" / "house" / "compose_schema.yaml").read_text(encoding="utf-8"))
    problems = importlib.import_module("jsonschema").Draft7Validator(schema).iter_errors(FILE)
    assert [f"{'/'.join(map(str, each.path))}: {each.message}" for each in problems] == []


@pytest.mark.parametrize("image", ["flink", "hbase"])
def test_an_image_copies_what_exists(image: str) -> None:
    text = (ROOT / "docker" / image / "Dockerfile").read_text(encoding="utf-8")
    copied = re.findall(r"^COPY (\S+) ", text, re.M)
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
