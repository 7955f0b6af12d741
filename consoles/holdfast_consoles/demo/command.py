"""`holdfast demo`: the whole loop here, with a verdict of the database at the end."""

import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import typer

from . import orders
from .checker import Check
from .live import Live
from .report import Report, decision_reports
from .scenarios import SCENARIOS
from .scenarios.play import Play
from .stage import HOLDFAST, Stage, stage
from .story import Reader, Story

ROWS_MIN = 20_000
OUTCOMES = {"completed": "completed", "rolled_back": "rolled_back", "lost": "lost", "refused": "refused"}

ScenarioName = Literal["errors", "healthy", "slow", "stall", "guard-lost", "sharded", "takeover", "undo"]
SCENARIO_HELP = " ".join(f"{name}: {scenario.summary}." for name, scenario in SCENARIOS.items())


def demo(
    scenario: Annotated[ScenarioName, typer.Option(help=SCENARIO_HELP)] = "errors",
    rows: Annotated[int, typer.Option(help="Rows of the table `orders`.", min=ROWS_MIN)] = 200_000,
    seed: Annotated[int, typer.Option(help="Lays out the bad rows and the application's writes.")] = 1,
    broker: Annotated[
        str | None,
        typer.Option(
            help="inprocess, kafka (a real Apache Kafka 4.2 from Python packages), or HOST:PORT.",
            show_default="inprocess; kafka for what needs a real one",
        ),
    ] = None,
    runner: Annotated[
        str | None,
        typer.Option(help="The runner's module; it is started with python -m.", show_default="the scenario's"),
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write what happened as JSON.")] = None,
    keep: Annotated[bool, typer.Option(help="Keep the folder with every log.")] = False,
) -> None:
    """Watch a real migration go wrong, be paused, resumed, and taken back, and let the database say that it was."""
    needs_kafka = SCENARIOS[scenario].real_kafka
    broker = broker or ("kafka" if needs_kafka else "inprocess")
    if broker not in ("inprocess", "kafka") and ":" not in broker:
        raise typer.BadParameter(f"{broker!r} is none of inprocess, kafka, HOST:PORT", param_hint="--broker")
    if broker == "inprocess" and needs_kafka:
        raise typer.BadParameter(f"{scenario} plays on a real Kafka: kafka or HOST:PORT", param_hint="--broker")
    story = Report(scenario=scenario, rows=rows, seed=seed, broker=broker)
    live = Live()
    failed = False
    started = time.monotonic()
    try:
        with _ended_by_sigterm(), _folder(live, lambda: keep or failed) as folder:
            try:
                _play(folder, story, live, runner)
                failed = not story.passed
            except Exception:
                failed = True
                raise
            finally:
                live.close()
    finally:
        story.wall_seconds = round(time.monotonic() - started, 1)
        if report is not None:
            story.write(report)
    live.say(
        f"{story.outcome}; {sum(c.passed for c in story.checks)} of {len(story.checks)} checks passed; {story.wall_seconds} s"
    )
    if not story.passed:
        raise typer.Exit(1)


def _play(folder: Path, report: Report, live: Live, runner: str | None) -> None:
    scenario = SCENARIOS[report.scenario]
    live.say(f"scenario {report.scenario}, {report.rows:,} rows, seed {report.seed}, broker {report.broker}")
    for section, values in scenario.settings.items():
        live.say(f"shortened for the demo: [{section}] " + ", ".join(f"{k} = {v:g}" for k, v in values.items()))
    with stage(
        report.broker,
        folder,
        live.say,
        actuators=scenario.actuators,
        settings=scenario.settings,
        migrations=scenario.migrations,
    ) as on:
        live.say(f"making the table `orders` with {report.rows:,} rows")
        orders.create(on.app_dsn, report.rows, report.seed, healthy=not scenario.bad_rows, parts=scenario.shards)
        story = Story(orders.MIGRATION_ID)
        with Reader(on.kafka, story) as reader:
            journal = folder / "application-journal.jsonl"
            journal.touch()
            application = on.start_module("application", on.app_dsn, str(journal), str(report.seed))
            batch_rows = max(1, report.rows // scenario.batches)
            play = Play(on, story, reader, live, report, journal, runner or scenario.runner, batch_rows, application)
            try:
                scenario.play(play)
            finally:
                report.decisions = decision_reports(story)
                report.events = story.events
                report.outcome = OUTCOMES.get(story.finished or "", _unfinished(story))
            live.times(story)
            _verify(on, play)


def _unfinished(story: Story) -> str:
    """What a run that did not end was doing: paused counts as an outcome, everything else as failed."""
    return "paused" if story.metrics is not None and story.metrics.state == "paused" else "failed"


def _verify(on: Stage, play: Play) -> None:
    child = on.start("verify", [*HOLDFAST, "verify"])
    code = child.wait(120)
    play.report.verified = code == 0
    said = child.log_tail(2 if code == 0 else 12).splitlines()
    detail = said[0].strip() if code == 0 and said else " | ".join(said)
    play.check(Check("`holdfast verify` agrees: the same log judged again", code == 0, detail))


@contextlib.contextmanager
def _folder(live: Live, kept: Callable[[], bool]) -> Iterator[Path]:
    """A folder for data and logs; it goes at the end, unless the demo failed: then its logs stay and are named."""
    folder = Path(tempfile.mkdtemp(prefix="holdfast-demo-"))
    folder.chmod(0o711)  # PostgreSQL's own user must pass through it
    try:
        yield folder
    finally:
        if kept():
            for data in [path for path in folder.iterdir() if path.is_dir()]:
                shutil.rmtree(data, ignore_errors=True)
            live.say(f"logs: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does: through every with statement, so nothing is left running."""

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
