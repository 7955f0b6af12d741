"""`holdfast watch`: every migration live in the terminal, with keys to pause, resume and roll back."""

import os
import sys

import typer

from holdfast_schemas.errors import NotATerminal
from holdfast_schemas.settings import Settings

from .choices import Actor, Wait, this_person
from .keys import Keyboard
from .sending import Sending, asking

FINISH_SECONDS = 5.0
"""How long a person who leaves is kept for answers that are open."""


def watch(actor: Actor = None, wait: Wait = 10.0) -> None:
    """Show all migrations live, with keys to pause them.

    Arrows or j k select; p pauses, r resumes, b rolls back, each after a reason is typed; q leaves.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") in ("dumb", "unknown"):
        raise NotATerminal("watch", "holdfast status --json")
    from .following import Following
    from .view import view

    kafka = Settings.load().kafka
    sending = Sending(asking(kafka, wait), actor or this_person())
    try:
        with Following(kafka) as following, Keyboard(sys.stdin.fileno()) as keyboard:
            view(following, sending, keyboard)
    finally:
        if sending.open:
            typer.echo(f"waiting for an answer, at most {FINISH_SECONDS:g} s", err=True)
        sending.finish(FINISH_SECONDS)
        for answer in sending.answers:
            typer.echo(answer)
