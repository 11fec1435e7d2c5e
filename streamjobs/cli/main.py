"""The `streamjobs` command: loads the requested subcommand, and prints its errors."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from streamjobs.cli.masking import mask_secrets
from streamjobs.cli.signals import Terminated
from streamjobs.errors import ConfigError, StreamjobsError
from streamjobs.job.planner import early

EXIT_FAILED = 1
EXIT_CONFIG = 2
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class _Command:
    """Where a command is defined: a module with a Typer `app`, or with a function of the command's name.

    If it `plans` a job, the child process for planning starts while the command's module is imported.
    """

    module: str
    summary: str
    plans: bool = False


COMMANDS = {
    "run": _Command("streamjobs.cli.run", "Run a SQL job file on Flink and show its progress.", plans=True),
    "query": _Command("streamjobs.cli.query", "Read a table of the embedded store."),
    "dlq": _Command("streamjobs.cli.dlq", "List, show and replay dead letters."),
    "demo": _Command(
        "streamjobs.cli.demo", "Run the sample job on generated traffic and check its results.", plans=True
    ),
    "capture": _Command("streamjobs.cli.capture", "Capture row changes of MySQL and MariaDB."),
    "dev": _Command("streamjobs.cli.dev", "Keep a local Kafka and Flink running."),
}


class _LazyGroup(TyperGroup):
    """Imports a command's module only when that command is used; lists the others from the table.

    The types of Typer's own copy of click are private: they are `Any` here.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for name, command in COMMANDS.items() if importlib.util.find_spec(command.module)]

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        return TyperCommand(cmd_name, short_help=COMMANDS[cmd_name].summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, found, rest = super().resolve_command(ctx, args)
        if name is not None and found is not None and COMMANDS[name].plans and "--help" not in rest:
            early.start()
        return name, load(name) if name is not None and found is not None else found, rest


def load(name: str) -> Any:
    """Return the command of this name with all its options; imports its module."""
    module = importlib.import_module(COMMANDS[name].module)
    app: typer.Typer | None = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False)
        app.command(name)(getattr(module, name))
    command = get_command(app)
    command.name = name
    return command


app = typer.Typer(
    cls=_LazyGroup,
    name="streamjobs",
    help="Streaming ETL from MySQL row changes to fresh features and CTR samples, written as SQL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    """Do nothing; Typer needs a callback for a group without commands of its own."""


def outcome(error: StreamjobsError) -> tuple[str, int]:
    """Return the line that reports an error, without secrets, and its exit status."""
    status = EXIT_CONFIG if isinstance(error, ConfigError) else EXIT_FAILED
    return f"streamjobs: {mask_secrets(str(error))}\n", status


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 a mistake in command or configuration."""
    try:
        app()
    except StreamjobsError as exc:
        line, status = outcome(exc)
        sys.stderr.write(line)
        sys.exit(status)
    except Terminated as exc:
        sys.stderr.write(f"streamjobs: ended by {exc.signal_name}\n")
        raise
    except (KeyboardInterrupt, SystemExit) as exc:
        if isinstance(exc, SystemExit) and exc.code != EXIT_INTERRUPTED:
            raise
        # Typer turns Ctrl-C into an exit without a message.
        sys.stderr.write("streamjobs: interrupted\n")
        sys.exit(EXIT_INTERRUPTED)


if __name__ == "__main__":
    main()
