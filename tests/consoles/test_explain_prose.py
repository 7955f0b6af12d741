"""`explain` read as a stranger would: what a migration does and why, alive or not, what was decided, asked, and became of it."""

# ruff: noqa: E501 - a table of sentences
from datetime import timedelta
from typing import Any

import pytest

from holdfast_consoles.cli.explain import told
from holdfast_consoles.cli.situation import Situation
from holdfast_schemas.actions import ActionRecorded
from holdfast_schemas.decisions import Decision
from holdfast_schemas.record import now
from tests.consoles.test_board import DESIRED, guard, one, reading
from tests.consoles.test_status import like
from tests.schemas.samples import LATER, SAMPLES, VERDICT

[DECISION], [ACTION] = SAMPLES["decisions"], SAMPLES["actions"]
Told = tuple[Situation, list[Decision], list[ActionRecorded]]
PAUSE: Decision = like(DECISION, superseded_by=None)
ROLLBACK: Decision = like(
    PAUSE, decision_id="b" * 32, trigger_id="error-rate-rollback", action="rollback", verdict="error_rate 0.2 > 0.1"
)


def stands(
    state: str, wish: str | None = "run", by: str = "ledger", why: str = "granted to vm", **more: Any
) -> Situation:
    """A migration #7 in this state; ``wish``, ``by``, ``why``, ``until``: what the ledger wants of it."""
    until = more.pop("until", None)
    figures = {"seconds_since_report": 1.0, "seconds_since_progress": 3.0, "triggers": (reading(reading="ok"),)}
    found = one("orders", wish, **{**figures, "state": state, **more})
    if found.desired is None:
        return found
    wanted = like(found.desired, set_by=by, reason=why, until=until, occurred_at=LATER)
    return Situation("orders", found.metrics, wanted, found.guard)


def became(outcome: str, reason: str, cause: str = PAUSE.decision_id, **more: Any) -> ActionRecorded:
    return like(ACTION, outcome=outcome, reason=reason, cause_id=cause, revision=9, steps_left=None, **more)  # type: ignore[no-any-return]


def asked(kind: str, outcome: str, reason: str, first: str = "lunch", epoch: int | None = 6) -> list[ActionRecorded]:
    """A person's request: the first record with the person's reason, the newest with the ledger's."""
    person: dict[str, Any] = {
        "cause_kind": "request", "cause_id": "r-1", "kind": kind, "actor": "ana@db", "verdict": "", "epoch": epoch,
        "trigger_id": None, "decided_at": None, "effective_at": None, "steps_left": None,
    }  # fmt: skip
    return [
        like(ACTION, **person, outcome="requested", revision=1, reason=first),
        like(ACTION, **person, outcome=outcome, revision=2, reason=reason),
    ]


WAITING = {"result": "waiting", "reason": "required signals are not there: slow"}
NEW = Situation(
    "orders",
    None,
    like(one().desired, migration_id="orders", desired="none", epoch=0, answers=like(DESIRED.answers, **WAITING)),  # type: ignore[attr-defined,arg-type]
    guard(),
)

CASES: dict[str, tuple[Told, list[str]]] = {
    "runs": (
        (stands("running"), [], []),
        [
            "orders#7 is running. The ledger let it run at 2026-03-01 13:30:00 UTC (granted to vm).",
            "Alive: 1 of 2 workers are heard, the last 1 s ago; a row moved 3 s of running time ago.",
            "Guard: lease renewed 1 s ago by actuator-1, never judged.",
            "No trigger has decided anything.",
        ],
    ),
    "paused by a trigger": (
        (stands("paused", "pause", "trigger:error-rate-pause", VERDICT), [PAUSE], [became("effective", "all stopped", epoch=7)]),
        [
            f"orders#7 is paused. The trigger error-rate-pause paused it at 2026-03-01 13:30:00 UTC ({VERDICT}). "
            "It stays paused until it is resumed.",
            f"At 2026-03-01 12:00:00 UTC error-rate-pause decided pause: {VERDICT}. It took effect at #7 (all stopped).",
        ],
    ),
    "paused by a person for a time": (
        (stands("paused", "pause", "ana@db", "lunch", until=LATER), [], asked("pause", "effective", "all stopped")),
        [
            "ana@db (asserted) paused it at 2026-03-01 13:30:00 UTC (lunch). "
            "It stays paused until 2026-03-01 13:30:00 UTC, unless resumed before.",
            "At 2026-03-01 13:30:00 UTC ana@db (asserted) asked for a pause: lunch. It took effect at #6 (all stopped).",
        ],
    ),
    "not paused yet": (
        (stands("running", "pause", "ana@db", "lunch"), [], asked("pause", "unacknowledged", "1 of 2 workers")),
        [
            "orders#7 is running, pause requested. ana@db (asserted) asked for a pause at 2026-03-01 13:30:00 UTC (lunch), "
            "until it is resumed.",
            "Not every worker has answered in time (1 of 2 workers).",
        ],
    ),
    "stuck": (
        (stands("stuck", seconds_since_progress=75.0), [], []),
        [
            "orders#7 is stuck.",
            "Stuck: 1 of 2 workers are heard, the last 1 s ago, but no row moved for 75 s of running time.",
            "See what its workers wait for",
        ],
    ),
    "dead": (
        (stands("dead", seconds_since_report=600.0, workers_live=0), [], []),
        ["Dead: no worker was heard for 10 min.", "Nothing moves until a worker is started"],
    ),
    "nobody knows": (
        (stands("running", updated_at=now() - timedelta(minutes=5)), [], []),
        ["Whether it is alive is unknown: its newest figures are 5 min old: is holdfast processor running?"],
    ),
    "rolling back": (
        (
            stands("rolling_back", "rollback", "trigger:error-rate-rollback", "error_rate 0.2 > 0.1", rows_undone=900),
            [like(PAUSE, superseded_by="b" * 32), ROLLBACK],
            [became("superseded", "x", epoch=None), like(became("acknowledged", "all stopped", "b" * 32, epoch=8), steps_left=17)],
        ),
        [
            "orders#7 is rolling back. The trigger error-rate-rollback had it rolled back at",
            "900 rows are taken back so far.",
            f"error-rate-pause decided pause: {VERDICT}. It gave way to error-rate-rollback, which is severer.",
            "The workers have acknowledged it at #8; 17 steps of the undo are left (all stopped).",
        ],
    ),
    "rolled back": (
        (stands("finished", None, outcome="rolled_back"), [ROLLBACK], [became("effective", "900 rows undone", "b" * 32, epoch=5)]),
        ["orders#4 was rolled back; the run is closed.", "It took effect at #5 (900 rows undone)."],
    ),
    "ended, and watched": (
        (stands("finished", outcome="completed"), [], []),
        ["orders#7 has completed."],
    ),
    "overridden": (
        (
            stands("running", "run", "ana@db", "known rows", until=LATER),
            [like(PAUSE, reassertion=3)],
            [became("refused", "ana@db lets it go on", epoch=None), *asked("override", "effective", "", "known rows")],
        ),
        [
            "orders#7 is running. ana@db (asserted) lets it go on whatever its triggers say, from 2026-03-01 13:30:00 UTC "
            "until 2026-03-01 13:30:00 UTC (known rows). holdfast pause ends that.",
            f"decided pause, for the same breach (repeat 3): {VERDICT}. It was refused (ana@db lets it go on).",
            "asked for an override: known rows. It took effect at #6.",
        ],
    ),
    "observed": (
        (stands("running", None, mode="observe"), [PAUSE], [became("noted", "observe mode", epoch=None)]),
        ["OBSERVED, NOT GUARDED: what triggers decide is noted, and not done.", "It was noted, and nothing was done"],
    ),
    "observed to the end": (
        (stands("finished", None, mode="observe", outcome="completed"), [], []),
        ["orders#4 has completed. OBSERVED, NOT GUARDED: what triggers decided was noted, and not done."],
    ),
    "waits for its start": (
        (NEW, [], []),
        ["orders#0 has not begun: it waits, required signals are not there: slow."],
    ),
    "a rollback that needs a person": (
        (stands("dead", "rollback", "bob", "wrong", workers_live=0), [], asked("rollback", "held", "no worker can undo")),
        ["orders#7 is dead, rollback requested.", "It is held, and needs a person (no worker can undo)."],
    ),
    "refused at once": (
        (stands("paused", "pause"), [], asked("resume", "refused", "now #9", first="now #9", epoch=None)),
        ["ana@db (asserted) asked for a resume. It was refused (now #9)."],
    ),
    "an actuator that is away": (
        (stands("running"), [PAUSE], []),
        [f"decided pause: {VERDICT}. Nothing was recorded of it yet: is holdfast actuator running?"],
    ),
    "signals that are missing": (
        (stands("running", triggers=(reading(reading="missing", verdict="response_time_p95 missing"),)), [], []),
        ["Not judged at the moment: response_time_p95 missing."],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_story(case: str) -> None:
    (found, decisions, actions), expected = CASES[case]
    text = "\n".join(told(found, decisions, actions))
    for words in expected:
        assert words in text


def test_only_what_goes_on_is_said_to_live_and_to_be_guarded() -> None:
    text = "\n".join(told(stands("finished", outcome="completed"), [], []))
    assert "Guard" not in text
    assert "Alive" not in text


def test_texts_of_records_do_not_drive_the_terminal() -> None:
    text = "\n".join(told(stands("paused", "pause", "ana", "\x1b[2Jboo"), [], []))
    assert "\x1b" not in text
    assert "boo" in text
