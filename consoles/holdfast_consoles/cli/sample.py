"""`holdfast sample postgres | command`: a sampler, which tells a target's health from outside."""

from typing import Annotated

import typer

from holdfast_producers.health import HealthReporter
from holdfast_producers.reporter import name_or_refusal
from holdfast_producers.run import METRIC_NAME
from holdfast_producers.samplers.sampling import Sampler, sample_for_ever
from holdfast_schemas.errors import TargetUnknown
from holdfast_schemas.logs import configure_json_logging
from holdfast_schemas.settings import Settings
from holdfast_schemas.stopping import Stopping

from .choices import duration
from .figures import figure

app = typer.Typer(help="Tell a target's health from outside, each second.", no_args_is_help=True)


def _time(default: str, says: str) -> object:
    return typer.Option(
        parser=duration, metavar="DURATION", help=f"{says}; {default} unless given.", show_default=False
    )


Target = Annotated[str, typer.Argument(metavar="TARGET", help="The target's name in the settings.")]
Every = Annotated[float, _time("1s", "How often")]
Once = Annotated[bool, typer.Option("--once", help="Print one sample and send nothing.")]


@app.command()
def postgres(
    target: Target,
    every: Every = 1.0,
    probe: Annotated[str, typer.Option(help="The statement whose latency is probe_seconds.")] = "SELECT 1",
    response_time: Annotated[
        bool,
        typer.Option(
            help="The probe's latency is a response time of the target; only where no application tells its own."
        ),
    ] = False,
    table: Annotated[
        list[str] | None, typer.Option(help="Count dead tuples of this table only; may be repeated.")
    ] = None,
    once: Once = False,
) -> None:
    """Sample a PostgreSQL: a probe's latency, blocked sessions, the longest transaction, replicas' lag, dead tuples.

    The target's dsn stands in the settings ([targets.NAME]); its role needs pg_monitor to see other sessions.
    """
    with Stopping() as stopping:
        settings = Settings.load()
        if target not in settings.targets:
            raise TargetUnknown(target)
        from holdfast_producers.samplers.postgres import PostgresSampler

        dsn = settings.targets[target].dsn.get_secret_value()
        sampler = PostgresSampler(dsn, probe=probe, tables=table or (), response_time=response_time)
        _run(settings, stopping, target, sampler, every, once)


@app.command()
def command(
    target: Target,
    metric: Annotated[str, typer.Option(help="The figure's name; triggers call it target.NAME.")],
    argv: Annotated[list[str], typer.Argument(metavar="-- COMMAND", help="Its last line is the number.")],
    every: Every = 1.0,
    limit: Annotated[float, _time("10s", "How long it may take before it is killed")] = 10.0,
    once: Once = False,
) -> None:
    """Sample any command that prints a number."""
    with Stopping() as stopping:
        settings = Settings.load()
        if not METRIC_NAME.match(metric):
            raise typer.BadParameter(f"{metric!r}: allowed is {METRIC_NAME.pattern}", param_hint="--metric")
        name_or_refusal("holdfast sample", "target", target)
        from holdfast_producers.samplers.command import CommandSampler

        _run(settings, stopping, target, CommandSampler(argv, metric, limit), every, once)


def _run(settings: Settings, stopping: Stopping, target: str, sampler: Sampler, every: float, once: bool) -> None:
    if once:
        taken = sampler.sample()
        sampler.close()
        for name, value in taken.metrics.items():
            typer.echo(f"target.{name} {figure(value)}")
        if taken.response_seconds is not None:
            typer.echo(f"response time {figure(taken.response_seconds * 1000, 'ms')}")
        return
    configure_json_logging("sampler", settings.log_level)
    stopping.began(sampler.stop)  # `told` is looked at between two samples
    with HealthReporter(target, settings, heartbeat=False) as health:
        sample_for_ever(sampler, health, every, stopping.told.wait)
    sampler.close()
