"""The backfill's journal, in the target's own database: what a run changed, where it stands, and whether it may write.

Everything that a step does, and its line in the journal, is one transaction of the target (protocol 17, 19). A run has one
shard or more, ranges of the key that share no row: processes work on different ones, and the undo takes back all of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from holdfast_schemas.errors import BackfillInvalid, JournalRefused

Connection = psycopg.Connection[Any]
LAY_OUT_LOCK = 0x686F6C64  # any constant: two starts at once must not create the schema twice

TABLES = """
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE IF NOT EXISTS {schema}.run (
    run_id       uuid PRIMARY KEY,
    migration_id text NOT NULL,
    definition   text NOT NULL,
    mode         text NOT NULL DEFAULT 'forward' CHECK (mode IN ('forward', 'undoing', 'undone')),
    undo_token   bigint NOT NULL DEFAULT 0,
    started_at   timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS {schema}.position (
    run_id        uuid NOT NULL REFERENCES {schema}.run,
    shard         int NOT NULL,
    end_key       text,                      -- the shard's last row; rows after the last shard's are the application's own
    last_key      text,                      -- reached so far; at first the row before the shard
    done          boolean NOT NULL DEFAULT false,
    step          bigint NOT NULL DEFAULT 0,
    rows_done     bigint NOT NULL DEFAULT 0,
    rows_failed   bigint NOT NULL DEFAULT 0,
    steps_undone  bigint NOT NULL DEFAULT 0,
    rows_restored bigint NOT NULL DEFAULT 0,
    rows_kept     bigint NOT NULL DEFAULT 0, -- the application wrote or deleted them later: its word stands
    PRIMARY KEY (run_id, shard)
);
CREATE TABLE IF NOT EXISTS {schema}.change (
    run_id uuid NOT NULL REFERENCES {schema}.run,
    shard  int NOT NULL,
    step   bigint NOT NULL,
    key    text NOT NULL,
    old    text[] NOT NULL,
    new    text[] NOT NULL,
    PRIMARY KEY (run_id, shard, step, key)
);
CREATE TABLE IF NOT EXISTS {schema}.error (
    run_id      uuid NOT NULL REFERENCES {schema}.run,
    shard       int NOT NULL,
    step        bigint NOT NULL,
    key         text NOT NULL,
    sqlstate    text,
    error_class text NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, shard, step, key)
);
"""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a shard stands. ``step`` numbers its batches from 1; ``last_key`` is the last row that they reached."""

    shard: int
    last_key: str | None
    end_key: str | None
    step: int
    steps_undone: int

    @property
    def steps_left(self) -> int:
        """Steps of the shard that an undo still has to take back."""
        return self.step - self.steps_undone


@dataclass(frozen=True, slots=True)
class Totals:
    """Where the whole run stands, in rows, and in steps that an undo still has to take back."""

    rows_done: int
    rows_failed: int
    rows_restored: int
    rows_kept: int
    steps_left: int


class Journal:
    """One run's journal in ``schema``. Methods that say *in the step's transaction* open none of their own."""

    def __init__(self, schema: str, run_id: str) -> None:
        self.run_id = run_id
        self._schema = schema

    def table(self, name: str) -> sql.Identifier:
        return sql.Identifier(self._schema, name)

    def lay_out(self, db: Connection) -> None:
        """Create schema and tables where they are missing."""
        with db.transaction():
            db.execute("SELECT pg_advisory_xact_lock(%s)", [LAY_OUT_LOCK])
            found = db.execute("SELECT to_regclass(%s)", [f'"{self._schema}".error']).fetchone()
            if found is None or found[0] is None:
                db.execute(sql.SQL(TABLES).format(schema=sql.Identifier(self._schema)))

    def begin(
        self, db: Connection, migration_id: str, definition: str, last_keys: Callable[[], Sequence[str | None]]
    ) -> None:
        """Make the run's rows, or find them: a run that is taken up again goes on where it was.

        ``last_keys`` is asked only for a new run: the last key of each shard, in order; None is an empty table's.
        Raises BackfillInvalid when the run was begun with another definition.
        """
        with db.transaction():
            made = db.execute(
                sql.SQL(
                    "INSERT INTO {} (run_id, migration_id, definition) VALUES (%s, %s, %s)"
                    " ON CONFLICT (run_id) DO NOTHING RETURNING 1"
                ).format(self.table("run")),
                [self.run_id, migration_id, definition],
            ).fetchone()
            if made is not None:
                self._begin_shards(db, last_keys())
            row = db.execute(
                sql.SQL("SELECT definition FROM {} WHERE run_id = %s").format(self.table("run")), [self.run_id]
            ).fetchone()
        if row is not None and row[0] != definition:
            raise BackfillInvalid(
                migration_id, f"run {self.run_id} was begun as {row[0]}, now it is {definition}; start a new run"
            )

    def _begin_shards(self, db: Connection, last_keys: Sequence[str | None]) -> None:
        before = None
        for shard, last in enumerate(last_keys):
            db.execute(
                sql.SQL("INSERT INTO {} (run_id, shard, last_key, end_key) VALUES (%s, %s, %s, %s)").format(
                    self.table("position")
                ),
                [self.run_id, shard, before, last],
            )
            before = last

    def exists(self, db: Connection) -> bool:
        """Whether this run ever wrote here."""
        query = sql.SQL("SELECT 1 FROM {} WHERE run_id = %s").format(self.table("run"))
        return db.execute(query, [self.run_id]).fetchone() is not None

    def is_undone(self, db: Connection) -> bool:
        """Whether the run was taken back to its end, by whichever worker."""
        query = sql.SQL("SELECT mode = 'undone' FROM {} WHERE run_id = %s").format(self.table("run"))
        row = db.execute(query, [self.run_id]).fetchone()
        return row is not None and bool(row[0])

    def totals(self, db: Connection) -> Totals:
        """Where the run stands now, over all its shards."""
        query = sql.SQL(
            "SELECT coalesce(sum(rows_done), 0)::bigint, coalesce(sum(rows_failed), 0)::bigint,"
            " coalesce(sum(rows_restored), 0)::bigint, coalesce(sum(rows_kept), 0)::bigint,"
            " coalesce(sum(step - steps_undone), 0)::bigint FROM {} WHERE run_id = %s"
        ).format(self.table("position"))
        row = db.execute(query, [self.run_id]).fetchone()
        assert row is not None
        return Totals(*row)

    # shards: who works on which

    def take_shard(self, db: Connection) -> tuple[int | None, bool]:
        """(a shard that is not done and that no other session holds, whether any is left that is not done).

        This session holds it until ``release_shard`` or its own end, so a process that was killed frees its shard. It is a
        courtesy between processes: what keeps two from one batch is the row lock of ``hold``. Raises JournalRefused when
        the run goes forward no longer.
        """
        mode = db.execute(sql.SQL("SELECT mode FROM {} WHERE run_id = %s").format(self.table("run")), [self.run_id])
        if (found := mode.fetchone()) != ("forward",):
            raise JournalRefused(self.run_id, "forward", "no row" if found is None else str(found[0]))
        query = sql.SQL("SELECT shard FROM {} WHERE run_id = %s AND NOT done ORDER BY shard").format(
            self.table("position")
        )
        left = [shard for (shard,) in db.execute(query, [self.run_id])]
        for shard in left:
            got = db.execute("SELECT pg_try_advisory_lock(hashtext(%s), %s)", [self.run_id, shard]).fetchone()
            if got is not None and got[0]:
                return shard, True
        return None, bool(left)

    def release_shard(self, db: Connection, shard: int) -> None:
        """The shard has no row left: it is done, and no longer this session's."""
        query = sql.SQL("UPDATE {} SET done = true WHERE run_id = %s AND shard = %s").format(self.table("position"))
        db.execute(query, [self.run_id, shard])
        db.execute("SELECT pg_advisory_unlock(hashtext(%s), %s)", [self.run_id, shard])

    # steps

    def hold(self, db: Connection, mode: str, undo_token: int, shard: int | None = None) -> Position | None:
        """First in the step's transaction: lock the run's row FOR SHARE and find it in this mode, under this token.

        Whoever changes mode or token waits for this transaction, and whoever comes later finds the change: a worker that
        was frozen in a batch cannot write after the undo has begun. Returns the shard's position, locked; without
        ``shard`` one that has steps to undo, None when there is none. Raises JournalRefused.
        """
        query = sql.SQL("SELECT mode, undo_token FROM {} WHERE run_id = %s FOR SHARE").format(self.table("run"))
        row = db.execute(query, [self.run_id]).fetchone()
        found = "no row" if row is None else f"{row[0]}, undo token {row[1]}"
        if row is None or row[0] != mode or row[1] != undo_token:
            raise JournalRefused(self.run_id, f"{mode}, undo token {undo_token}", found)
        which = "step > steps_undone" if shard is None else "shard = %s"
        position = sql.SQL(
            "SELECT shard, last_key, end_key, step, steps_undone FROM {} WHERE run_id = %s AND "
            + which
            + " ORDER BY shard LIMIT 1 FOR UPDATE"
        ).format(self.table("position"))
        with db.cursor(row_factory=class_row(Position)) as cursor:
            return cursor.execute(position, [self.run_id, *([] if shard is None else [shard])]).fetchone()

    def advance(self, db: Connection, shard: int, step: int, last_key: str, rows_done: int, rows_failed: int) -> None:
        """In the step's transaction: the shard's step is done up to ``last_key``."""
        db.execute(
            sql.SQL(
                "UPDATE {} SET step = %s, last_key = %s, rows_done = rows_done + %s, rows_failed = rows_failed + %s"
                " WHERE run_id = %s AND shard = %s"
            ).format(self.table("position")),
            [step, last_key, rows_done, rows_failed, self.run_id, shard],
        )

    def record_error(self, db: Connection, shard: int, step: int, key: str, error: psycopg.Error) -> None:
        """In the step's transaction: this row could not be changed and is passed over."""
        db.execute(
            sql.SQL(
                "INSERT INTO {} (run_id, shard, step, key, sqlstate, error_class) VALUES (%s, %s, %s, %s, %s, %s)"
            ).format(self.table("error")),
            [self.run_id, shard, step, key, error.sqlstate, type(error).__name__],
        )

    # the undo

    def begin_undo(self, db: Connection, undo_token: int) -> None:
        """Turn the run to undoing under this token; waits for batches in flight. Raises JournalRefused: a higher token."""
        query = sql.SQL(
            "UPDATE {} SET mode = CASE mode WHEN 'undone' THEN mode ELSE 'undoing' END, undo_token = %s"
            " WHERE run_id = %s AND undo_token <= %s RETURNING undo_token"
        ).format(self.table("run"))
        with db.transaction():
            if db.execute(query, [undo_token, self.run_id, undo_token]).fetchone() is None:
                raise JournalRefused(self.run_id, f"undo token at most {undo_token}", "a higher one")

    def undone(self, db: Connection, shard: int, rows_restored: int, rows_kept: int) -> None:
        """In the step's transaction: the shard's newest step not yet taken back has been."""
        db.execute(
            sql.SQL(
                "UPDATE {} SET steps_undone = steps_undone + 1, rows_restored = rows_restored + %s,"
                " rows_kept = rows_kept + %s WHERE run_id = %s AND shard = %s"
            ).format(self.table("position")),
            [rows_restored, rows_kept, self.run_id, shard],
        )

    def end_undo(self, db: Connection, undo_token: int) -> None:
        """All steps are taken back: the run can neither go forward nor be undone again."""
        query = sql.SQL("UPDATE {} SET mode = 'undone' WHERE run_id = %s AND undo_token = %s").format(self.table("run"))
        db.execute(query, [self.run_id, undo_token])
