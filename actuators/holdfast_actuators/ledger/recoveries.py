"""What stands armed on the targets, as actuators saw it last; which run waits for it, and when it is over."""

from collections.abc import Mapping
from datetime import timedelta

import psycopg

from holdfast_schemas.runs import RunRequested
from holdfast_schemas.states import AnswerResult
from holdfast_schemas.triggers import RuleSet

from ..protection import Major, judge_protection
from .entry import Entry

SEEN_SECONDS = 30.0
"""A recovery that no actuator saw for so long is not counted on."""
READY = ("armed", "fencing", "fenced", "captured", "undoing")


def seen(db: psycopg.Connection, migration_id: str, state: str, protect: str, major: Major | None) -> None:
    """Note what the target's journal says of a recovery, and how the settings protect the migration.

    ``major``: what is at stake in it; None leaves what was noted of that before.
    """
    db.execute(
        "INSERT INTO recovery (migration_id, state, protect, is_major, major_why) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (migration_id) DO UPDATE SET state = excluded.state, protect = excluded.protect,"
        " seen_at = clock_timestamp(), is_major = coalesce(excluded.is_major, recovery.is_major),"
        " major_why = coalesce(excluded.major_why, recovery.major_why)",
        (migration_id, state, protect, major and major.is_major, major and major.why),
    )


def expect(db: psycopg.Connection, protect: Mapping[str, str]) -> None:
    """The migrations that settings protect, and how, before any target was seen: the gate must not let one pass meanwhile.

    What settings name no more is not protected any more.
    """
    for migration_id, how in protect.items():
        db.execute(
            "INSERT INTO recovery (migration_id, state, protect) VALUES (%s, 'unknown', %s)"
            " ON CONFLICT (migration_id) DO UPDATE SET protect = excluded.protect",
            (migration_id, how),
        )
    db.execute("UPDATE recovery SET protect = 'never' WHERE migration_id <> ALL(%s)", (list(protect),))


def ready(entry: Entry, migration_id: str) -> bool:
    """Whether the migration's rows can be taken back from the log."""
    row = entry.db.execute("SELECT state, seen_at FROM recovery WHERE migration_id = %s", (migration_id,)).fetchone()
    return row is not None and row[0] in READY and entry.now - row[1] <= timedelta(seconds=SEEN_SECONDS)


def gate(entry: Entry, asked: RunRequested, rules: RuleSet) -> tuple[AnswerResult, str] | None:
    """The start gate's answer where a migration is to be armed before its first row, and is not; None: it may start."""
    row = entry.db.execute(
        "SELECT state, protect, run_id, refusal, armed_for, is_major, major_why FROM recovery WHERE migration_id = %s",
        (asked.migration_id,),
    ).fetchone()
    if row is None:
        return None
    state, protect, run_id, refusal, armed_for, is_major, major_why = row
    major = None if is_major is None else Major(is_major, major_why)
    protection = judge_protection(protect, _rolling_back(asked, rules), major)
    if protection.armed is None:
        return "waiting", f"whether it is to be armed first is not known: {protection.why}"
    if not protection.armed:
        return None
    if run_id != asked.run_id:
        refusal = None
        entry.db.execute(
            "UPDATE recovery SET run_id = %s, refusal = NULL WHERE migration_id = %s",
            (asked.run_id, asked.migration_id),
        )
    if state == "armed" and armed_for in (None, asked.run_id) and ready(entry, asked.migration_id):
        armed(entry.db, asked.migration_id, asked.run_id)  # by hand, and by nobody's run yet
        return None
    if refusal is not None:
        return "refused", refusal
    return "waiting", f"it is being armed first: {protection.why} (its recovery is {state})"


def _rolling_back(asked: RunRequested, rules: RuleSet) -> list[str]:
    """Triggers in force that may roll the migration back."""
    return [
        t.id
        for t in rules.triggers
        if t.action == "rollback" and t.mode == "enforce" and t.concerns(asked.migration_id, asked.target)
    ]


def to_arm(db: psycopg.Connection, migration_ids: list[str]) -> list[tuple[str, str]]:
    """(migration, run) of those whose run waits for it, and that were not refused; also what an earlier run was armed with
    is armed anew, else an undo of this one would take the earlier one's rows back too."""
    rows = db.execute(
        "SELECT migration_id, run_id FROM recovery WHERE migration_id = ANY(%s) AND run_id IS NOT NULL AND refusal IS NULL"
        " AND (state <> ALL(%s) OR (state = 'armed' AND armed_for <> run_id))"
        " AND NOT EXISTS (SELECT 1 FROM run r WHERE r.run_id = recovery.run_id)",
        (migration_ids, list(READY)),
    ).fetchall()
    return [(migration_id, run_id) for migration_id, run_id in rows]


def armed(db: psycopg.Connection, migration_id: str, run_id: str) -> None:
    """The slot begins with this run."""
    db.execute("UPDATE recovery SET armed_for = %s WHERE migration_id = %s", (run_id, migration_id))


def refused(db: psycopg.Connection, migration_id: str, run_id: str, why: str) -> None:
    """It cannot be armed for this run: the gate says so."""
    db.execute("UPDATE recovery SET refusal = %s WHERE migration_id = %s AND run_id = %s", (why, migration_id, run_id))


def to_disarm(db: psycopg.Connection, migration_ids: list[str]) -> list[str]:
    """Those whose run is closed: its watch window is over, and nothing will be taken back any more."""
    rows = db.execute(
        "SELECT c.migration_id FROM recovery c JOIN run r ON r.run_id = c.run_id AND r.state = 'closed'"
        " WHERE c.migration_id = ANY(%s)",
        (migration_ids,),
    ).fetchall()
    return [migration_id for (migration_id,) in rows]


def over(db: psycopg.Connection, migration_id: str) -> None:
    """It is disarmed, and no run's any more."""
    db.execute(
        "UPDATE recovery SET run_id = NULL, armed_for = NULL, refusal = NULL WHERE migration_id = %s", (migration_id,)
    )
