"""Class-data archives (JDK CDS) of the JVMs that a checkout starts: classes in their memory layout.

A JVM that starts from an archive neither reads nor verifies the classes in it: Kafka starts in half the
time. `make setup` records the archives (`streamjobs.cli.record_classes`). An archive is valid for one JDK and
one class path; a JVM with another one ignores it.
"""

from __future__ import annotations

import os
from pathlib import Path

RECORD_VARIABLE = "STREAMJOBS_RECORD_CLASSES"
"""While this variable is set, each JVM that ends normally writes its archive."""


def archive_flags(archive: Path) -> list[str]:
    """Return the JVM's options to use an archive or to record it; none if there is no archive.

    Source: "Class Data Sharing" in the guide of JDK 17's virtual machine. The JVM logs to standard error,
    because the first lines of standard output may be a protocol.
    """
    if os.environ.get(RECORD_VARIABLE):
        return [f"-XX:ArchiveClassesAtExit={archive}"]
    if archive.is_file():
        return [f"-XX:SharedArchiveFile={archive}", "-Xlog:disable", "-Xlog:all=warning:stderr"]
    return []
