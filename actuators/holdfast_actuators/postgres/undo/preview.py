"""The dry run of a rollback from the log: what is in the slot now, what would come of it, and what it would take.

Nothing of the tables is changed or locked. What is tried out stands in a transaction that is rolled back.
"""

import time
from collections import Counter
from dataclasses import dataclass
from typing import cast

from holdfast_schemas.errors import UndoRefused
from holdfast_schemas.identity import MigrationId, TargetName

from .. import journal, pausing
from ..connecting import Connection
from ..disarming import saved_tables
from ..fence import bystanders
from ..keys import key_columns
from ..tables import read_tables
from .gaps import gaps, wholly_logged
from .rehearsal import Kind, commit_seconds, counted, rehearse
from .resolving import Operation
from .sample import Sample
from .sorting import Hazard, Sorting
from .stream import peek

STEPS = 25
"""Commits of a rollback that wait for the disk, its sessions and the fence counted as some: what the smallest takes."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """What a rollback would take. ``fence``: until the role is out, and the smallest steps of all; ``capture``: reading the log
    once more, and into the journal; ``undo``: on the tables."""

    fence: float
    capture: float
    undo: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.fence + self.capture + self.undo


@dataclass(frozen=True, slots=True)
class Preview:
    """``rows`` by table and operation (I, U, D); ``seconds_read`` is how long reading the slot took just now.

    ``conflicts``: values that the application wrote since, expected from one row in ``one_in``; a rollback keeps them, or
    overwrites them when told to. None, as ``seconds``, where nothing could be tried.
    """

    state: str
    role_name: str
    rows: dict[str, dict[str, int]]
    chunks: int
    foreign_rows: int
    hazards: tuple[Hazard, ...]
    refusals: tuple[str, ...]
    conflicts: int | None
    one_in: int
    seconds: Seconds | None
    sessions_elsewhere: int
    slot: pausing.Slot | None
    restore_point: str | None
    seconds_read: float


def preview(db: Connection, target: TargetName, dsn: str, migration_id: MigrationId) -> Preview:
    """What a rollback from the log would do now.

    Its seconds: reading the log as just done and writing it on, or the server's for taking it in where that is more; the undo's a
    row on a sample, times the rows; a commit's for each of STEPS. Raises RecoveryMoved (not armed), SlotUnreadable,
    TargetUnreachable, UndoRefused where the log cannot hold all of it.
    """
    recovery = journal.expect(db, migration_id, "armed")
    if missing := gaps(db, recovery):
        raise UndoRefused(migration_id, missing)
    names = [table.name for table in saved_tables(db, migration_id)]
    keys = key_columns(db, [table.table_oid for table in read_tables(db, names)])
    sorting = Sorting(recovery.origins, recovery.nonce, keys, wholly_logged(db, recovery.publication))
    row = db.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
    assert row is not None
    commit = commit_seconds(db)  # after it, so that the log has a position behind that one
    began = time.monotonic()
    changes: Counter[Kind] = Counter()
    sample = Sample()
    for message in peek(target, dsn, recovery.slot, recovery.publication, row[0]):
        for change in sorting.read(message):
            changes[change[2], cast(Operation, change[4])] += 1
            if (key := sorting.key_of(change)) is not None:
                sample.add(*key, change)
    seconds_read = time.monotonic() - began
    tried = rehearse(db, migration_id, sorting, sample, changes)
    seconds = None
    if tried.encode_seconds is not None and tried.copy_seconds is not None and tried.undo_seconds is not None:
        capture = max(seconds_read + tried.encode_seconds, tried.copy_seconds)
        seconds = Seconds(commit * STEPS, capture, tried.undo_seconds)
    return Preview(
        state=recovery.state,
        role_name=recovery.role_name,
        rows=counted(changes, sorting),
        chunks=sorting.chunk,
        foreign_rows=sorting.foreign_rows,
        hazards=tuple(sorting.hazards.values()),
        refusals=tried.refusals,
        conflicts=tried.conflicts,
        one_in=sample.one_in,
        seconds=seconds,
        sessions_elsewhere=bystanders(db, recovery.role_name),
        slot=pausing.look(db, recovery.slot),
        restore_point=recovery.restore_point,
        seconds_read=seconds_read,
    )
