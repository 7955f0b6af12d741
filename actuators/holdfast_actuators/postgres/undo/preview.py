"""The dry run of a rollback from the log: what is in the slot now, and what would come of it. Changes nothing."""

import time
from dataclasses import dataclass

from psycopg import sql

from holdfast_schemas.errors import UndoRefused
from holdfast_schemas.identity import MigrationId, TargetName

from .. import journal
from ..connecting import Connection
from ..disarming import saved_tables
from ..fence import bystanders
from ..keys import key_columns
from ..tables import read_tables
from .gaps import gaps, wholly_logged
from .sorting import Hazard, Sorting
from .stream import peek

SLOT = """
    SELECT wal_status, safe_wal_size, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), restart_lsn)::bigint
    FROM pg_replication_slots WHERE slot_name = %s
"""


@dataclass(frozen=True, slots=True)
class Slot:
    """``retained_bytes`` of WAL are kept for it; ``safe_wal_bytes`` more may be written before it is lost (None: no limit)."""

    wal_status: str
    safe_wal_bytes: int | None
    retained_bytes: int


@dataclass(frozen=True, slots=True)
class Preview:
    """``rows`` by table and operation (I, U, D); ``seconds_read`` is how long reading the slot took just now."""

    state: str
    role_name: str
    rows: dict[str, dict[str, int]]
    chunks: int
    foreign_rows: int
    hazards: tuple[Hazard, ...]
    sessions_elsewhere: int
    slot: Slot | None
    seconds_read: float


def preview(db: Connection, target: TargetName, dsn: str, migration_id: MigrationId) -> Preview:
    """What a rollback from the log would do now.

    Raises RecoveryMoved (not armed), SlotUnreadable, TargetUnreachable, UndoRefused where the log cannot hold all of it.
    """
    recovery = journal.expect(db, migration_id, "armed")
    if missing := gaps(db, recovery):
        raise UndoRefused(migration_id, missing)
    names = [table.name for table in saved_tables(db, migration_id)]
    keys = key_columns(db, [table.table_oid for table in read_tables(db, names)])
    sorting = Sorting(recovery.origins, recovery.nonce, keys, wholly_logged(db, recovery.publication))
    row = db.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
    assert row is not None
    db.execute("SELECT pg_logical_emit_message(false, 'holdfast', '')")  # so that there is a position after it
    began = time.monotonic()
    rows: dict[str, dict[str, int]] = {}
    for message in peek(target, dsn, recovery.slot, recovery.publication, row[0]):
        for change in sorting.read(message):
            by_operation = rows.setdefault(sorting.table_of(change), {})
            by_operation[change[4]] = by_operation.get(change[4], 0) + 1
    found = db.execute(sql.SQL(SLOT), [recovery.slot]).fetchone()
    return Preview(
        recovery.state,
        recovery.role_name,
        rows,
        sorting.chunk,
        sorting.foreign_rows,
        tuple(sorting.hazards.values()),
        bystanders(db, recovery.role_name),
        None if found is None else Slot(*found),
        time.monotonic() - began,
    )
