"""fence: the migration's role can neither write any more nor come back, and its last commit is in the log.

Measured: cancelling, or terminating alone, lets a runner that tries again go on (1,222 more batches). NOLOGIN, and then
terminating in a loop until no session is left, lets none.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from holdfast_schemas.errors import FenceRefused
from holdfast_schemas.identity import MigrationId

from . import journal
from .connecting import Connection

LOGIN_FUNCTION = "holdfast_fence.let_log_in"
"""(role name, may boolean): made by whoever administers roles, where ours may not ALTER ROLE itself (see grants)."""
DEADLINE_SECONDS = 30.0
PAUSE_SECONDS = 0.02
TERMINATE = """
    SELECT pid, backend_start::text, pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE usename = %s AND datname = current_database() AND pid <> pg_backend_pid()
"""
# One statement finds and ends them: a pid that was given to somebody else in between is none of the role's.
PREPARED = "SELECT string_agg(quote_literal(gid), ', ') FROM pg_prepared_xacts WHERE owner = %s AND database = current_database()"
INVALID_INDEXES = sql.SQL("""
    SELECT format('%%I.%%I', n.nspname, c.relname) FROM {} p JOIN pg_index i ON i.indrelid = p.table_oid AND NOT i.indisvalid
    JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE p.migration_id = %s ORDER BY 1
""")
Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Fenced:
    """``sessions`` were ended; commits after ``fence_lsn`` are not the migration's; it took ``seconds``."""

    fence_lsn: str
    sessions: int
    seconds: float


def bystanders(db: Connection, role_name: str) -> int:
    """Sessions of the role in other databases of the server: a fence keeps them from coming back too."""
    row = db.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND datname <> current_database()", [role_name]
    ).fetchone()
    return int(row[0]) if row else 0


def invalid_indexes(db: Connection, migration_id: MigrationId) -> list[str]:
    """What a CREATE INDEX CONCURRENTLY that was ended leaves on the protected tables: no rollback drops it."""
    rows = db.execute(INVALID_INDEXES.format(journal.table("protected")), [migration_id]).fetchall()
    return [name for (name,) in rows]


def fence(db: Connection, migration_id: MigrationId, token: int, told: Told = lambda _: None) -> Fenced:
    """Fence the armed migration's role; repeatable. Raises FenceRefused, RecoveryMoved, RecoveryTaken.

    When it is refused the role may log in again, and the recovery is armed as before.
    """
    began = time.monotonic()
    recovery = _intend(db, migration_id, token)
    try:
        _let_log_in(db, migration_id, recovery.role_name, False)
        told(f"role {recovery.role_name} may not log in any more")
        sessions = _end_sessions(db, migration_id, recovery.role_name)
        told(f"{sessions} of its sessions ended")
        prepared = db.execute(PREPARED, [recovery.role_name]).fetchone()
        if prepared and prepared[0]:
            raise FenceRefused(
                migration_id,
                f"transactions prepared by {recovery.role_name} may still commit: {prepared[0]}",
                "COMMIT PREPARED or ROLLBACK PREPARED each",
            )
    except FenceRefused:
        lift(db, migration_id, token)
        raise
    lsn = _fence_lsn(db, migration_id, token)
    return Fenced(lsn, sessions, time.monotonic() - began)


def lift(db: Connection, migration_id: MigrationId, token: int) -> None:
    """Let the role log in again, if it could before, and be armed as before where nothing was undone yet. Repeatable."""
    found = journal.expect(
        db, migration_id, "armed", "fencing", "fenced", "captured", "undone", "undone_with_conflicts"
    )
    if found.fenced_login and not _may_log_in(db, found.role_name):
        _let_log_in(db, migration_id, found.role_name, True)
    with db.transaction():
        found = journal.lock(db, migration_id, found.state, token=token)
        if found.state in ("fencing", "fenced", "captured"):
            journal.forget(db, migration_id, "change", "relation", "hazard", "conflict")
            journal.move(db, migration_id, "armed", fenced_login=False, fence_lsn=None, chunks=None, next_chunk=None)
        else:
            journal.note(db, migration_id, fenced_login=False)


def _intend(db: Connection, migration_id: MigrationId, token: int) -> journal.Recovery:
    """What is to be given back to the role is committed before it is taken away."""
    with db.transaction():
        recovery = journal.lock(db, migration_id, "armed", "fencing", token=token)
        if recovery.state == "armed":
            may_log_in = _may_log_in(db, recovery.role_name)
            if may_log_in is None:
                raise FenceRefused(
                    migration_id, f"the server has no role {recovery.role_name}", "mend role under [migrations]"
                )
            journal.move(db, migration_id, "fencing", fenced_login=may_log_in)
    return recovery


def _may_log_in(db: Connection, role_name: str) -> bool | None:
    """None: the server has no such role."""
    row = db.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [role_name]).fetchone()
    return None if row is None else bool(row[0])


def _let_log_in(db: Connection, migration_id: MigrationId, role_name: str, may: bool) -> None:
    found = db.execute("SELECT to_regprocedure(%s)", [f"{LOGIN_FUNCTION}(name, boolean)"]).fetchone()
    try:
        if found and found[0]:
            db.execute(f"SELECT {LOGIN_FUNCTION}(%s, %s)", [role_name, may])
        else:
            change = sql.SQL("ALTER ROLE {} {}").format(
                sql.Identifier(role_name), sql.SQL("LOGIN" if may else "NOLOGIN")
            )
            db.execute(change)
    except psycopg.errors.InsufficientPrivilege as error:
        raise FenceRefused(
            migration_id, " ".join(str(error).split()), f"run what holdfast arm {migration_id} --print-grants prints"
        ) from None


def _end_sessions(db: Connection, migration_id: MigrationId, role_name: str) -> int:
    """Until none is left: one that had authenticated just before NOLOGIN shows up late. Returns how many."""
    seen: set[tuple[int, str]] = set()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            left = db.execute(TERMINATE, [role_name]).fetchall()
        except psycopg.errors.InsufficientPrivilege as error:
            cure = f"GRANT pg_signal_backend TO {db.info.user}"
            raise FenceRefused(migration_id, " ".join(str(error).split()), cure) from None
        if not left:
            return len(seen)
        seen |= {(pid, since) for pid, since, _ in left}
        if time.monotonic() > deadline:
            pids = ", ".join(str(pid) for pid, *_ in left)
            raise FenceRefused(
                migration_id,
                f"sessions of {role_name} do not end within {DEADLINE_SECONDS:g} s (pid {pids})",
                "see what they wait for in pg_stat_activity",
            )
        time.sleep(PAUSE_SECONDS)


def _fence_lsn(db: Connection, migration_id: MigrationId, token: int) -> str:
    """A synchronous commit flushes all that the role committed with synchronous_commit = off, and ends before the LSN."""
    with db.transaction():
        db.execute("SET LOCAL synchronous_commit = 'local'")
        journal.lock(db, migration_id, "fencing", token=token)
        journal.note(db, migration_id)
    with db.transaction():
        journal.lock(db, migration_id, "fencing", token=token)
        row = db.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
        assert row is not None
        # Behind it, for whoever reads up to it: else the server sends on until it read all of the log there is, ours included.
        db.execute("SELECT pg_logical_emit_message(false, 'holdfast', '')")
        journal.move(db, migration_id, "fenced", fence_lsn=row[0])
    return str(row[0])
