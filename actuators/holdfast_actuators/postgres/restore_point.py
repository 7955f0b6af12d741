"""A named restore point: the place in the log that a clone recovers to, and the proof that the archive has it."""

import time
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql
from psycopg.rows import class_row

from holdfast_schemas.errors import NotArchived, RestorePointUnknown
from holdfast_schemas.identity import MigrationId

from .connecting import Connection
from .journal import table
from .laying_out import laid_out

NAME_BYTES_MAX = 63
POLL_SECONDS = 0.1
HISTORY = ".history"
"""Of a timeline: it is archived as WAL files are, and says nothing of them."""
ARCHIVER = """
    SELECT last_archived_wal, last_failed_wal, coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false)
    FROM pg_stat_archiver
"""


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """``lsn`` is the end of its record, ``wal_file`` the file that holds it; None where only its name is known."""

    name: str
    migration_id: MigrationId
    lsn: str | None = None
    wal_file: str | None = None
    backup: str | None = None
    made_at: datetime | None = None

    @property
    def timeline(self) -> int | None:
        """The one to recover along: the newest may have left the log before this point."""
        return None if self.wal_file is None else int(self.wal_file[:8], 16)


def statement(name: str) -> sql.Composed:
    """What makes it."""
    return sql.SQL("SELECT pg_create_restore_point({})").format(name)


SWITCH = "SELECT pg_switch_wal()"


def make(db: Connection, migration_id: MigrationId, name: str, backup: str, timeout_seconds: float) -> None:
    """Make it, have its WAL archived, and note it in the journal. Raises NotArchived.

    A name is used once: recovery stops at the first point of a name.
    """
    [lsn] = _one(db, statement(name))
    [wal_file] = _one(db, sql.SQL("SELECT pg_walfile_name({})").format(lsn))
    db.execute(SWITCH)
    _wait_archived(db, str(wal_file), timeout_seconds)
    db.execute(
        sql.SQL("INSERT INTO {} (name, migration_id, lsn, wal_file, backup) VALUES (%s, %s, %s, %s, %s)").format(
            table("restore_point")
        ),
        [name, migration_id, lsn, wal_file, backup],
    )


def restore_points(db: Connection, migration_id: MigrationId) -> list[RestorePoint]:
    """All that arming this migration made, the newest first."""
    if not laid_out(db, "restore_point"):
        return []
    query = sql.SQL("SELECT name, migration_id, lsn::text, wal_file, backup, made_at FROM {} WHERE migration_id = %s")
    with db.cursor(row_factory=class_row(RestorePoint)) as cursor:
        found = cursor.execute(query.format(table("restore_point")) + sql.SQL(" ORDER BY made_at DESC"), [migration_id])
        return found.fetchall()


def find(db: Connection, migration_id: MigrationId, name: str | None) -> RestorePoint:
    """The one of that name, else the newest. Raises RestorePointUnknown."""
    points = restore_points(db, migration_id)
    for point in points:
        if name in (None, point.name):
            return point
    raise RestorePointUnknown(migration_id, name or "", [point.name for point in points])


def _wait_archived(db: Connection, wal_file: str, timeout_seconds: float) -> None:
    """Its file, or a later one of the same timeline: files are archived in order (PostgreSQL's manual, 26.3)."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        archived, failed, failing = _one(db, sql.SQL(ARCHIVER))
        if archived is not None and archived[: len(wal_file)] >= wal_file and not archived.endswith(HISTORY):
            return
        if time.monotonic() >= deadline:
            why = f"the archiver fails at {failed}" if failing else f"the last one that did is {archived or 'none'}"
            raise NotArchived(wal_file, timeout_seconds, why)
        time.sleep(POLL_SECONDS)


def _one(db: Connection, query: sql.SQL | sql.Composed) -> tuple[str, ...]:
    row = db.execute(query).fetchone()
    assert row is not None
    return tuple(row)
