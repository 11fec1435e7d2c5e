"""`streamjobs dlq`: list, show and replay dead letters."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, timezone
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from connectors.kafka import (
    KafkaConnection,
    Unreadable,
    fetch_messages,
    mark_replayed,
    plan_replay,
    read_dead_letters,
    send_replay,
)
from streamjobs.changes.dead_letter import DeadLetter, Replayed, Stage
from streamjobs.cli.letter_text import decoded_lines, hexdump, moment
from streamjobs.cli.profile import read_profile
from streamjobs.cli.replay_text import explain, no_origin, without_origin
from streamjobs.cli.show import printable
from streamjobs.cli.tables import Rows
from streamjobs.errors import ConfigError
from streamjobs.local import places, state
from streamjobs.retry import SystemClock

app = typer.Typer(no_args_is_help=True, add_completion=False, help="List, show and replay dead letters.")

DEFAULT_TOPIC = "streamjobs.dead_letters"
_SPAN = re.compile(r"(\d+)([smhd])")
_SPAN_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

BootstrapOption = Annotated[
    str | None, typer.Option(help="The broker; default is the one of `streamjobs dev up`.")
]
LettersOption = Annotated[str, typer.Option("--letters", help="The dead-letter topic.")]
StageOption = Annotated[Stage | None, typer.Option(help="Only letters of this stage.")]
ReasonOption = Annotated[str | None, typer.Option(help="Only letters with this reason.")]
TopicOption = Annotated[str | None, typer.Option(help="Only letters of messages from this topic.")]
SinceOption = Annotated[
    str | None, typer.Option(help="Only letters written since: 30m, 2h, 7d or 2026-11-23T07:00 (UTC).")
]


@dataclass(frozen=True)
class Selection:
    """A filter of dead letters; None matches any."""

    stage: Stage | None = None
    reason: str | None = None
    topic: str | None = None
    since_ms: int | None = None
    ids: frozenset[str] | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Return whether a letter matches."""
        return (
            self.stage in (None, letter.stage)
            and self.reason in (None, letter.reason)
            and self.topic in (None, letter.topic)
            and (self.since_ms is None or letter.at_ms >= self.since_ms)
            and (self.ids is None or letter.id in self.ids)
        )


@app.command()
def ls(
    *,
    stage: StageOption = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    ids: Annotated[bool, typer.Option(help="One line per letter instead of counts.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines instead of a table.")] = False,
    bootstrap: BootstrapOption = None,
    letters: LettersOption = DEFAULT_TOPIC,
) -> None:
    """Count the dead letters by stage, reason and table; one that was written twice counts once."""
    found = Found(_broker(bootstrap), letters, _selection(stage, reason, topic, since))
    if ids:
        _list_ids(found, as_json=as_json)
    else:
        _list_counts(found, as_json=as_json)
    found.report()
    if line := without_origin(list(found)):
        Console(stderr=True, highlight=False, soft_wrap=True).print(Text(line, "yellow"))


@app.command()
def show(
    letter_id: Annotated[
        str, typer.Argument(metavar="ID", help="topic/partition/offset/row, as `ls --ids`.")
    ],
    *,
    bootstrap: BootstrapOption = None,
    letters: LettersOption = DEFAULT_TOPIC,
) -> None:
    """Show one dead letter: its fields, its bytes, and the rows decoded from them."""
    broker = _broker(bootstrap)
    found = Found(broker, letters, Selection(ids=frozenset({letter_id})))
    letter = next(iter(found.letters.values()), None)
    if letter is None:
        message = f"there is no dead letter {letter_id} in topic {letters}"
        raise ConfigError(message)
    out = Console(highlight=False, soft_wrap=True)
    for name, value in asdict(letter).items():
        if name != "raw":
            shown = moment(value) if name.endswith("_ms") and value is not None else value
            out.print(Text(f"{name:14} ") + Text(printable(str(getattr(shown, "value", shown)))))
    if not letter.has_origin:
        out.print(Text(f"origin         none: {printable(no_origin(letter))}"))
    raw, source = letter.raw, "in the letter"
    if raw is None and letter.has_origin:
        place = (letter.topic, letter.partition, letter.offset)
        message_there = fetch_messages(broker, [place]).get(place)
        raw = None if message_there is None else message_there.payload
        source = "at the origin"
    if raw is None:
        where = "nor at its origin" if letter.has_origin else "nor at an origin, because it names none"
        out.print(f"raw            no bytes: neither in the letter {where}")
        return
    out.print(f"raw            {len(raw)} bytes {source}")
    for line in (*hexdump(raw), *decoded_lines(raw, letter.row)):
        out.print(Text(line))


@app.command()
def replay(
    letter_ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Only these.")] = None,
    *,
    stage: StageOption = None,
    reason: ReasonOption = None,
    topic: TopicOption = None,
    since: SinceOption = None,
    to: Annotated[str | None, typer.Option(help="Send to this topic instead of the origin's.")] = None,
    disorder_ms: Annotated[
        int, typer.Option(min=0, help="The disorder bound that the job's source declares, in ms.")
    ] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be sent, send nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    bootstrap: BootstrapOption = None,
    letters: LettersOption = DEFAULT_TOPIC,
) -> None:
    """Send the messages of dead letters again, unchanged, to the topic and partition they came from.

    Fix the cause first: a row that fails again becomes a new dead letter. A message is sent once, even if
    several of its rows are letters. Its good rows are sent again too; every ingest mode accepts that. The
    message gets at least the newest time of its partition (minus --disorder-ms), so that time does not go
    back: rows with an older event time are late for a job with a watermark. `ls` shows which letters were
    replayed; they are sent again only if you pass their ID. Exit status 1 if nothing can be sent.
    """
    broker = _broker(bootstrap)
    ids = frozenset(letter_ids) if letter_ids else None
    found = Found(broker, letters, _selection(stage, reason, topic, since, ids))
    chosen = [each for each in found if ids is not None or each.id not in found.replayed]
    plan = plan_replay(broker, chosen, to_topic=to, disorder_ms=disorder_ms)
    explain(plan, len(found.letters) - len(chosen))
    found.report()
    if not plan.envelopes:
        Console().print("Nothing to send.")
        raise typer.Exit(1)
    if dry_run:
        return
    if not yes and not typer.confirm(f"Send {len(plan.envelopes)} messages?"):
        raise typer.Exit(1)
    send_replay(broker, plan)
    Console().print(f"Sent {len(plan.envelopes)} messages.")
    mark_replayed(broker, plan, letters, at_ms=SystemClock().now_ms())


class Found:
    """The selected letters by id, the first of each; counts repeated and unreadable ones.

    `replayed` has the newest note of each letter whose message was sent again.
    """

    def __init__(self, broker: KafkaConnection, topic: str, selection: Selection) -> None:
        self.letters: dict[str, DeadLetter] = {}
        self.replayed: dict[str, Replayed] = {}
        self.repeated = 0
        self.unreadable: list[Unreadable] = []
        with Console(stderr=True).status(Text(f"reading {topic} at {broker}")):
            self._read(broker, topic, selection)

    def _read(self, broker: KafkaConnection, topic: str, selection: Selection) -> None:
        for letter in read_dead_letters(broker, topic):
            if isinstance(letter, Unreadable):
                self.unreadable.append(letter)
            elif isinstance(letter, Replayed):
                self.replayed[letter.id] = letter
            elif letter.id in self.letters:
                self.repeated += 1
            elif selection.takes(letter):
                self.letters[letter.id] = letter

    def __iter__(self) -> Iterator[DeadLetter]:
        return iter(self.letters.values())

    def report(self) -> None:
        """Print on standard error how many letters were left out, and why."""
        console = Console(stderr=True, highlight=False)
        if self.repeated:
            console.print(f"{self.repeated} repeated letters are not counted", style="dim")
        for bad in self.unreadable:
            console.print(
                f"{bad.envelope.place} is not a dead letter: {printable(bad.detail)}", style="yellow"
            )


def _list_counts(found: Found, *, as_json: bool) -> None:
    groups: Counter[tuple[str, str, str, str]] = Counter()
    replayed: Counter[tuple[str, str, str, str]] = Counter()
    without: Counter[tuple[str, str, str, str]] = Counter()
    last: dict[tuple[str, str, str, str], DeadLetter] = {}
    for letter in found:
        group = (letter.stage.value, letter.reason, letter.job, letter.table)
        groups[group] += 1
        replayed[group] += letter.id in found.replayed
        without[group] += not letter.has_origin
        last[group] = letter
    if as_json:
        for group, count in sorted(groups.items()):
            names = dict(zip(("stage", "reason", "job", "table"), group, strict=True))
            line = {**names, "letters": count, "replayed": replayed[group], "last_id": last[group].id}
            line |= {"last_at_ms": last[group].at_ms, "without_origin": without[group]}
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        return
    headings = ("Stage", "Reason", "Job", "Table", "Letters", "Replayed", "Last", "Last id")
    numbers = frozenset({"Letters", "Replayed"})
    table = Rows(headings, f"{len(found.letters)} dead letters", numbers=numbers)
    for group, count in sorted(groups.items()):
        newest = last[group]
        table.add(*group, str(count), str(replayed[group]), moment(newest.at_ms), newest.id)
    table.print_to(Console())


def _list_ids(found: Found, *, as_json: bool) -> None:
    for letter in found:
        if as_json:
            fields = json.loads(letter.to_json())
            note = found.replayed.get(letter.id)
            fields["replayed_at_ms"] = None if note is None else note.at_ms
            line = json.dumps({name: v for name, v in fields.items() if name != "raw"}, ensure_ascii=False)
        else:
            mark = "  replayed" if letter.id in found.replayed else "" if letter.has_origin else "  no origin"
            line = printable(
                f"{letter.id}  {letter.stage.value}/{letter.reason}{mark}  {letter.detail[:100]}"
            )
        sys.stdout.write(line + "\n")


def _selection(
    stage: Stage | None,
    reason: str | None,
    topic: str | None,
    since: str | None,
    ids: frozenset[str] | None = None,
) -> Selection:
    return Selection(stage, reason, topic, None if since is None else _since_ms(since), ids)


def _since_ms(text: str) -> int:
    span = _SPAN.fullmatch(text)
    if span is not None:
        past = timedelta(**{_SPAN_UNITS[span.group(2)]: int(span.group(1))})
        return int((datetime.now(timezone.utc) - past).timestamp() * 1000)
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as exc:
        message = f"--since {text}: give 30m, 2h, 7d or a UTC time like 2026-11-23T07:00"
        raise ConfigError(message) from exc
    return int((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp() * 1000)


def _broker(bootstrap: str | None) -> KafkaConnection:
    """Return the named broker, else the profile's in the current directory, else that of `dev up`."""
    if bootstrap is not None:
        return KafkaConnection(bootstrap)
    known = read_profile(None).brokers.get("default")
    if known is not None:
        return known
    running = state.running(places.dev_root())
    if running is None or running.bootstrap is None:
        message = "no broker runs here: give --bootstrap HOST:PORT, or start one with `streamjobs dev up`"
        raise ConfigError(message)
    return KafkaConnection(running.bootstrap)
