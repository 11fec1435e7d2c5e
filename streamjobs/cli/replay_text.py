"""The output of `streamjobs dlq replay`: which letters are sent, and why others are not."""

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
    """Print the plan; `before` letters are left out because they were replayed before."""
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
    """Return the lines below the table."""
    found = []
    if before:
        found.append(f"{before} letters were replayed before: pass their ids to send them again.")
    if plan.covered:
        found.append(f"{len(plan.covered)} letters are other rows of these messages.")
    found += [f"{each.id}: no bytes, and the broker no longer has its message" for each in plan.lost]
    found += [f"{each.id}: {no_origin(each)}" for each in plan.without_origin]
    if plan.envelopes:
        found.append(
            "Rows whose event time is older than the time shown are late for a job with a watermark: they "
            "become `late` dead letters."
        )
    return found


def without_origin(letters: Sequence[DeadLetter]) -> str:
    """Return a line with the number of letters that name no message; "" if all do."""
    count = sum(not letter.has_origin for letter in letters)
    if not count:
        return ""
    return (
        f"{count} letters name no message of the broker, so `dlq replay` cannot send them. `dlq show ID` "
        f"shows how to send their rows again, mostly by `{SNAPSHOT} DATABASE.TABLE FILE.toml`"
    )


def no_origin(letter: DeadLetter) -> str:
    """Return why a letter names no message, and how to send its row again."""
    if letter.job.startswith("capture "):
        return (
            "its row was never sent to the broker, so there is no message to send again. Fix "
            f"the cause, then send the rows of its table: `{SNAPSHOT} {letter.table} FILE.toml`"
        )
    return (
        "its row is the result of a query, which does not keep the message that it came from. Fix the "
        f"cause, then send the rows of the tables that {letter.job} reads: "
        f"`{SNAPSHOT} DATABASE.TABLE FILE.toml`. "
        f"Later letters of {letter.table} name their message if the query keeps it: see 'originColumn'"
    )
