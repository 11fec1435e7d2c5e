"""Class-data archives of the JVMs that a checkout starts: classes as they are in memory, ready to map.

A JVM that starts from an archive has neither to read nor to verify the classes in it: Kafka is up in half of
its time. `make setup` records them (`streamjobs.cli.record_classes`). An archive counts for one JDK and one
class path; a JVM that finds another ignores it.
"""

from __future__ import annotations

import os
from pathlib import Path

RECORD_VARIABLE = "STREAMJOBS_RECORD_CLASSES"
"""While it is set, each JVM that ends in order writes its archive."""


def archive_flags(archive: Path) -> list[str]:
    """Return the JVM's options to use an archive or to record it; none where there is none.

    Source: "Class Data Sharing" in the guide of JDK 17's virtual machine. What the JVM has to say goes to
    standard error: the first lines of standard output may be a protocol.
    """
    if os.environ.get(RECORD_VARIABLE):
        return [f"-XX:ArchiveClassesAtExit={archive}"]
    if archive.is_file():
        return [f"-XX:SharedArchiveFile={archive}", "-Xlog:disable", "-Xlog:all=warning:stderr"]
    return []
