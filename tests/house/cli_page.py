"""Write docs/cli.md from the commands themselves: `python -m tests.house.cli_page`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import Enum
from importlib.util import find_spec
from typing import Any

from streamjobs.cli.main import COMMANDS, load
from tests.house.checkout import ROOT

PAGE = ROOT / "docs" / "cli.md"
HEAD = """\
# The command line

Written from the commands by `make docs`; do not edit. Exit status: 0 done, 1 failed, 2 a mistake in the
command or the configuration, 130 interrupted; others stand with their command.
"""


def page() -> str:
    """The whole page as it should be."""
    sections = [HEAD]
    for name, command in COMMANDS.items():
        if find_spec(command.module):
            sections.extend(_sections(load(name), f"streamjobs {name}"))
    return "\n".join(sections)


def _sections(command: Any, path: str) -> Iterator[str]:
    if hasattr(command, "commands"):
        for name, nested in command.commands.items():
            yield from _sections(nested, f"{path} {name}")
        return
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    usage = " ".join([path, *(_argument(one) for one in arguments), *(["[OPTIONS]"] if options else [])])
    lines = [f"## `{usage}`", "", (command.help or "").strip(), ""]
    for one in arguments:
        if one.help:
            lines.append(f"- `{_name(one)}`: {one.help}")
    for one in options:
        lines.append(f"- {_option(one)}")
    yield "\n".join(lines).rstrip() + "\n"


def _argument(argument: Any) -> str:
    name = _name(argument)
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _name(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _option(option: Any) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    if option.secondary_opts:
        names += " / " + ", ".join(f"`{name}`" for name in option.secondary_opts)
    choices = ", ".join(f"`{_text(choice)}`" for choice in _choices(option.default))
    return " ".join(
        filter(None, [f"{names}: {option.help or ''}", choices and f"One of {choices}.", _default(option)])
    )


def _choices(default: Any) -> list[Any]:
    return list(type(default)) if isinstance(default, Enum) else []


def _default(option: Any) -> str:
    default = option.default
    if default is None or default is False or callable(default) or option.required:
        return ""
    if default is True:
        return "On by default."
    return f"Default: `{_text(default)}`."


def _text(value: Any) -> str:
    return str(value.value if isinstance(value, Enum) else value)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"wrote {PAGE.relative_to(ROOT)}\n")
