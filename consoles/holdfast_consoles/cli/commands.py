"""All commands, a file a group. What a command needs beyond topics is imported when it runs, not here."""

from pathlib import Path
from typing import Annotated

import typer

from . import dead_letters, ledger, sample, services, topics, triggers
from .choices import use_config
from .clone import clone
from .explain import explain
from .history import history
from .person import override, pause, resume, rollback
from .preflight import preflight
from .recovery import arm, disarm
from .replay import replay
from .status import status
from .verify import verify
from .watch import watch

app = typer.Typer(
    name="holdfast",
    help="A guard for database migrations: watches each one while it runs, and pauses or undoes it before it does harm.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def every_command(
    config: Annotated[
        Path | None,
        typer.Option(help="Settings file; else HOLDFAST_CONFIG, else holdfast.toml here.", exists=True, dir_okay=False),
    ] = None,
) -> None:
    """A guard for database migrations: watches each one while it runs, and pauses or undoes it before it does harm."""
    use_config(config)


services.register(app)
app.add_typer(sample.app, name="sample")
app.add_typer(topics.app, name="topics")
app.add_typer(triggers.app, name="triggers")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(ledger.app, name="ledger")
for command in (
    status,
    watch,
    history,
    explain,
    pause,
    resume,
    rollback,
    override,
    preflight,
    arm,
    disarm,
    clone,
    verify,
    replay,
):
    app.command()(command)
