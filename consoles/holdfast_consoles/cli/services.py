"""`holdfast processor`, `actuator`, `demo`: each imports its own stage when it is started, and only then."""

from pathlib import Path
from typing import Annotated

import typer

from holdfast_schemas.settings import Settings
from holdfast_schemas.stopping import Stopping

from .choices import use_config

Config = Annotated[
    Path | None, typer.Option(help="Settings file; else HOLDFAST_CONFIG, else holdfast.toml here.", exists=True)
]


def register(app: typer.Typer) -> None:
    """Add the three commands."""
    app.command()(processor)
    app.command()(actuator)
    # The demo's own options are read by the demo: nothing of it is loaded to show this program's help.
    passed_on = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(context_settings=passed_on, add_help_option=False)(demo)


def processor(config: Config = None) -> None:
    """Judge events: the stream processor. All its options are settings; its log is JSON on stderr."""
    with Stopping() as stopping:
        use_config(config)
        settings = Settings.load()
        from holdfast_processors.service import run

        raise typer.Exit(run(settings, stopping))


def actuator(config: Config = None) -> None:
    """Act on decisions and requests: the actuator. All its options are settings; its log is JSON on stderr."""
    with Stopping() as stopping:
        use_config(config)
        settings = Settings.load()
        from holdfast_actuators.service import run

        raise typer.Exit(run(settings, stopping))


def demo(context: typer.Context) -> None:
    """Show the whole loop on this machine, on real databases.

    holdfast demo --help lists its scenarios.
    """
    from holdfast_consoles.demo.command import demo as play

    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    alone.command()(play)
    alone(args=context.args, prog_name="holdfast demo")
