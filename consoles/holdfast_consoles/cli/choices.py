"""What many commands let a person choose: a settings file, JSON, a duration, an actor."""

import getpass
import os
import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast_schemas.clock_times import duration_seconds
from holdfast_schemas.settings import CONFIG_VARIABLE


def duration(text: str | float) -> float:
    """``30m`` as seconds. Units: ms, s, m, h, d; ``1h30m`` adds up. Raises typer.BadParameter."""
    if isinstance(text, float):  # a default, which is in seconds already
        return text
    try:
        seconds = duration_seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if not seconds:
        raise typer.BadParameter(f"{text!r} is no time at all")
    return seconds


def use_config(path: Path | None) -> None:
    """Make this process, and what it starts, read that settings file."""
    if path is not None:
        os.environ[CONFIG_VARIABLE] = str(path)


def this_person() -> str:
    """Who asks, as far as this machine knows. A claim: nothing proves it (ACLs on holdfast.requests limit who may ask)."""
    return f"{os.environ.get('USER') or getpass.getuser()}@{socket.gethostname()}"[:200]


Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def waiting(default: str, how: str = "How long to wait for it") -> Any:
    """The option `--wait` of a command whose default is written like this."""
    return typer.Option(
        "--wait",
        parser=duration,
        metavar="DURATION",
        help=f"{how}; {default} unless given.",
        show_default=False,
    )


Wait = Annotated[float, waiting("10s")]
WaitForNews = Annotated[float, waiting("30s", "How long to wait without news of it")]
Reason = Annotated[str, typer.Option(help="Why; it is kept in the audit trail.")]
Actor = Annotated[str | None, typer.Option(help="Who asks; this user at this host unless given. Asserted, not proven.")]
