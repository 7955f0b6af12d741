"""stall: the runner hangs behind a lock and is called stuck; it is killed and is called dead; each with its verdict."""

import psycopg

from holdfast_schemas.triggers import DEFAULT_RULES, JudgementSettings, RuleSet, Trigger

from ..application import read_journal
from ..checker import RUNNER_NAME, Check, check_completed
from .play import Play

STUCK_SECONDS, DEAD_SECONDS = 5.0, 6.0
RULES = RuleSet(
    triggers=(
        *DEFAULT_RULES.triggers,
        Trigger(
            id="stuck-warn",
            metric="seconds_since_progress",
            threshold=STUCK_SECONDS,
            action="warn",
            on_missing="ignore",
        ),
        Trigger(id="silent-warn", metric="seconds_since_report", threshold=DEAD_SECONDS, action="warn"),
    ),
    judgement=JudgementSettings(
        stuck_floor_seconds=STUCK_SECONDS, stuck_gap_factor=4.0, dead_after_seconds=DEAD_SECONDS
    ),
)
FOR_EVER = "3600"


def stall(play: Play) -> None:
    """Play it."""
    play.apply_rules(
        RULES, f"stuck after {STUCK_SECONDS:g} s without progress (60 s), dead after {DEAD_SECONDS:g} s (30 s)"
    )
    play.start_worker("runner")
    play.wait(lambda: play.story.rows_done() > 0, "the first rows")
    _hang(play)
    _die(play)
    play.wait(lambda: play.story.finished is not None, "the end of the run")
    play.stop_application()
    play.take(check_completed(play.stage.app_dsn, read_journal(play.journal)))
    acted = [d.record.verdict for d in play.story.decisions if d.record.action != "warn"]
    play.check(Check("nothing but warnings", not acted, "; ".join(acted) or f"{len(play.story.decisions)} warnings"))
    play.check(Check("the run completed", play.story.finished == "completed", str(play.story.finished)))


def _hang(play: Play) -> None:
    """A neighbour's lock: the runner's batch waits behind it, its reports go on."""
    neighbour = play.stage.start_module("neighbour", play.stage.app_dsn, FOR_EVER, "0")
    play.live.say("another session locks the table: the runner's batch waits behind it")
    play.wait(lambda: _state(play) == "stuck", "stuck")
    play.wait(lambda: _waits_for_a_lock(play), "the runner's session waiting for a lock")
    play.wait(lambda: bool(_verdict(play, "stuck-warn")), "the verdict on it")
    said, decided = _liveness(play), _verdict(play, "stuck-warn")
    done = play.story.rows_done()
    neighbour.stop()
    play.live.say("the other session ends, and its lock with it")
    play.wait(lambda: play.story.rows_done() > done, "rows after the lock")
    heard = "1 of 1 workers heard" in said and "1 of 1 workers heard" in decided
    play.check(Check("while it hung it was stuck, and heard", heard, decided))
    play.check(Check("nobody called it dead meanwhile", not _verdict(play, "silent-warn"), said))


def _die(play: Play) -> None:
    """A SIGKILL: nobody reports any more."""
    before = len([d for d in play.story.decisions if d.record.trigger_id == "stuck-warn"])
    play.kill_worker("runner")
    play.live.say("killed the runner (SIGKILL)", "bold red")
    play.wait(lambda: _state(play) == "dead", "dead")
    play.wait(lambda: bool(_verdict(play, "silent-warn")), "the verdict on it")
    said, decided = _liveness(play), _verdict(play, "silent-warn")
    with psycopg.connect(play.stage.app_dsn) as db:
        sessions = db.execute(
            "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE %s || '%%'", (RUNNER_NAME,)
        ).fetchall()
    stuck = len([d for d in play.story.decisions if d.record.trigger_id == "stuck-warn"]) - before
    play.check(Check("once it was killed it was dead, and not heard", "0 of 1 workers heard" in said, decided))
    play.check(
        Check("nobody called it stuck again", stuck == 0 and not sessions, f"{said}; {len(sessions)} sessions of it")
    )
    play.start_worker("runner-again")
    play.live.say("started the runner again: it goes on where it was")


def _state(play: Play) -> str | None:
    return None if play.story.metrics is None else play.story.metrics.state


def _liveness(play: Play) -> str:
    return "" if play.story.metrics is None else play.story.metrics.liveness


def _verdict(play: Play, trigger_id: str) -> str:
    """The newest verdict of a trigger; empty where it did not decide."""
    found = [d.record.verdict for d in play.story.decisions if d.record.trigger_id == trigger_id]
    return found[-1] if found else ""


def _waits_for_a_lock(play: Play) -> bool:
    with psycopg.connect(play.stage.app_dsn) as db:
        return bool(
            db.execute(
                "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE %s || '%%' AND wait_event_type = 'Lock'",
                (RUNNER_NAME,),
            ).fetchall()
        )
