"""slow: a neighbour makes the application slow; its p95 is over the limit: a warning, and the migration goes on."""

from datetime import datetime, timedelta

import psycopg

from holdfast_schemas.decisions import Decision
from holdfast_schemas.triggers import DEFAULT_RULES, RuleSet

from ..application import APPLICATION_NAME, Write, read_journal
from ..checker import RUNNER_NAME, Check, check_completed
from .play import Play

LIMIT_MS, WINDOW_SECONDS = 150.0, 12.0
RULES = RuleSet(
    triggers=tuple(
        t.model_copy(update={"threshold": LIMIT_MS, "window_seconds": WINDOW_SECONDS}) if t.of_target else t
        for t in DEFAULT_RULES.triggers
    )
)
HOLD_SECONDS, GAP_SECONDS = "0.4", "0.2"
TOLERANCE = 0.25
"""Of the p95: the sketch is within 1 %, the window's edges within a pane, and samples come once a second."""


def slow(play: Play) -> None:
    """Play it."""
    play.apply_rules(RULES, f"response_time_p95 > {LIMIT_MS:g} ms over {WINDOW_SECONDS:g} s (2,000 ms over 60 s)")
    play.start_worker("runner")
    play.wait(lambda: _p95(play) is not None and play.story.rows_done() > 0, "rows, and the application's health")
    before = _p95(play) or 0.0
    quiet = not play.story.decisions
    neighbour = play.stage.start_module("neighbour", play.stage.app_dsn, HOLD_SECONDS, GAP_SECONDS)
    play.live.say("another session locks the table again and again: the application waits")
    play.wait(lambda: bool(play.story.decisions), "the warning")
    warned = play.story.decisions[0].record
    neighbour.stop()
    play.live.say("the other session ends")
    play.wait(lambda: play.story.finished is not None, "the end of the run")
    play.stop_application()
    journal = read_journal(play.journal)
    play.check(Check("no warning before it was slow", quiet, f"p95 {before:.0f} ms then"))
    play.check(_warned(warned, journal))
    play.check(_went_on(play, warned.decided_at))
    play.take(check_completed(play.stage.app_dsn, journal))
    acted = [d.record.verdict for d in play.story.decisions if d.record.action != "warn"]
    play.check(Check("nothing but warnings", not acted, "; ".join(acted) or f"{len(play.story.decisions)} warnings"))
    play.check(Check("the run completed", play.story.finished == "completed", str(play.story.finished)))


def _p95(play: Play) -> float | None:
    return None if play.story.metrics is None else play.story.metrics.response_time_p95_ms


def _warned(warned: Decision, journal: list[Write]) -> Check:
    """The application's own journal gives the same p95, by sorting what it measured itself."""
    since = warned.decided_at - timedelta(seconds=WINDOW_SECONDS)
    within = sorted(write.seconds * 1000 for write in journal if since <= write.at <= warned.decided_at)
    exact = within[int(0.95 * (len(within) - 1))] if within else 0.0
    observed = warned.observed or 0.0
    agrees = exact > LIMIT_MS and abs(exact - observed) <= TOLERANCE * exact
    return Check(
        "warned that the application was slow, as its own journal says",
        warned.metric == "response_time_p95" and agrees,
        f"{warned.verdict}; {exact:.0f} ms by the journal's {len(within)} writes",
    )


def _went_on(play: Play, since: datetime) -> Check:
    with psycopg.connect(play.stage.app_dsn) as db:
        row = db.execute(
            "SELECT count(*) FILTER (WHERE application_name LIKE %s || '%%'), count(*) FILTER (WHERE application_name = %s)"
            " FROM audit.write WHERE at > %s",
            (RUNNER_NAME, APPLICATION_NAME, since),
        ).fetchone() or (0, 0)
    return Check(
        "the migration went on after it", row[0] > 0, f"{row[0]:,} rows by the runner, {row[1]:,} by the application"
    )
