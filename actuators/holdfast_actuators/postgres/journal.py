"""The recovery's journal in the target: its tables, and the one door to a recovery's state."""

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql
from psycopg.rows import class_row

from holdfast_schemas.errors import RecoveryMoved, RecoveryTaken
from holdfast_schemas.identity import MigrationId
from holdfast_schemas.states import RecoveryState

from .connecting import Connection
from .laying_out import SCHEMA, laid_out


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

    @classmethod
    def new(
        cls, migration_id: MigrationId, role_name: str, name: str, origins: Sequence[str], nonce: str
    ) -> "Recovery":
        """One that nothing was done for yet; slot and publication are both called ``name``."""
        return cls(
            migration_id, "new", role_name, name, name, list(origins), None, nonce, 0, None, None, False, None, None, None, 0, 0.0
        )  # fmt: skip


LSNS = ("armed_lsn", "fence_lsn")
COLUMNS = sql.SQL(", ").join(
    [sql.SQL("{0}::text AS {0}" if name in LSNS else "{0}").format(sql.Identifier(name)) for name in Recovery.__slots__]
)

PUBLISHED = sql.SQL("""(
    SELECT array_agg(row ORDER BY row) FROM pg_publication b CROSS JOIN LATERAL (
        SELECT format('publication %%s:%%s', b.oid, b.xmin) UNION ALL
        SELECT format('table %%s', r.oid) FROM pg_publication_rel r WHERE r.prpubid = b.oid) c (row)
    WHERE b.pubname = %s)""")
"""A publication's catalog rows: another oid or xmin, and it was altered or made anew, whatever it looks like."""


def table(name: str) -> sql.Identifier:
    """A table of the journal, qualified."""
    return sql.Identifier(SCHEMA, name)


def read(db: Connection, migration_id: MigrationId) -> Recovery | None:
    """The migration's recovery as it stands; None where it was never armed."""
    return _read(db, migration_id, sql.SQL("")) if laid_out(db) else None


def expect(db: Connection, migration_id: MigrationId, *states: RecoveryState) -> Recovery:
    """The same; raises RecoveryMoved when it is in none of ``states``."""
    return _expected(migration_id, read(db, migration_id), states)


def lock(db: Connection, migration_id: MigrationId, *states: RecoveryState, token: int | None = None) -> Recovery:
    """The same, locked until the transaction's end. Raises RecoveryTaken too, when ``token`` is not the newest."""
    found = _expected(migration_id, _read(db, migration_id, sql.SQL(" FOR UPDATE")), states)
    if token is not None and found.token != token:
        raise RecoveryTaken(migration_id, token, found.token)
    return found


def take(db: Connection, migration_id: MigrationId) -> int:
    """Raise the fencing token: from now on only whoever holds the returned one may recover this migration."""
    row = db.execute(
        sql.SQL("UPDATE {} SET token = token + 1 WHERE migration_id = %s RETURNING token").format(table("recovery")),
        [migration_id],
    ).fetchone()
    if row is None:
        raise RecoveryMoved(migration_id, "not armed", "armed")
    return int(row[0])


def begin(db: Connection, recovery: Recovery) -> bool:
    """Intend to arm: its row goes to preparing, under the names given. False when it is preparing already.

    Raises RecoveryMoved when it is neither new nor disarmed. A disarmed one's conflicts are forgotten here.
    """
    found = _read(db, recovery.migration_id, sql.SQL(" FOR UPDATE"))
    if found is not None and found.state == "preparing":
        return False
    names = {
        "role_name": recovery.role_name,
        "slot": recovery.slot,
        "publication": recovery.publication,
        "origins": recovery.origins,
        "nonce": recovery.nonce,
    }
    if found is None:
        statement = sql.SQL(
            "INSERT INTO {} (migration_id, state, {}) VALUES (%(migration_id)s, 'preparing', {})"
        ).format(
            table("recovery"),
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.SQL(", ").join(map(sql.Placeholder, names)),
        )
        db.execute(statement, names | {"migration_id": recovery.migration_id})
        return True
    _expected(recovery.migration_id, found, ("disarmed",))
    anew = dict.fromkeys(("armed_lsn", "fence_lsn", "restore_point", "chunks", "next_chunk", "on_conflict"))
    forget(db, recovery.migration_id, "conflict")
    move(db, recovery.migration_id, "preparing", **anew, **names, rows_undone=0, undo_seconds=0, fenced_login=False)
    return True


def move(db: Connection, migration_id: MigrationId, state: RecoveryState, **columns: object) -> None:
    """Go to ``state`` (the journal's foreign key refuses what no table of transitions knows) and set ``columns``."""
    db.execute(
        sql.SQL("UPDATE {} SET was = state, state = %s WHERE migration_id = %s").format(table("recovery")),
        [state, migration_id],
    )
    note(db, migration_id, **columns)


def note(db: Connection, migration_id: MigrationId, **columns: object) -> None:
    """Set ``columns`` of the migration's row, in the state that it is in."""
    sets = [sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name)) for name in columns]
    statement = sql.SQL("UPDATE {} SET {} WHERE migration_id = %(migration_id)s").format(
        table("recovery"), sql.SQL(", ").join([sql.SQL("changed_at = clock_timestamp()"), *sets])
    )
    db.execute(statement, columns | {"migration_id": migration_id})


def keep_published(db: Connection, migration_id: MigrationId, publication: str) -> None:
    """Keep what the publication is now, in place of an earlier arming's."""
    statement = (
        "INSERT INTO {0} VALUES (%s, {1}) ON CONFLICT (migration_id) DO UPDATE SET catalog_rows = excluded.catalog_rows"
    )
    db.execute(sql.SQL(statement).format(table("published"), PUBLISHED), [migration_id, publication])


def forget(db: Connection, migration_id: MigrationId, *tables: str) -> None:
    """Delete the migration's rows of these tables of the journal."""
    for name in tables:
        db.execute(sql.SQL("DELETE FROM {} WHERE migration_id = %s").format(table(name)), [migration_id])


def count(db: Connection, migration_id: MigrationId, name: str) -> int:
    """How many rows of this table of the journal are the migration's."""
    row = db.execute(
        sql.SQL("SELECT count(*) FROM {} WHERE migration_id = %s").format(table(name)), [migration_id]
    ).fetchone()
    return int(row[0]) if row else 0


def _expected(migration_id: MigrationId, found: Recovery | None, states: Sequence[RecoveryState]) -> Recovery:
    if found is None or found.state not in states:
        raise RecoveryMoved(migration_id, "not armed" if found is None else found.state, " or ".join(states))
    return found


def _read(db: Connection, migration_id: MigrationId, locking: sql.SQL) -> Recovery | None:
    statement = sql.SQL("SELECT {} FROM {} WHERE migration_id = %s{}").format(COLUMNS, table("recovery"), locking)
    with db.cursor(row_factory=class_row(Recovery)) as cursor:
        return cursor.execute(statement, [migration_id]).fetchone()
