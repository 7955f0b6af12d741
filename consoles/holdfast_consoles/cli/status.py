"""`holdfast status [ID]`: where each migration stands, whether it is guarded, and what one would type next."""

from typing import Annotated, Any

import typer

from holdfast_schemas.errors import UnknownMigration
from holdfast_schemas.metrics import MigrationMetrics
from holdfast_schemas.settings import Settings

from .choices import Json
from .completing import migration_ids
from .figures import age, ago, clock, figure, print_json
from .liveness import liveness
from .migration_reference import parse
from .recovering import how_far
from .shown import printable_text
from .situation import Situation, situation, situations

OBSERVED = "OBSERVED, NOT GUARDED"
FIRST_REPORT_SECONDS = 10.0
"""From the grant to the first judged report: a report a second, figures a second, and a rebalance of the processors."""


def status(
    which: Annotated[
        str | None, typer.Argument(metavar="ID", help="One migration; all unless given.", autocompletion=migration_ids)
    ] = None,
    as_json: Json = False,
) -> None:
    """Show how each migration stands, and what to type next.

    State, whether it is alive, progress, estimate with its range, rates, triggers, guard.
    """
    kafka = Settings.load().kafka
    if which is None:
        found = situations(kafka)
    else:
        one = situation(kafka, parse(which).migration_id)
        if one is None:
            raise UnknownMigration(parse(which).migration_id)
        found = [one]
    if as_json:
        shown = [as_plain(one) for one in found]
        print_json(shown if which is None else shown[0])
        return
    if not found:
        typer.echo("no migration is known yet: a runner with holdfast.Reporter makes itself known when it starts")
    for n, one in enumerate(found):
        typer.echo("\n" if n else "", nl=False)
        print_situation(one)


def print_situation(one: Situation) -> None:
    """A migration's lines on the terminal."""
    notice = f"  {OBSERVED}" if one.observed_only else ""
    typer.echo(f"{one.name}  {one.state()}{notice}")
    for label, text in lines(one):
        typer.echo(f"  {label:<9} {printable_text(text)}")
    for n, command in enumerate(one.next_commands()):
        typer.echo(f"  {'' if n else 'next':<9} {command}")


def as_plain(one: Situation) -> dict[str, Any]:
    """The same, for programs: docs/command-line.md says what each field is; later releases add fields, and take none away."""
    return {
        "migration_id": one.migration_id,
        "epoch": one.epoch,
        "state": one.state(),
        "over": one.over,
        "liveness": liveness(one),
        "guarded": one.guard.held and not one.observed_only,
        "guard": OBSERVED if one.observed_only else one.guard.sentence(),
        "desired": one.desired,
        "overridden_until": one.overridden_until,
        "metrics": one.figures,
        "next": one.next_commands(),
    }


def lines(one: Situation) -> list[tuple[str, str]]:
    """What is said of a migration, each line with its label: texts as their senders wrote them."""
    told = []
    if one.desired is not None and one.desired.answers is not None and one.desired.answers.result == "waiting":
        told.append(("start", f"waits: {one.desired.answers.reason}"))
    if one.desired is not None and one.desired.desired != "none":
        since = ago(one.desired.occurred_at)
        told.append(("wanted", f"{one.desired.desired}, set by {one.desired.set_by} {since}: {one.desired.reason}"))
    if one.desired is not None and one.overridden_until is not None:
        until, by = clock(one.overridden_until), one.desired.set_by
        told.append(("OVERRIDE", f"no trigger stops it until {until}, by {by} (asserted); holdfast pause ends it"))
    if one.recovery is not None:
        told.append(("recovery", how_far(one.recovery)))
    figures = one.figures
    if figures is None:
        told.append(("progress", unreported(one)))
    else:
        if not one.over:
            told.append(("alive?", liveness(one).sentence))
        told.append(("progress", f"{progress(figures)} (as of {ago(figures.updated_at)})"))
        if not one.over or figures.estimate.expected is not None:
            told.append(("estimate", estimate(figures)))
        told.append(("rates", _rates(figures)))
        for trigger in figures.triggers:
            told.append(("trigger", f"{trigger.trigger_id} ({trigger.action}): {trigger.verdict}"))
        if figures.refused_records:
            told.append(("refused", f"{figures.refused_records:,} records; holdfast dead-letters list shows why"))
    if not one.over:
        told.append(("guard", OBSERVED if one.observed_only else one.guard.sentence()))
    return told


def unreported(one: Situation) -> str:
    """Why there are no figures, and whom to ask: nobody, as long as the first report may be on its way."""
    if one.desired is None or one.desired.desired == "none":
        return "no report: the run has not begun"
    since = (one.guard.at - one.desired.occurred_at).total_seconds()
    if since < FIRST_REPORT_SECONDS:
        return "no report of this run was judged yet; the first is due"
    judged = one.guard.judged_seconds_ago
    if judged is None or judged > FIRST_REPORT_SECONDS:
        return f"no report of this run was judged in {age(since)}: is holdfast processor running?"
    return f"no report of this run came in {age(since)}: are its workers alive?"


def progress(figures: MigrationMetrics) -> str:
    """``4,548 of 200,000 rows (2.3 %), phase backfill, 412 failed, 2 of 2 workers``."""
    done = figures.rows_already_done + figures.rows_processed
    if figures.total_rows is None:
        text = f"{done:,} rows of an unknown total"
    else:
        about = "about " if figures.total_is_estimate else ""
        share = f" ({100 * done / figures.total_rows:.1f} %)" if figures.total_rows else ""
        text = f"{done:,} of {about}{figures.total_rows:,} rows{share}"
        text += ", more than the total: it was wrong" if figures.total_exceeded else ""
    text += f", phase {figures.current_phase}" if figures.current_phase else ""
    text += f", {figures.error_count:,} failed" if figures.error_count else ""
    text += f", {figures.rows_undone:,} taken back" if figures.rows_undone else ""
    return f"{text}, {figures.workers_live} of {figures.workers} workers live"


def estimate(figures: MigrationMetrics) -> str:
    """The end and its range, or why there is none."""
    found = figures.estimate
    why = "no worker is heard" if figures.state == "dead" else found.state.replace("_", " ")
    if found.expected is None:
        return f"none ({why})"
    if found.state == "done":
        return f"ended {clock(found.expected)}"
    latest = "open" if found.latest is None else clock(found.latest)
    earliest = "now" if found.earliest is None else clock(found.earliest)
    return f"{clock(found.expected)} (between {earliest} and {latest}; {why})"


def _rates(figures: MigrationMetrics) -> str:
    return ", ".join(
        (
            figure(figures.rows_per_second, "rows/s"),
            f"error rate {figure(figures.error_rate)}",
            figure(figures.average_processing_time, "s a row"),
            f"batches p95 {figure(figures.batch_duration_p95_ms, 'ms')}",
            f"response time p95 {figure(figures.response_time_p95_ms, 'ms')}",
        )
    )
