"""Kinds of events that a reader skips, refuses, or handles as a group.

Source: the enumeration Log_event_type of both servers, binlog_event.h and log_event.h.
"""

from __future__ import annotations

from typing import Final

from connectors.mysql.codec.framing import EventType

IGNORABLE: Final = 0x80
"""Flag of an event that a reader may skip if it does not know it."""
OF_NO_EFFECT: Final = frozenset(
    {3, 5, 13, 14, 28, 29, 36, 37, EventType.ANNOTATE_ROWS, EventType.BINLOG_CHECKPOINT}
)
"""Events that change no rows: stop, variables of statements, the texts of row statements, group views."""
LOAD_DATA: Final = frozenset({6, 12, 17, 18})
"""Parts of LOAD DATA in statement format."""
REFUSED: Final = {
    EventType.INCIDENT: "the server lost events (INCIDENT): take a new snapshot",
    EventType.START_ENCRYPTION: (
        "the log is encrypted (MariaDB encrypt_binlog): read it from the server, or turn the encryption off"
    ),
    20: "row events of a MySQL 5.1 before its release are not read",
    21: "row events of a MySQL 5.1 before its release are not read",
    22: "row events of a MySQL 5.1 before its release are not read",
}
"""Event type -> why it is refused."""
