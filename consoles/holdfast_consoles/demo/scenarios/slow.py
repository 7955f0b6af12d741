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
HOLD_SECONDS, GAP_SECONDS = "0.4", "0.1"
"""About one write in ten waits: well over the one in twenty that makes a p95, however fast the others are."""
TOLERANCE = 0.25
RANKS = (0.92, 0.98)
"""Where the journal's p95 may stand: samples come once a second, so the window's edges differ by a second of its writes;
and a warning comes just when one write in twenty is slow, where the exact p95 jumps from a few ms to hundreds."""


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
    play.check(warned_as_the_journal_says(warned, journal))
    play.check(_went_on(play, warned.decided_at))
    play.take(check_completed(play.stage.app_dsn, journal))
    acted = [d.record.verdict for d in play.story.decisions if d.record.action != "warn"]
    play.check(Check("nothing but warnings", not acted, "; ".join(acted) or f"{len(play.story.decisions)} warnings"))
    play.check(Check("the run completed", play.story.finished == "completed", str(play.story.finished)))


def _p95(play: Play) -> float | None:
    return None if play.story.metrics is None else play.story.metrics.response_time_p95_ms


def warned_as_the_journal_says(warned: Decision, journal: list[Write]) -> Check:
    """The application's own journal, sorted, has the same p95 as near as the edges of the window let it be told."""
    since = warned.decided_at - timedelta(seconds=WINDOW_SECONDS)
    within = sorted(write.seconds * 1000 for write in journal if since <= write.at <= warned.decided_at) or [0.0]
    low, exact, high = (within[int(rank * (len(within) - 1))] for rank in (RANKS[0], 0.95, RANKS[1]))
    observed = warned.observed or 0.0
    agrees = high > LIMIT_MS and low * (1 - TOLERANCE) <= observed <= high * (1 + TOLERANCE)
    return Check(
        "warned that the application was slow, as its own journal says",
        warned.metric == "response_time_p95" and agrees,
        f"{warned.verdict}; {exact:.0f} ms ({low:.0f} to {high:.0f}) by the journal's {len(within)} writes",
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
