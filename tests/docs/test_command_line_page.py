"""docs/command-line.md names each command that there is, and the fields that each prints."""

import re
from pathlib import Path
from typing import Any

import typer.main

from holdfast_consoles.cli.commands import app

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()


def commands(group: Any, name: str = "") -> dict[str, Any]:
    """Every command by what one types."""
    found: dict[str, Any] = {}
    for sub, one in getattr(group, "commands", {}).items():
        found |= commands(one, f"{name} {sub}".strip())
    return found or {name: group}


def test_each_command_stands_on_the_page() -> None:
    table = PAGE.partition("| Command |")[2].partition("\n\n")[0]
    for typed in commands(typer.main.get_command(app)):
        assert re.search(rf"`(holdfast )?{typed.split()[0]}\b", table), f"{typed} is not on the page"
        assert typed.split()[-1] in table, f"{typed} is not on the page"


def test_each_command_that_prints_json_says_what() -> None:
    table = PAGE.partition("## What `--json` prints elsewhere")[2].partition("\n## ")[0]
    named = {
        name for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)
    }
    printing = {
        typed
        for typed, command in commands(typer.main.get_command(app)).items()
        if any("--json" in option.opts for option in command.params)
    }
    assert named == printing - {"status"}
