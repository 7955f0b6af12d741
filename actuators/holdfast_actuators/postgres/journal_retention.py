"""How long the journal keeps rows where disarm never comes: never shorter than an undo may still need them."""

from dataclasses import dataclass

from psycopg import sql

from holdfast_schemas.identity import MigrationId
from holdfast_schemas.states import RecoveryState

from . import journal
from .connecting import Connection
from .laying_out import laid_out

NEEDED: tuple[RecoveryState, ...] = ("fencing", "fenced", "captured", "undoing")
"""An undo is under way, and stands still. What an armed one holds is of an undo that was refused: the next captures anew."""
ROWS = ("change", "conflict")
OLD = sql.SQL("""
    SELECT r.migration_id, r.state, r.changed_at::date::text FROM {recovery} r
    WHERE r.changed_at < clock_timestamp() - make_interval(secs => %s * 86400.0)
    AND (EXISTS (SELECT FROM {change} c WHERE c.migration_id = r.migration_id)
        OR EXISTS (SELECT FROM {conflict} x WHERE x.migration_id = r.migration_id))
    ORDER BY 1 FOR UPDATE OF r SKIP LOCKED
""").format(**{name: journal.table(name) for name in ("recovery", *ROWS)})


@dataclass(frozen=True, slots=True)
class Old:
    """A recovery whose journal is older than is to be kept; ``removed`` rows, None where an undo still needs them."""

    migration_id: MigrationId
    state: RecoveryState
    since: str
    removed: int | None

    @property
    def sentence(self) -> str:
        """For the log."""
        if self.removed is None:
            return (
                f"the journal of {self.migration_id} keeps its old rows: it is {self.state} since {self.since}, and an undo"
                f" needs them; holdfast rollback {self.migration_id} --method log goes on with it"
            )
        return f"{self.removed:,} old rows of {self.migration_id} removed: it is {self.state} since {self.since}"


def remove_old_rows(db: Connection, keep_days: float) -> list[Old]:
    """Delete changes and conflicts of recoveries that nothing happened to for ``keep_days``; their state and counts stay."""
    if not laid_out(db):
        return []
    with db.transaction():
        found = db.execute(OLD, [keep_days]).fetchall()
        return [
            Old(migration_id, state, since, None if state in NEEDED else _remove(db, migration_id))
            for migration_id, state, since in found
        ]


def _remove(db: Connection, migration_id: MigrationId) -> int:
    return sum(
        db.execute(
            sql.SQL("DELETE FROM {} WHERE migration_id = %s").format(journal.table(name)), [migration_id]
        ).rowcount
        for name in ROWS
    )
