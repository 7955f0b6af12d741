"""Roll a migration back from the log: fence, capture, plan, undo, lift. Each state is in the target before what follows it.

So whoever dies where, the same call goes on from the state that it finds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import psycopg

from holdfast_schemas.errors import (
    FenceRefused,
    MalformedMessage,
    SlotUnreadable,
    TargetUnreachable,
    UndoRefused,
)
from holdfast_schemas.identity import MigrationId, TargetName
from holdfast_schemas.states import RecoveryState

from .. import journal
from ..connecting import Connection, connect
from ..fence import fence, invalid_indexes, lift
from .applying import Undo, Undone, undoing_session
from .capture import capture
from .planning import plan, refuse_what_cannot_be_undone
from .resolving import OnConflict
from .taking_over import take_over

Told = Callable[[str], None]
DONE: tuple[RecoveryState, ...] = ("undone", "undone_with_conflicts")
ANY: tuple[RecoveryState, ...] = ("armed", "fencing", "fenced", "captured", "undoing", *DONE)


@dataclass(frozen=True, slots=True)
class LogRollback:
    """One migration's rollback by the log, on one target."""

    target: TargetName
    dsn: str
    migration_id: MigrationId
    on_conflict: OnConflict = "keep"

    def run(self, told: Told = lambda _: None) -> Undone:
        """Take everything back that the migration committed; goes on with what another one began.

        Raises RecoveryMoved (not armed), RecoveryTaken (another one does it now), FenceRefused, SlotUnreadable, UndoRefused:
        then nothing was touched, and the role may log in again. UndoBlocked: half done, the fence stands, call it again.
        """
        # The session that undoes is made first: what it may not do shows before the fence, and not after it.
        with undoing_session(self.target, self.dsn) as session, connect(self.target, self.dsn) as db:
            token = take_over(db, journal.expect(db, self.migration_id, *ANY))
            try:
                self._prepare(db, token, told)
            except (FenceRefused, SlotUnreadable, UndoRefused, MalformedMessage, TargetUnreachable):
                lift(db, self.migration_id, token)
                raise
            done = self._undo(db, session, token, told)
            lift(db, self.migration_id, token)
        told(f"{done.rows:,} rows taken back in {done.seconds:.1f} s, {done.conflicts:,} conflicts")
        return done

    def _prepare(self, db: Connection, token: int, told: Told) -> None:
        """Until it may be undone: fenced, captured, and nothing in the way."""
        if journal.expect(db, self.migration_id, *ANY).state in ("armed", "fencing"):
            fenced = fence(db, self.migration_id, token, told)
            told(f"fenced at {fenced.fence_lsn} in {fenced.seconds:.2f} s")
            for name in invalid_indexes(db, self.migration_id):
                told(f"index {name} is invalid, half built: DROP INDEX CONCURRENTLY {name}")
        if journal.expect(db, self.migration_id, *ANY).state == "fenced":
            try:
                captured = capture(db, self.target, self.dsn, self.migration_id, token)
            except psycopg.errors.DiskFull as error:
                raise UndoRefused(self.migration_id, [f"its rows do not fit: {' '.join(str(error).split())}"]) from None
            told(f"captured {captured.rows:,} rows in {captured.chunks:,} chunks, {captured.seconds:.1f} s")
        if journal.expect(db, self.migration_id, *ANY).state == "captured":
            found = plan(db, self.migration_id)
            refuse_what_cannot_be_undone(found, self.migration_id)
            with db.transaction():
                journal.lock(db, self.migration_id, "captured", token=token)
                journal.move(db, self.migration_id, "undoing", on_conflict=self.on_conflict)
        _free_wal(db, journal.expect(db, self.migration_id, "undoing", *DONE).slot)

    def _undo(self, db: Connection, session: Connection, token: int, told: Told) -> Undone:
        found = journal.expect(db, self.migration_id, "undoing", *DONE)
        if found.state != "undoing":
            return Undone(found.rows_undone, journal.count(db, self.migration_id, "conflict"), found.undo_seconds)
        on_conflict = cast(OnConflict, found.on_conflict)  # what the one who began it chose
        undo = Undo(session, self.migration_id, token, on_conflict)
        return undo.run(lambda left, rows: told(f"{rows:,} rows taken back, {left:,} chunks left"))


def _free_wal(db: Connection, slot: str) -> None:
    """The rows are in the journal, and nothing leads back to armed: the slot keeps WAL for nobody. One that a preview is
    reading goes when it is disarmed."""
    drop = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s AND NOT active"
    db.execute(drop, [slot])
