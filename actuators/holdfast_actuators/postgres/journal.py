"""The recovery's journal in the target: its tables, and the one door to a recovery's state."""

from dataclasses import dataclass
from importlib.resources import files

from psycopg import sql
from psycopg.rows import class_row

from holdfast_schemas.errors import RecoveryMoved
from holdfast_schemas.identity import MigrationId
from holdfast_schemas.states import RecoveryState

from .connecting import Connection

SCHEMA = "holdfast_recovery"
LAY_OUT_LOCK = 0x484F5244
"""Any constant: two that arm at once must not create the schema twice."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """A migration's row. LSNs as PostgreSQL writes them; ``next_chunk`` is the newest chunk not yet taken back."""

    migration_id: MigrationId
    state: RecoveryState
    role_name: str
    slot: str
    publication: str
    origins: list[str]
    restore_point: str | None
    nonce: str
    token: int
    armed_lsn: str | None
    fence_lsn: str | None
    fenced_login: bool
    chunks: int | None
    next_chunk: int | None
    on_conflict: str | None
    rows_undone: int
    undo_seconds: float


COLUMNS = sql.SQL(", ").join(map(sql.Identifier, Recovery.__slots__))


def table(name: str) -> sql.Identifier:
    """A table of the journal, qualified."""
    return sql.Identifier(SCHEMA, name)


def laid_out(db: Connection) -> bool:
    """Whether the target has the journal."""
    row = db.execute("SELECT to_regclass(%s) IS NOT NULL", [f"{SCHEMA}.conflict"]).fetchone()
    return bool(row and row[0])


def lay_out(db: Connection) -> None:
    """Create the journal where it is missing: all of it or nothing."""
    with db.transaction():
        db.execute("SELECT pg_advisory_xact_lock(%s)", [LAY_OUT_LOCK])
        if laid_out(db):
            return
        db.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
        script = files(__package__).joinpath("sql", "001_recovery.sql").read_text()
        db.execute(sql.SQL(script).format(schema=sql.Identifier(SCHEMA)))


def read(db: Connection, migration_id: MigrationId) -> Recovery | None:
    """The migration's recovery as it stands; None where it was never armed."""
    return _read(db, migration_id, sql.SQL("")) if laid_out(db) else None


def lock(db: Connection, migration_id: MigrationId, *states: RecoveryState) -> Recovery:
    """The same, locked until the transaction's end. Raises RecoveryMoved when it is in none of ``states``."""
    found = _read(db, migration_id, sql.SQL(" FOR UPDATE"))
    if found is None or found.state not in states:
        raise RecoveryMoved(migration_id, "not armed" if found is None else found.state, " or ".join(states))
    return found


def move(db: Connection, migration_id: MigrationId, state: RecoveryState, **columns: object) -> None:
    """Go to ``state`` (the journal's foreign key refuses what no table of transitions knows) and set ``columns``."""
    sets = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in columns]
    statement = sql.SQL("UPDATE {} SET {} WHERE migration_id = %(migration_id)s").format(
        table("recovery"),
        sql.SQL(", ").join([sql.SQL("was = state, state = %(state)s, changed_at = clock_timestamp()"), *sets]),
    )
    db.execute(statement, columns | {"migration_id": migration_id, "state": state})


def _read(db: Connection, migration_id: MigrationId, locking: sql.SQL) -> Recovery | None:
    statement = sql.SQL("SELECT {} FROM {} WHERE migration_id = %s{}").format(COLUMNS, table("recovery"), locking)
    with db.cursor(row_factory=class_row(Recovery)) as cursor:
        return cursor.execute(statement, [migration_id]).fetchone()
