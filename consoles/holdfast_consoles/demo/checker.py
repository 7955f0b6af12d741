"""The demo's judge: the database itself. It gets a DSN, the application's journal and instants, and none of our events.

The audit trigger recorded each write by its session's application_name, with the value before and after.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg

from .application import APPLICATION_NAME, Write

RUNNER_NAME = "holdfast-runner"
PAUSE_SECONDS_MIN = 3.0
APPLICATION_WRITES_MIN = 100


@dataclass(frozen=True)
class Check:
    """One question to the database, and its answer."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Found:
    """The checks, and the figures behind them (rows)."""

    checks: Sequence[Check]
    rows_changed_while_paused: int = 0
    rows_not_restored: int = 0
    application_writes_lost: int = 0


def check_pause(dsn: str, journal: Sequence[Write], effective: datetime, resume_asked: datetime) -> Found:
    """While paused: no write of the runner, its session still there, the application at work.

    Call it between the two instants' end and the resume: the runner's session is looked for as it is now.
    """
    with psycopg.connect(dsn) as db:
        changed = _one(
            db,
            "SELECT count(*) FROM audit.write WHERE application_name LIKE %s || '%%' AND at > %s AND at <= %s",
            (RUNNER_NAME, effective, resume_asked),
        )
        alive = _one(
            db,
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE %s || '%%' AND backend_start < %s",
            (RUNNER_NAME, effective),
        )
        ever = _one(db, "SELECT count(*) FROM audit.write WHERE application_name LIKE %s || '%%'", (RUNNER_NAME,))
        audited = _one(
            db,
            "SELECT count(*) FROM audit.write WHERE application_name = %s AND at > %s AND at <= %s",
            (APPLICATION_NAME, effective, resume_asked),
        )
    meanwhile = sum(effective < write.at <= resume_asked for write in journal)
    seconds = (resume_asked - effective).total_seconds()
    checks = [
        Check(
            f"no write of the runner for {PAUSE_SECONDS_MIN:g} s or more from effective on",
            changed == 0 and ever > 0 and seconds >= PAUSE_SECONDS_MIN,
            f"{changed} rows in {seconds:.1f} s; {ever:,} rows before",
        ),
        Check("the runner was alive meanwhile", alive > 0, f"{alive} session(s) opened before the pause"),
        Check(
            "the application went on writing meanwhile",
            min(meanwhile, audited) >= APPLICATION_WRITES_MIN,
            f"{meanwhile} writes in its journal, {audited} in the audit",
        ),
    ]
    return Found(checks, rows_changed_while_paused=changed)


def check_rolled_back(dsn: str, journal: Sequence[Write]) -> Found:
    """After the rollback: what only the runner touched is as it was, and every write of the application stands."""
    touched_by_application = {write.id for write in journal}
    with psycopg.connect(dsn) as db:
        before = db.execute(
            "SELECT DISTINCT ON (id) id, old_cents FROM audit.write WHERE application_name LIKE %s || '%%' ORDER BY id, seq",
            (RUNNER_NAME,),
        ).fetchall()
        now: dict[int, int | None] = dict(db.execute("SELECT id, amount_cents FROM orders").fetchall())
    runner_only = [(row, cents) for row, cents in before if row not in touched_by_application]
    missing = object()
    not_restored = [row for row, cents in runner_only if now.get(row, missing) != cents]
    lost = _lost(dsn, journal)
    checks = [
        Check(
            "every row that only the runner touched has its old value",
            bool(runner_only) and not not_restored,
            f"{len(runner_only) - len(not_restored):,} of {len(runner_only):,} rows" + _shown(not_restored),
        ),
        Check(
            "every write of the application stands, row by row against its journal",
            bool(journal) and not lost,
            f"{len(journal):,} writes to {len(touched_by_application):,} rows" + _shown(lost),
        ),
    ]
    return Found(checks, rows_not_restored=len(not_restored), application_writes_lost=len(lost))


def check_completed(dsn: str, journal: Sequence[Write]) -> Found:
    """After a run to its end: every row that the runner reached holds its converted amount, or the application's newer one."""
    with psycopg.connect(dsn) as db:
        rows = db.execute(
            """
            WITH newest AS (
                SELECT DISTINCT ON (id) id, application_name FROM audit.write
                WHERE old_cents IS DISTINCT FROM new_cents OR application_name LIKE %s || '%%' ORDER BY id, seq DESC)
            SELECT o.id, o.amount_text, o.amount_cents, n.application_name FROM orders o LEFT JOIN newest n USING (id)
            """,
            (RUNNER_NAME,),
        ).fetchall()
    by_runner = [row for row in rows if row[3] is not None and row[3].startswith(RUNNER_NAME)]
    wrong = [row[0] for row in by_runner if row[2] != round(float(row[1]) * 100)]
    newest_inserted = {write.id for write in journal if write.op == "insert"}
    untouched = [row[0] for row in rows if row[3] is None and row[0] not in newest_inserted]
    lost = _lost(dsn, journal, runner_may_follow=True)
    checks = [
        Check(
            "every row holds its converted amount, or what the application wrote after",
            bool(by_runner) and not wrong and not untouched,
            f"{len(by_runner):,} of {len(rows):,} rows hold the runner's" + _shown(wrong + untouched),
        ),
        Check(
            "every write of the application stands, row by row against its journal",
            bool(journal) and not lost,
            f"{len(journal):,} writes" + _shown(lost),
        ),
    ]
    return Found(checks, application_writes_lost=len(lost))


def _lost(dsn: str, journal: Sequence[Write], *, runner_may_follow: bool = False) -> list[int]:
    """Ids whose row is not what the application last made of it.

    ``runner_may_follow``: an amount that the runner wrote after the application's is the migration's work, not a loss.
    """
    exists: dict[int, bool] = {}
    text: dict[int, str] = {}
    cents: dict[int, int | None] = {}
    note: dict[int, str] = {}
    for write in journal:
        exists[write.id] = write.op != "delete"
        if write.amount_text is not None:
            text[write.id] = write.amount_text
        if write.wrote_cents:
            cents[write.id] = write.amount_cents
        if write.note is not None:
            note[write.id] = write.note
    with psycopg.connect(dsn) as db:
        now = {
            row[0]: row[1:]
            for row in db.execute(
                "SELECT id, amount_text, amount_cents, note FROM orders WHERE id = ANY(%s)", (list(exists),)
            )
        }
        last_writer: dict[int, str] = dict(
            db.execute(
                "SELECT DISTINCT ON (id) id, application_name FROM audit.write"
                " WHERE id = ANY(%s) AND (op = 'insert' OR old_cents IS DISTINCT FROM new_cents) ORDER BY id, seq DESC",
                (list(exists),),
            ).fetchall()
        )
    lost = []
    for row, there in exists.items():
        if not there or row not in now:
            if there != (row in now):
                lost.append(row)
            continue
        now_text, now_cents, now_note = now[row]
        follows = runner_may_follow and last_writer.get(row, "").startswith(RUNNER_NAME)
        if (
            text.get(row, now_text) != now_text
            or note.get(row, now_note) != now_note
            or (not follows and cents.get(row, now_cents) != now_cents)
        ):
            lost.append(row)
    return lost


def _one(db: psycopg.Connection, sql: str, parameters: tuple[object, ...]) -> int:
    row = db.execute(sql, parameters).fetchone()
    return int(row[0]) if row else 0


def _shown(rows: Sequence[int]) -> str:
    if not rows:
        return ""
    return f"; not so: {len(rows):,} rows, for instance " + ", ".join(str(row) for row in sorted(rows)[:5])
