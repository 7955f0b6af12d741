"""The backfill's journal, in the target's own database: what a run changed, where it stands, and whether it may write.

Everything that a step does, and its line in the journal, is one transaction of the target (protocol 17, 19).
"""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from holdfast_schemas.errors import BackfillInvalid, JournalRefused

Connection = psycopg.Connection[Any]
LAY_OUT_LOCK = 0x686F6C64  # any constant: two starts at once must not create the schema twice

TABLES = """
CREATE SCHEMA IF NOT EXISTS {schema};
CREATE TABLE IF NOT EXISTS {schema}.run (
    run_id       uuid PRIMARY KEY,
    migration_id text NOT NULL,
    definition   text NOT NULL,
    end_key      text,                       -- rows after it were written by an application that knows the new shape
    mode         text NOT NULL DEFAULT 'forward' CHECK (mode IN ('forward', 'undoing', 'undone')),
    undo_token   bigint NOT NULL DEFAULT 0,
    started_at   timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS {schema}.position (
    run_id        uuid PRIMARY KEY REFERENCES {schema}.run,
    last_key      text,
    step          bigint NOT NULL DEFAULT 0,
    rows_done     bigint NOT NULL DEFAULT 0,
    rows_failed   bigint NOT NULL DEFAULT 0,
    steps_undone  bigint NOT NULL DEFAULT 0,
    rows_restored bigint NOT NULL DEFAULT 0,
    rows_kept     bigint NOT NULL DEFAULT 0  -- the application wrote or deleted them later: its word stands
);
CREATE TABLE IF NOT EXISTS {schema}.change (
    run_id uuid NOT NULL REFERENCES {schema}.run,
    step   bigint NOT NULL,
    key    text NOT NULL,
    old    text[] NOT NULL,
    new    text[] NOT NULL,
    PRIMARY KEY (run_id, step, key)
);
CREATE TABLE IF NOT EXISTS {schema}.error (
    run_id      uuid NOT NULL REFERENCES {schema}.run,
    step        bigint NOT NULL,
    key         text NOT NULL,
    sqlstate    text,
    error_class text NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, step, key)
);
"""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a run stands. ``step`` numbers its batches from 1; ``last_key`` is the last row that they reached."""

    last_key: str | None
    end_key: str | None
    step: int
    rows_done: int
    rows_failed: int
    steps_undone: int
    rows_restored: int
    rows_kept: int

    @property
    def steps_left(self) -> int:
        """Steps that an undo still has to take back."""
        return self.step - self.steps_undone


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

    def begin(self, db: Connection, migration_id: str, definition: str, end_key: str | None) -> None:
        """Make the run's rows, or find them: a run that is taken up again goes on where it was.

        Raises BackfillInvalid when the run was begun with another definition.
        """
        with db.transaction():
            db.execute(
                sql.SQL(
                    "INSERT INTO {} (run_id, migration_id, definition, end_key) VALUES (%s, %s, %s, %s)"
                    " ON CONFLICT (run_id) DO NOTHING"
                ).format(self.table("run")),
                [self.run_id, migration_id, definition, end_key],
            )
            db.execute(
                sql.SQL("INSERT INTO {} (run_id) VALUES (%s) ON CONFLICT (run_id) DO NOTHING").format(
                    self.table("position")
                ),
                [self.run_id],
            )
            row = db.execute(
                sql.SQL("SELECT definition FROM {} WHERE run_id = %s").format(self.table("run")), [self.run_id]
            ).fetchone()
        if row is not None and row[0] != definition:
            raise BackfillInvalid(
                migration_id, f"run {self.run_id} was begun as {row[0]}, now it is {definition}; start a new run"
            )

    def exists(self, db: Connection) -> bool:
        """Whether this run ever wrote here."""
        query = sql.SQL("SELECT 1 FROM {} WHERE run_id = %s").format(self.table("run"))
        return db.execute(query, [self.run_id]).fetchone() is not None

    def is_undone(self, db: Connection) -> bool:
        """Whether the run was taken back to its end, by whichever worker."""
        query = sql.SQL("SELECT mode = 'undone' FROM {} WHERE run_id = %s").format(self.table("run"))
        row = db.execute(query, [self.run_id]).fetchone()
        return row is not None and bool(row[0])

    def position(self, db: Connection) -> Position:
        """Where the run stands now."""
        return self._position(db, sql.SQL(""))

    def _position(self, db: Connection, lock: sql.Composable) -> Position:
        query = sql.SQL(
            "SELECT p.last_key, r.end_key, p.step, p.rows_done, p.rows_failed, p.steps_undone, p.rows_restored,"
            " p.rows_kept FROM {} p JOIN {} r USING (run_id) WHERE p.run_id = %s {}"
        ).format(self.table("position"), self.table("run"), lock)
        with db.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(query, [self.run_id]).fetchone()
        if row is None:
            raise JournalRefused(self.run_id, "a row of this run", "none")
        return Position(**row)

    def hold(self, db: Connection, mode: str, undo_token: int) -> Position:
        """First in the step's transaction: lock the run's row FOR SHARE and find it in this mode, under this token.

        Whoever changes mode or token waits for this transaction, and whoever comes later finds the change: a worker that
        was frozen in a batch cannot write after the undo has begun. Raises JournalRefused.
        """
        query = sql.SQL("SELECT mode, undo_token FROM {} WHERE run_id = %s FOR SHARE").format(self.table("run"))
        row = db.execute(query, [self.run_id]).fetchone()
        found = "no row" if row is None else f"{row[0]}, undo token {row[1]}"
        if row is None or row[0] != mode or row[1] != undo_token:
            raise JournalRefused(self.run_id, f"{mode}, undo token {undo_token}", found)
        return self._position(db, sql.SQL("FOR UPDATE OF p"))

    def advance(self, db: Connection, step: int, last_key: str, rows_done: int, rows_failed: int) -> None:
        """In the step's transaction: the step is done up to ``last_key``."""
        db.execute(
            sql.SQL(
                "UPDATE {} SET step = %s, last_key = %s, rows_done = rows_done + %s, rows_failed = rows_failed + %s"
                " WHERE run_id = %s"
            ).format(self.table("position")),
            [step, last_key, rows_done, rows_failed, self.run_id],
        )

    def record_error(self, db: Connection, step: int, key: str, error: psycopg.Error) -> None:
        """In the step's transaction: this row could not be changed and is passed over."""
        db.execute(
            sql.SQL("INSERT INTO {} (run_id, step, key, sqlstate, error_class) VALUES (%s, %s, %s, %s, %s)").format(
                self.table("error")
            ),
            [self.run_id, step, key, error.sqlstate, type(error).__name__],
        )

    def begin_undo(self, db: Connection, undo_token: int) -> None:
        """Turn the run to undoing under this token; waits for batches in flight. Raises JournalRefused: a higher token."""
        query = sql.SQL(
            "UPDATE {} SET mode = CASE mode WHEN 'undone' THEN mode ELSE 'undoing' END, undo_token = %s"
            " WHERE run_id = %s AND undo_token <= %s RETURNING undo_token"
        ).format(self.table("run"))
        with db.transaction():
            if db.execute(query, [undo_token, self.run_id, undo_token]).fetchone() is None:
                raise JournalRefused(self.run_id, f"undo token at most {undo_token}", "a higher one")

    def undone(self, db: Connection, rows_restored: int, rows_kept: int) -> None:
        """In the step's transaction: its newest step not yet taken back has been."""
        db.execute(
            sql.SQL(
                "UPDATE {} SET steps_undone = steps_undone + 1, rows_restored = rows_restored + %s,"
                " rows_kept = rows_kept + %s WHERE run_id = %s"
            ).format(self.table("position")),
            [rows_restored, rows_kept, self.run_id],
        )

    def end_undo(self, db: Connection, undo_token: int) -> None:
        """All steps are taken back: the run can neither go forward nor be undone again."""
        query = sql.SQL("UPDATE {} SET mode = 'undone' WHERE run_id = %s AND undo_token = %s").format(self.table("run"))
        db.execute(query, [self.run_id, undo_token])
