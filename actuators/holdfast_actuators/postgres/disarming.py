"""disarm: take back what arming did to the server. Repeatable; what is gone already is passed over."""

from collections.abc import Callable

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from holdfast_schemas.errors import DisarmRefused
from holdfast_schemas.identity import MigrationId
from holdfast_schemas.states import RecoveryState

from . import journal
from .connecting import Connection
from .lock_waits import with_bounded_lock_waits
from .steps import steps
from .tables import Table

STATEMENT_SECONDS = 10
DISARMABLE: tuple[RecoveryState, ...] = ("preparing", "armed", "undone", "undone_with_conflicts", "disarming")
SAVED_TABLES = sql.SQL("""
    SELECT p.table_oid::bigint AS table_oid, format('%%I.%%I', n.nspname, c.relname) AS name, c.relkind::text AS kind,
        p.named, p.replica_identity::text AS replica_identity, p.replica_index
    FROM {} p JOIN pg_class c ON c.oid = p.table_oid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE p.migration_id = %s ORDER BY p.table_oid
""")


def saved_tables(db: Connection, migration_id: MigrationId) -> list[Table]:
    """The protected tables that still exist, under the names that they have now, as they were before arming."""
    with db.cursor(row_factory=class_row(Table)) as cursor:
        return cursor.execute(SAVED_TABLES.format(journal.table("protected")), [migration_id]).fetchall()


def disarm(db: Connection, migration_id: MigrationId, told: Callable[[str], None] = lambda _: None) -> bool:
    """Take all of it back, the last step first. False when there is nothing to disarm.

    What it kept of old rows is deleted; the list of conflicts stays until the migration is armed again. Raises
    RecoveryMoved while a rollback is under way, DisarmRefused when the server refuses a step.
    """
    found = journal.read(db, migration_id)
    if found is None or found.state == "disarmed":
        return False
    with db.transaction():
        recovery = journal.lock(db, migration_id, *DISARMABLE)
        if recovery.state != "disarming":
            journal.move(db, migration_id, "disarming")
    for step in reversed(steps(recovery, saved_tables(db, migration_id), db.info.server_version)):
        if not step.done(db):
            continue
        told(f"taken back: {step.says}")
        try:
            with_bounded_lock_waits(db, step.undo, statement_seconds=STATEMENT_SECONDS)
        except psycopg.Error as error:
            raise DisarmRefused(migration_id, step.says, " ".join(str(error).split())) from None
    with db.transaction():
        journal.lock(db, migration_id, "disarming")
        journal.forget(db, migration_id, "protected", "change", "relation", "hazard")
        journal.move(db, migration_id, "disarmed")
    return True
