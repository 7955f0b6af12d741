"""`holdfast replay FILE`: what the engine decides on recorded events."""

from pathlib import Path
from typing import Annotated

import typer

from holdfast_schemas.errors import FileUnreadable

from .choices import Json
from .figures import clock, print_json


def replay(
    file: Annotated[Path, typer.Argument(help="Recorded events: JSON lines, in log order.")], as_json: Json = False
) -> None:
    """Judge recorded events from a file, and print each decision. Nothing is sent."""
    from holdfast_processors.replay import read_lines
    from holdfast_processors.replay import replay as judged

    try:
        with file.open("rb") as lines:
            decisions = list(judged(read_lines(lines)))
    except (OSError, ValueError) as error:
        raise FileUnreadable(file, str(error)) from None
    if as_json:
        print_json(decisions)
        return
    for decision in decisions:
        superseded = " (superseded by a severer one)" if decision.superseded_by else ""
        typer.echo(
            f"{clock(decision.decided_at)}  {decision.migration_id}  {decision.action} by {decision.trigger_id}: "
            f"{decision.verdict}{superseded}"
        )
    typer.echo(f"{len(decisions)} decisions")
