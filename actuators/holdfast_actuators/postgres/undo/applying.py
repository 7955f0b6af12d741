"""The undo's steps: newest chunk first, each with the mark of how far it is in one transaction of the target.

So nothing is taken back twice, whoever dies when: a repetition reads the mark and goes on from there.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

from holdfast_schemas.errors import GrantsMissing, UndoBlocked
from holdfast_schemas.identity import MigrationId, TargetName

from .. import journal
from ..connecting import Connection, connect
from ..grants import SETTING_PRIVILEGES_FROM
from .chunk import Chunk, ChunkUndo, read_chunk
from .foreign_keys import Broken, ForeignKeys, read_foreign_keys
from .resolving import OnConflict
from .shapes import Shape, read_shapes

LOCK_SECONDS = 5
ATTEMPTS = 6
SESSION = {
    "row_security": "off",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "work_mem": "64MB",
    "synchronous_commit": "off",
    "idle_in_transaction_session_timeout": "60s",
    "default_transaction_isolation": "read committed",
}
"""Of the session that undoes: a row that a policy hides must be an error, a chunk must not go through a temporary file, nor wait
for the disk: a server that dies loses its rows and the mark together, and they are taken back again."""

AS_REPLICA = "SET session_replication_role = replica"
AS_GRANTED = "SELECT holdfast_fence.write_as_replica()"


def undoing_session(target: TargetName, dsn: str) -> Connection:
    """A session that undoes. Raises TargetUnreachable, GrantsMissing."""
    db = connect(target, dsn)
    try:
        db.execute(AS_REPLICA if _is_superuser(db) or db.info.server_version >= SETTING_PRIVILEGES_FROM else AS_GRANTED)
        for name, value in SESSION.items():
            db.execute("SELECT set_config(%s, %s, false)", [name, value])
    except (
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.UndefinedFunction,
        psycopg.errors.InvalidSchemaName,
    ) as error:
        db.close()
        raise GrantsMissing(target, " ".join(str(error).split())) from None
    return db


def _is_superuser(db: Connection) -> bool:
    return db.info.parameter_status("is_superuser") == "on"


HOLDERS = """
    SELECT string_agg(DISTINCT format('pid %%s (%%s, %%s)', a.pid, a.usename,
        coalesce(nullif(a.application_name, ''), 'no name')), ', ')
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.relation = ANY(%s::oid[]) AND l.granted AND l.mode <> 'AccessShareLock' AND l.pid <> pg_backend_pid()
"""
CLEAN_ROWS = sql.SQL("""
    SELECT count(*) FROM {} c WHERE c.migration_id = %s AND c.chunk = ANY(%s)
    AND c.seq NOT IN (SELECT x.seq FROM {} x WHERE x.migration_id = %s)
""").format(journal.table("change"), journal.table("conflict"))
Told = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Undone:
    """What the whole undo did, over all who worked at it. ``conflicts`` are changes reported in the journal."""

    rows: int
    conflicts: int
    seconds: float


class _StillBroken(Exception):
    """Foreign keys that are broken where the migration's own transaction is wholly taken back."""

    def __init__(self, broken: Mapping[int, list[Broken]]) -> None:
        self.broken = broken


class Undo:
    """The undo of one captured migration, with the fencing token of whoever does it, on a session with ``SESSION``."""

    def __init__(self, db: Connection, migration_id: MigrationId, token: int, on_conflict: OnConflict) -> None:
        self._db = db
        self._migration_id = migration_id
        self._token = token
        self._shapes: Mapping[int, Shape] = read_shapes(db, migration_id)
        self._chunks = ChunkUndo(db, migration_id, on_conflict)
        self._keys = ForeignKeys(migration_id, self._shapes, read_foreign_keys(db, self._shapes))

    def run(self, told: Told = lambda left, rows: None) -> Undone:
        """Every step that is left. ``told`` hears how many chunks are left and how many rows were taken back.

        Raises RecoveryMoved, RecoveryTaken, UndoBlocked; in each case a repetition goes on with the chunk at hand.
        """
        while (left := self._patiently()) > 0:
            told(left, journal.expect(self._db, self._migration_id, "undoing").rows_undone)
        return self._finish()

    def _patiently(self) -> int:
        """One step; a lock that the application holds, or a deadlock with it, is waited for some times."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._step()
            except (
                psycopg.errors.LockNotAvailable,
                psycopg.errors.DeadlockDetected,
                psycopg.errors.QueryCanceled,
            ) as error:
                if attempt == ATTEMPTS:
                    oids = [shape.table_oid for shape in self._shapes.values()]
                    row = self._db.execute(HOLDERS, [oids]).fetchone()
                    blocking = row[0] if row and row[0] else "no session that we can see"
                    raise UndoBlocked(self._migration_id, " ".join(str(error).split()), blocking) from None
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _step(self) -> int:
        """Take the newest chunk back, or as many as it takes for foreign keys to hold. Returns how many are left."""
        began = time.monotonic()
        with self._db.transaction():
            recovery = journal.lock(self._db, self._migration_id, "undoing", token=self._token)
            newest = recovery.next_chunk or 0
            if newest == 0:
                return 0
            self._db.execute("SET CONSTRAINTS ALL DEFERRED")
            while True:
                try:
                    with self._db.transaction():
                        done = self._until_keys_hold(newest)
                    break
                except _StillBroken as why:
                    for version, broken in why.broken.items():
                        for one in broken:
                            self._chunks.conflict(self._shapes[version], one.seq, one.reason)
            journal.note(
                self._db,
                self._migration_id,
                next_chunk=done[-1].number - 1,
                rows_undone=recovery.rows_undone + self._taken_back(done),
                undo_seconds=recovery.undo_seconds + time.monotonic() - began,
            )
        return done[-1].number - 1

    def _until_keys_hold(self, newest: int) -> list[Chunk]:
        done: list[Chunk] = []
        broken: dict[int, list[Broken]] = {}
        for number in range(newest, 0, -1):
            chunk = read_chunk(self._db, self._migration_id, number)
            if done and chunk.last_xid != done[-1].first_xid:
                raise _StillBroken(broken)
            self._chunks.undo(self._shapes[chunk.version], chunk)
            done.append(chunk)
            broken = self._broken(done)
            if not broken:
                return done
        raise _StillBroken(broken)

    def _broken(self, chunks: list[Chunk]) -> dict[int, list[Broken]]:
        numbers = [chunk.number for chunk in chunks]
        found = {v: self._keys.broken(self._db, v, numbers) for v in {chunk.version for chunk in chunks}}
        return {version: broken for version, broken in found.items() if broken}

    def _taken_back(self, chunks: list[Chunk]) -> int:
        """The rows of these chunks that are no conflicts."""
        numbers = [chunk.number for chunk in chunks]
        row = self._db.execute(CLEAN_ROWS, [self._migration_id, numbers, self._migration_id]).fetchone()
        return int(row[0]) if row else 0

    def _finish(self) -> Undone:
        with self._db.transaction():
            self._db.execute("SET LOCAL synchronous_commit = 'on'")  # with it all before it is on disk
            recovery = journal.lock(self._db, self._migration_id, "undoing", token=self._token)
            conflicts = journal.count(self._db, self._migration_id, "conflict")
            journal.move(self._db, self._migration_id, "undone_with_conflicts" if conflicts else "undone")
        return Undone(recovery.rows_undone, conflicts, recovery.undo_seconds)
