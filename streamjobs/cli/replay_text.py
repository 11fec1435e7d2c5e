"""What `streamjobs dlq replay` says of its letters: what is sent, and why something is not."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from connectors.kafka import Replay
from streamjobs.changes.dead_letter import DeadLetter
from streamjobs.cli.letter_text import moment
from streamjobs.cli.show import printable
from streamjobs.cli.tables import Rows

SNAPSHOT = "streamjobs capture snapshot"


def explain(plan: Replay, before: int) -> None:
    """Print the plan; `before` letters were sent before, and are left out."""
    console = Console(highlight=False)
    if plan.envelopes:
        table = Rows(("Letter", "To", "Time", "Bytes"), "To send", numbers=frozenset({"Bytes"}))
        for letter, envelope in zip(plan.sent, plan.envelopes, strict=True):
            to = f"{envelope.topic}/{envelope.partition}"
            table.add(letter.id, to, moment(envelope.timestamp_ms), str(len(envelope.payload)))
        table.print_to(console)
    for line in lines(plan, before):
        console.print(Text(printable(line)), soft_wrap=True)


def lines(plan: Replay, before: int) -> list[str]:
    """Word what is not in the table."""
    told = []
    if before:
        told.append(f"{before} letters were sent again before: name their ids to send them once more.")
    if plan.covered:
        told.append(f"{len(plan.covered)} letters are further rows of these messages.")
    told += [f"{each.id}: no bytes, and the broker has its message no longer" for each in plan.lost]
    told += [f"{each.id}: {no_origin(each)}" for each in plan.without_origin]
    if plan.envelopes:
        told.append(
            "Rows whose event time is older than the time shown are late for a job with a watermark: they "
            "become `late` dead letters."
        )
    return told


def without_origin(letters: Sequence[DeadLetter]) -> str:
    """Say how many letters name no message; empty where all do."""
    count = sum(not letter.has_origin for letter in letters)
    if not count:
        return ""
    return (
        f"{count} letters name no message of the broker, so that `dlq replay` cannot send them: `dlq show "
        f"ID` says how their rows come in again, mostly by `{SNAPSHOT} DATABASE.TABLE FILE.toml`"
    )


def no_origin(letter: DeadLetter) -> str:
    """Say why a letter names no message, and how its row comes in again."""
    if letter.job.startswith("capture "):
        return (
            "its row was never sent to the broker, so there is no message to send again. Mend "
            f"the cause, then send the rows of its table: `{SNAPSHOT} {letter.table} FILE.toml`"
        )
    return (
        "its row is the result of a query, which does not keep the message that it came from. Mend the "
        f"cause, then send the rows of the tables that {letter.job} reads: "
        f"`{SNAPSHOT} DATABASE.TABLE FILE.toml`. "
        f"Later letters of {letter.table} name their message if the query keeps it: see 'originColumn'"
    )
