"""Kinds of events that a reader leaves out, refuses, or knows only by what they do.

Source: the enumeration Log_event_type of both servers, binlog_event.h and log_event.h.
"""

from __future__ import annotations

from typing import Final

from connectors.mysql.codec.framing import EventType

IGNORABLE: Final = 0x80
"""Flag of an event that who does not know it may leave out."""
OF_NO_EFFECT: Final = frozenset(
    {3, 5, 13, 14, 28, 29, 36, 37, EventType.ANNOTATE_ROWS, EventType.BINLOG_CHECKPOINT}
)
"""Events that change nothing: stop, variables of statements, the texts of row statements, group views."""
LOAD_DATA: Final = frozenset({6, 12, 17, 18})
"""Parts of LOAD DATA in statement format."""
REFUSED: Final = {
    EventType.INCIDENT: "the server lost events (INCIDENT): take a new snapshot",
    EventType.START_ENCRYPTION: (
        "the log is encrypted (MariaDB encrypt_binlog): read it from the server, or turn the encryption off"
    ),
    20: "row events of MySQL 5.1 before its release",
    21: "row events of MySQL 5.1 before its release",
    22: "row events of MySQL 5.1 before its release",
}
"""Why these are refused."""
