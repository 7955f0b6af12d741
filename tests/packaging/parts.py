"""What deployment files are checked by: the real command line, the real settings, the real web servers' paths."""

from pathlib import Path
from typing import Any

import typer.main

from holdfast_consoles.cli.commands import app
from holdfast_schemas.settings import Settings, variables

ROOT = Path(__file__).parents[2]
WEB_PORTS = {"processor": Settings().processor.web_port, "actuator": Settings().actuator.web_port}


def parsed(command: list[str]) -> str:
    """The command's path, after its arguments were parsed by the real application. Raises a usage error otherwise."""
    found: Any = typer.main.get_command(app)
    context = found.make_context("holdfast", list(command))
    rest, path = list(command), []
    while hasattr(found, "resolve_command"):
        name, found, rest = found.resolve_command(context, rest)
        path.append(name)
        context = found.make_context(name, list(rest), parent=context)
    return " ".join(path)


def unknown_variables(names: set[str]) -> set[str]:
    """Of these variables those that settings do not know; a target's are known by their form."""
    ours = {name for name in names if name.startswith("HOLDFAST_")}
    return {n for n in ours - variables() if not (n.startswith("HOLDFAST_TARGETS__") and n.endswith("__DSN"))}
