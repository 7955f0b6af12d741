"""Undos from the log: a row each, worked at by whichever actuator holds its lease. The target fences the rows themselves.

The lease only keeps two from doing the same at once; what keeps a frozen one from writing is the token in the target's journal.
"""

from dataclasses import dataclass

import psycopg

from holdfast_schemas.desired_state import Recovering

from .entry import OPEN, Entry
from .rows import ActionRow, MigrationRow

LEASE_SECONDS = 15.0


@dataclass(frozen=True)
class LogUndo:
    """One that is due, and ours while ``token`` is the newest."""

    cause_id: str
    migration_id: str
    run_id: str
    on_conflict: str
    token: int


def under_way(entry: Entry, run_id: str | None) -> bool:
    """Whether an undo from the log is due or being done for this run."""
    row = entry.db.execute("SELECT 1 FROM log_undo WHERE run_id = %s AND done_at IS NULL", (run_id,)).fetchone()
    return row is not None


@dataclass(frozen=True)
class Asked:
    """How a rollback is to be done: a person may choose, a trigger's is ``auto`` and ``keep``."""

    method: str
    on_conflict: str


def asked(entry: Entry, rollback: ActionRow) -> Asked:
    """What was asked for with this rollback."""
    row = entry.db.execute(
        "SELECT coalesce(body->>'method', 'auto'), coalesce(body->>'on_conflict', 'keep') FROM action WHERE cause_id = %s",
        (rollback.cause_id,),
    ).fetchone()
    assert row is not None
    return Asked(*row)


def begin(entry: Entry, rollback: ActionRow, m: MigrationRow) -> None:
    """Owe the undo of the run that is current. A higher undo token: no worker takes it back beside us."""
    token = m.undo_token + 1
    epoch = entry.desire(m, "rollback", m.set_by, m.reason, undo_by=None, undo_token=token)
    cause_id = f"{rollback.cause_id}/log/{token}"
    reason = "the actuator is to take the run back from the log"
    entry.open(
        cause_id, "deadline", "undo", "requested", actor="ledger", reason=reason,
        migration_id=m.migration_id, run_id=m.run_id, epoch=epoch,
    )  # fmt: skip
    entry.db.execute(
        "INSERT INTO log_undo (cause_id, rollback_cause_id, migration_id, run_id, on_conflict) VALUES (%s, %s, %s, %s, %s)",
        (cause_id, rollback.cause_id, m.migration_id, m.run_id, asked(entry, rollback).on_conflict),
    )


def take(db: psycopg.Connection, owner: str, migration_ids: list[str]) -> LogUndo | None:
    """The oldest that is due among these migrations and that nobody works at, with a lease on it."""
    row = db.execute(
        "UPDATE log_undo SET token = token + 1, owner = %s, lease_until = clock_timestamp() + make_interval(secs => %s)"
        " WHERE cause_id = (SELECT cause_id FROM log_undo WHERE done_at IS NULL AND lease_until < clock_timestamp()"
        " AND migration_id = ANY(%s) ORDER BY cause_id LIMIT 1 FOR UPDATE SKIP LOCKED)"
        " RETURNING cause_id, migration_id, run_id, on_conflict, token",
        (owner, LEASE_SECONDS, migration_ids),
    ).fetchone()
    return None if row is None else LogUndo(*row)


def renew(db: psycopg.Connection, undo: LogUndo, seconds: float = LEASE_SECONDS) -> bool:
    """Keep the lease for ``seconds`` from now; False when another one has it."""
    return bool(
        db.execute(
            "UPDATE log_undo SET lease_until = clock_timestamp() + make_interval(secs => %s)"
            " WHERE cause_id = %s AND token = %s AND done_at IS NULL",
            (seconds, undo.cause_id, undo.token),
        ).rowcount
    )


def note_progress(entry: Entry, undo: LogUndo, progress: Recovering) -> bool:
    """Keep how far it is; False when it is told already, is over, or another one has the lease."""
    return bool(
        entry.db.execute(
            "UPDATE log_undo SET progress = %(now)s::jsonb WHERE cause_id = %(cause_id)s AND token = %(token)s"
            " AND done_at IS NULL AND progress - 'reported_at' IS DISTINCT FROM %(now)s::jsonb - 'reported_at'",
            {"now": progress.model_dump_json(), "cause_id": undo.cause_id, "token": undo.token},
        ).rowcount
    )


def end(entry: Entry, undo: LogUndo) -> tuple[ActionRow | None, ActionRow | None]:
    """It is over: its own action and the rollback's, where they are still open. Nothing is said twice."""
    row = entry.db.execute(
        "UPDATE log_undo SET done_at = clock_timestamp() WHERE cause_id = %s AND token = %s AND done_at IS NULL"
        " RETURNING rollback_cause_id",
        (undo.cause_id, undo.token),
    ).fetchone()
    if row is None:
        return None, None
    own, rollback = entry.action(undo.cause_id), entry.action(row[0])
    return (own if own.state in OPEN else None), (rollback if rollback.state in OPEN else None)
