"""What the ledger forgets: final actions and closed runs older than ``keep_days``, a bounded number at a time.

A cause is remembered longer than its topic holds it, else a replay of the topic would find it new. Old is what is old by
the ledger's clock and by the broker's: one that jumped ahead by itself makes nothing old.
"""

from dataclasses import dataclass
from datetime import datetime

import psycopg

from holdfast_schemas.states import FINAL_OUTCOMES

LOCK = 0x4B454550
"""Advisory lock ("KEEP"): one actuator at a time."""
BATCH_ROWS = 500
BATCH_SECONDS = 5
"""A batch that takes longer is given up for now: it runs between deadlines."""

OLD_ACTIONS = """
DELETE FROM action WHERE cause_id IN (
    SELECT a.cause_id FROM action a
    WHERE a.recorded_at < %(before)s AND a.state = ANY(%(final)s)
      AND NOT EXISTS (SELECT 1 FROM run r WHERE r.run_id = a.run_id AND r.state <> 'closed')
      AND (a.migration_id IS NULL
           OR EXISTS (SELECT 1 FROM action n WHERE n.migration_id = a.migration_id AND n.recorded_at > a.recorded_at))
      AND a.cause_id IS DISTINCT FROM (SELECT request_id FROM rules ORDER BY version DESC LIMIT 1)
      AND NOT EXISTS (SELECT 1 FROM outbox o
                      WHERE o.key = convert_to(coalesce(a.migration_id, '~' || a.kind), 'UTF8'))
    ORDER BY a.recorded_at LIMIT %(rows)s FOR UPDATE OF a SKIP LOCKED)"""
"""Final, of no run that is open, not its migration's newest, not the rules in force, and its records are sent."""

OLD_RUNS = """
SELECT r.run_id FROM run r JOIN migration m USING (migration_id)
WHERE r.state = 'closed' AND r.heard_at < %(before)s AND r.finished_at < %(before)s
  AND m.run_id IS DISTINCT FROM r.run_id
  AND NOT EXISTS (SELECT 1 FROM action a WHERE a.cause_id = r.run_id)
  AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.key = convert_to(r.migration_id, 'UTF8'))
ORDER BY r.heard_at LIMIT %(rows)s FOR UPDATE OF m, r SKIP LOCKED"""
"""Closed, silent for as long, not its migration's newest, and its grant is forgotten: the run_id may be used anew."""


@dataclass(frozen=True)
class Deleted:
    """Rows deleted in one transaction; ``more``: it reached the bound, so there may be others."""

    actions: int = 0
    runs: int = 0
    workers: int = 0
    more: bool = False


def delete_old(db: psycopg.Connection, schema: str, keep_days: int) -> Deleted:
    """One batch, inside the caller's transaction; nothing while another actuator is at it, or no partition is watched."""
    got = db.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", (LOCK, schema)).fetchone()
    before = _before(db, keep_days) if got and got[0] else None
    if before is None:
        return Deleted()
    db.execute("SELECT set_config('statement_timeout', %s, true)", (f"{BATCH_SECONDS}s",))
    bounds = {"before": before, "rows": BATCH_ROWS, "final": sorted(FINAL_OUTCOMES)}
    actions = db.execute(OLD_ACTIONS, bounds).rowcount
    runs = [run_id for (run_id,) in db.execute(OLD_RUNS, bounds).fetchall()]
    db.execute("DELETE FROM log_undo WHERE done_at < %s OR run_id = ANY(%s)", (before, runs))
    workers = db.execute("DELETE FROM worker WHERE run_id = ANY(%s)", (runs,)).rowcount
    db.execute("DELETE FROM run WHERE run_id = ANY(%s)", (runs,))
    return Deleted(actions, len(runs), workers, max(actions, len(runs)) >= BATCH_ROWS)


def _before(db: psycopg.Connection, keep_days: int) -> datetime | None:
    """The moment before which rows are old; None while nothing tells the broker's time."""
    row = db.execute(
        "SELECT least(clock_timestamp(), max(logged_at)) - make_interval(days => %s) FROM watched HAVING count(*) > 0",
        (keep_days,),
    ).fetchone()
    return None if row is None else row[0]
