"""Class-data archives: used where they fit, ignored where they do not."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import psutil
import pytest

from streamjobs.class_data import RECORD_VARIABLE, archive_flags
from streamjobs.job.planner import lease
from streamjobs.job.planner.gateway import jvm_command
from streamjobs.local import places
from streamjobs.local.environment import Environment
from tests.patience import limit_s
from tests.services.kinds import DEADLINE_S

pytestmark = pytest.mark.services
RECORDED = ("kafka.jsa", "jobmanager.jsa", "taskmanager.jsa")


def _maps(pid: int, archive: Path) -> bool:
    return any(mapped.path == str(archive) for mapped in psutil.Process(pid).memory_maps())


def test_services_start_from_the_archives_that_the_set_up_recorded(tmp_path: Path) -> None:
    with Environment(tmp_path, deadline_s=limit_s(DEADLINE_S)) as made:
        services = (made.kafka, made.flink.jobmanager, *made.flink.taskmanagers)
        for service, archive in zip(services, RECORDED, strict=True):
            assert _maps(service.pid, places.archive_dir() / archive), archive
        assert not (tmp_path / "logs" / "kafka-format.log").exists()


def test_a_broker_formats_its_storage_once_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "archive_dir", lambda: tmp_path / "archives")
    for name, formats in (("one", True), ("two", False)):
        with Environment(tmp_path / name, flink=False, deadline_s=limit_s(DEADLINE_S)) as made:
            assert made.kafka.alive
            assert (tmp_path / name / "logs" / "kafka-format.log").exists() is formats
    (kept,) = (tmp_path / "archives").iterdir()
    assert {file.name for file in kept.iterdir()} == {"bootstrap.checkpoint", "meta.properties"}


def test_the_planner_starts_from_its_archive(tmp_path: Path) -> None:
    jars = sorted(map(str, places.jar_dir("flink").glob("*.jar")))
    with closing(lease.take(tmp_path, jvm_command(tmp_path, jars, places.planner_files()))):
        (jvm,) = (
            process.pid
            for process in psutil.process_iter(["cmdline"])
            if any(word.startswith(f"-Djava.io.tmpdir={tmp_path}") for word in process.info["cmdline"] or ())
        )
        assert _maps(jvm, places.planner_files() / "planner.jsa")
    lease.stop(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no archive", b"\0" * 100_000], ids=["empty", "text", "zeros"])
def test_an_archive_that_is_none_is_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / "kafka.jsa").write_bytes(content)
    monkeypatch.setattr(places, "archive_dir", lambda: tmp_path)
    with Environment(tmp_path / "services", flink=False, deadline_s=limit_s(DEADLINE_S)) as made:
        assert made.kafka.alive
        assert not _maps(made.kafka.pid, tmp_path / "kafka.jsa")


def test_an_archive_of_another_class_path_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kafka.jsa").symlink_to(places.archive_dir() / "jobmanager.jsa")
    monkeypatch.setattr(places, "archive_dir", lambda: tmp_path)
    with Environment(tmp_path / "services", flink=False, deadline_s=limit_s(DEADLINE_S)) as made:
        assert made.kafka.alive


def test_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "kafka.jsa"
    assert archive_flags(archive) == []
    monkeypatch.setenv(RECORD_VARIABLE, "1")
    assert archive_flags(archive) == [f"-XX:ArchiveClassesAtExit={archive}"]
    monkeypatch.delenv(RECORD_VARIABLE)
    archive.touch()
    assert archive_flags(archive)[0] == f"-XX:SharedArchiveFile={archive}"
