"""capture: what the migration committed, from its slot into the journal, in one transaction.

A crash leaves the journal and the slot as they were, and a repetition reads the same again. Afterwards the slot is not needed.
"""

import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass

from psycopg import sql

from holdfast_schemas.errors import UndoRefused
from holdfast_schemas.identity import MigrationId, TargetName

from .. import journal
from ..connecting import APPLICATION_NAME, Connection
from ..disarming import saved_tables
from ..keys import key_columns
from ..tables import read_tables
from .copying import COLUMNS, binary_copy
from .gaps import gaps, wholly_logged
from .sorting import Change, Sorting
from .stream import peek

COPY = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
    journal.table("change"), sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
)
ANALYZE = sql.SQL("ANALYZE {}").format(journal.table("change"))
"""Without statistics a change is looked for among all of the migration's, not by its seq: milliseconds for each conflict."""


@dataclass(frozen=True, slots=True)
class Captured:
    """``rows`` of the migration's in ``chunks``; ``hazards`` no row undo takes back. What there is nothing to do for:
    ``foreign_rows`` are others', ``unchanged_rows`` the migration wrote as they were."""

    rows: int
    chunks: int
    hazards: int
    foreign_rows: int
    unchanged_rows: int
    seconds: float


def capture(db: Connection, target: TargetName, dsn: str, migration_id: MigrationId, token: int) -> Captured:
    """Capture a fenced migration; when it fails, journal and slot are as before.

    Raises RecoveryMoved, RecoveryTaken, TargetUnreachable, SlotInUse, SlotLost, SlotUnreadable, MalformedMessage, and UndoRefused
    where the log cannot hold all of it.
    """
    began = time.monotonic()
    with db.transaction():
        db.execute("SET LOCAL statement_timeout = 0")  # one COPY takes as long as there are rows
        recovery = journal.lock(db, migration_id, "fenced", token=token)
        db.execute("SELECT set_config('application_name', %s, true)", [session_name(recovery.slot)])
        assert recovery.fence_lsn is not None
        if missing := gaps(db, recovery):
            raise UndoRefused(migration_id, missing)
        journal.forget(db, migration_id, "change", "relation", "hazard", "conflict")
        names = [table.name for table in saved_tables(db, migration_id)]
        keys = key_columns(db, [table.table_oid for table in read_tables(db, names)])
        sorting = Sorting(recovery.origins, recovery.nonce, keys, wholly_logged(db, recovery.publication))
        with closing(peek(target, dsn, recovery.slot, recovery.publication, recovery.fence_lsn)) as messages:
            copy_changes(db, migration_id, (change for message in messages for change in sorting.read(message)))
        db.execute(ANALYZE)
        insert_rows(db, "relation", ([migration_id, *row] for row in sorting.relation_rows()))
        insert_rows(db, "hazard", ([migration_id, *row] for row in sorting.hazard_rows()))
        journal.move(db, migration_id, "captured", chunks=sorting.chunk, next_chunk=sorting.chunk)
    seconds = time.monotonic() - began
    hazards = len(sorting.hazards) + sorting.further_hazards
    return Captured(sorting.rows, sorting.chunk, hazards, sorting.foreign_rows, sorting.unchanged_rows, seconds)


def session_name(slot: str) -> str:
    """What the session that captures from this slot is called on the server."""
    return f"{APPLICATION_NAME} {slot}"


def copy_changes(db: Connection, migration_id: MigrationId, changes: Iterable[Change]) -> None:
    """Into the journal. The relations may come later: nothing holds the two together."""
    with db.cursor() as cursor, cursor.copy(COPY) as copy:
        for block in binary_copy(migration_id, changes):
            copy.write(block)


def insert_rows(db: Connection, name: str, rows: Iterable[Sequence[object]]) -> None:
    """Into a table of the journal, each row's values in the order of its columns."""
    for row in rows:
        values = sql.SQL(", ").join([sql.Placeholder()] * len(row))
        db.execute(sql.SQL("INSERT INTO {} VALUES ({})").format(journal.table(name), values), list(row))
