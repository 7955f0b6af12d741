"""A keyset backfill that can be resumed and taken back: the runner that the demo and users share (extra ``postgres``).

Each batch is one transaction of the target: the run's row is locked, rows are picked by key and changed, their old and
new values journalled, the position moved on. The undo goes through the journal newest first, step by step, and restores a
row only where it still holds what this run wrote: what the application wrote later stands.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar

from holdfast_schemas.errors import BackfillInvalid, ExtraMissing, RollbackRequested, RunStopped

try:
    import psycopg
    from psycopg import errors as pg
    from psycopg import sql
except ImportError:
    raise ExtraMissing("postgres", "psycopg", "the backfill runner") from None

from . import backfill_statements as statements
from .backfill_journal import Connection, Journal, Position
from .backfill_statements import Shape
from .batch import Batch
from .joining import join_if_armed
from .reporter import Reporter, run_id_of_process
from .run import Run
from .undoing import Undo

T = TypeVar("T")
BUSY = (pg.LockNotAvailable, pg.DeadlockDetected, pg.SerializationFailure, pg.QueryCanceled)
"""Somebody else's lock: the step is tried again, no row has failed."""
ROW_ERRORS = (psycopg.DataError, psycopg.IntegrityError, pg.RaiseException, pg.CardinalityViolation)
"""What a row's own values can cause: such a row is recorded and passed over."""
BUSY_ATTEMPTS = 60
BUSY_SECONDS = 0.25
# Text must read back exactly whatever the database's defaults are; a worker frozen in a batch loses its transaction, and a
# host that is gone loses its session in half a minute, and with it its shard.
SESSION = (
    "-c timezone=UTC -c datestyle=ISO,YMD -c intervalstyle=postgres -c bytea_output=hex -c extra_float_digits=1"
    " -c idle_in_transaction_session_timeout=60s"
    " -c tcp_keepalives_idle=15 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
)


@dataclass(frozen=True, slots=True)
class BackfillResult:
    """What the table holds in the end, in rows. ``rows_kept`` were not restored: the application wrote them later."""

    run_id: str
    outcome: Literal["completed", "rolled_back"]
    rows_done: int
    rows_failed: int
    rows_restored: int
    rows_kept: int


@dataclass(frozen=True, kw_only=True)
class Backfill:
    """``Backfill(dsn=..., migration_id=..., target=..., table="orders", key="id", set={"cents": "..."}).run(reporter)``.

    ``set`` maps columns to SQL expressions over the row; ``where`` leaves rows out. ``key`` needs a unique index of its own
    and NOT NULL. Rows beyond the last key at the start are the application's own. Expressions are SQL as written.
    """

    dsn: str
    migration_id: str
    target: str
    table: str
    key: str
    set: Mapping[str, str]
    where: str | None = None
    batch_rows: int = 500
    batch_delay_seconds: float = 0.0
    shards: int = 1
    """Ranges of the key. Processes with the same HOLDFAST_RUN_ID work on one each, and take another when it is done."""
    expected_workers: int = 1
    """How many processes the run has: it is complete when so many have completed."""
    total_rows: int | None = None
    """Exact; None takes the planner's estimate."""
    application_name: str = "holdfast-runner"
    journal_schema: str = "holdfast_journal"
    lock_timeout_seconds: float = 5.0
    statement_timeout_seconds: float = 60.0

    def run(self, reporter: Reporter, run_id: str | None = None) -> BackfillResult:
        """Run it to its end, which is completion or a rollback taken back whole.

        With the same HOLDFAST_RUN_ID (or ``run_id``) it goes on where it was. While another worker takes the run back it
        stands by. Raises what ``reporter.run`` raises, RunStopped (the run was closed), RunFenced, BackfillInvalid,
        JournalRefused, and psycopg's errors other than those of single rows.
        """
        if self.batch_rows < 1 or self.shards < 1 or not self.set:
            raise BackfillInvalid(
                self.table, "batch_rows and shards are at least 1, and `set` names at least one column"
            )
        attempt = run_id_of_process(run_id)
        with self._connect() as db:
            shape = Shape.of(db, self.table, self.key, tuple(self.set))
            journal = Journal(self.journal_schema, attempt)
            journal.lay_out(db)
            total_rows, is_estimate = self._total_rows(db, shape)
            run = reporter.run(
                self.migration_id,
                target=self.target,
                total_rows=total_rows,
                total_is_estimate=is_estimate,
                rows_already_done=journal.totals(db).rows_done if journal.exists(db) else 0,
                expected_workers=self.expected_workers,
                can_undo=True,
                run_id=attempt,
            )
            try:
                with run:
                    return self._forward_or_back(db, shape, journal, run)
            except RollbackRequested as owed:  # on entering: an older run's undo is owed, and this process takes it on
                with reporter.rejoin(self.migration_id, owed.run_id, target=self.target) as old:
                    return self._until_undone(db, shape, old)

    def _forward_or_back(self, db: Connection, shape: Shape, journal: Journal, run: Run) -> BackfillResult:
        cut = partial(statements.last_keys, db, shape, self.shards)
        # The first process cuts the keys, and the others wait for its transaction.
        self._patiently(lambda: journal.begin(db, self.migration_id, self._definition(shape), cut))
        join_if_armed(db, self.migration_id)
        run.phase("backfill")
        try:
            while (shard := self._next_shard(db, journal, run)) is not None:
                while self._patiently(partial(self._next_step, db, shape, journal, run, shard)):
                    time.sleep(self.batch_delay_seconds)
                self._patiently(partial(journal.release_shard, db, shard))
            run.checkpoint()
        except RollbackRequested as request:
            return self._until_undone(db, shape, run, request)
        except RunStopped:
            return self._until_undone(db, shape, run)
        return _result(journal, db, "completed")

    def _until_undone(
        self, db: Connection, shape: Shape, run: Run, request: RollbackRequested | None = None
    ) -> BackfillResult:
        """Take the run back when this worker is asked to; else stand by until the ledger says that the run is over.

        The journal alone does not tell: its last worker may have died before it said so, and then this one is asked.
        """
        while True:
            try:
                if request is not None:
                    return self._back(db, shape, run, request)
                run.checkpoint()
            except RollbackRequested as asked:
                request = asked
                continue
            except RunStopped as stopped:
                request = None
                journal = Journal(self.journal_schema, run.run_id)
                if stopped.undo_by is None:
                    if not journal.is_undone(db):
                        raise
                    return _result(journal, db, "rolled_back")
            time.sleep(BUSY_SECONDS)

    def _next_shard(self, db: Connection, journal: Journal, run: Run) -> int | None:
        """A shard to work on; None when every one is done. While others have what is left it waits: one of them may die."""
        while True:
            shard, left = journal.take_shard(db)
            if shard is not None or not left:
                return shard
            run.checkpoint()
            time.sleep(BUSY_SECONDS)

    def _next_step(self, db: Connection, shape: Shape, journal: Journal, run: Run, shard: int) -> bool:
        """One batch of the shard in one transaction; False when no row is left in it."""
        run.checkpoint()
        with run.batch(rows=0) as batch:
            try:
                with db.transaction():
                    return self._step(db, shape, journal, shard, batch)
            except ROW_ERRORS:
                with db.transaction():
                    return self._step_row_by_row(db, shape, journal, shard, batch)

    def _step(self, db: Connection, shape: Shape, journal: Journal, shard: int, batch: Batch) -> bool:
        position, keys = self._pick(db, shape, journal, shard)
        if not keys:
            return False
        step = position.step + 1
        db.execute(statements.change(shape, self.set, journal, shard, step, keys))
        journal.advance(db, shard, step, keys[-1], len(keys), 0)
        batch.rows = len(keys)
        return True

    def _step_row_by_row(self, db: Connection, shape: Shape, journal: Journal, shard: int, batch: Batch) -> bool:
        """The batch again, each row in a savepoint of its own, so that failures are counted as rows."""
        position, keys = self._pick(db, shape, journal, shard)
        if not keys:
            return False
        step, failed = position.step + 1, 0
        db.execute("SAVEPOINT holdfast_row")
        for key in keys:
            change = statements.change(shape, self.set, journal, shard, step, [key])
            try:
                db.execute(sql.SQL("RELEASE SAVEPOINT holdfast_row; SAVEPOINT holdfast_row; ") + change)
            except ROW_ERRORS as error:
                db.execute("ROLLBACK TO SAVEPOINT holdfast_row")
                journal.record_error(db, shard, step, key, error)
                batch.error(error)
                failed += 1
        journal.advance(db, shard, step, keys[-1], len(keys) - failed, failed)
        batch.rows = len(keys)
        batch.failed(rows=failed)
        return True

    def _pick(self, db: Connection, shape: Shape, journal: Journal, shard: int) -> tuple[Position, list[str]]:
        position = journal.hold(db, "forward", 0, shard)
        assert position is not None
        query = statements.pick(shape, self.where, position.last_key, position.end_key, self.batch_rows)
        return position, [key for (key,) in db.execute(query)]

    def _back(self, db: Connection, shape: Shape, run: Run, request: RollbackRequested) -> BackfillResult:
        """Take the whole run back, newest step first."""
        journal = Journal(self.journal_schema, request.run_id)
        run.phase("rollback")
        with run.undoing(request) as undo:
            if not journal.exists(db):
                return BackfillResult(request.run_id, "rolled_back", 0, 0, 0, 0)
            self._patiently(lambda: journal.begin_undo(db, undo.token), undo.check)
            while not journal.is_undone(db) and self._patiently(
                lambda: self._step_back(db, shape, journal, undo), undo.check
            ):
                pass
            journal.end_undo(db, undo.token)
        return _result(journal, db, "rolled_back")

    def _step_back(self, db: Connection, shape: Shape, journal: Journal, undo: Undo) -> bool:
        """The newest step that is left, in one transaction that checks the undo token; False when none is left."""
        with db.transaction():
            position = journal.hold(db, "undoing", undo.token)
            if position is None:
                return False
            shard, step = position.shard, position.steps_left
            restored = db.execute(statements.restore(shape, journal, shard, step)).rowcount
            kept = statements.changed_rows(db, journal, shard, step) - restored
            journal.undone(db, shard, restored, kept)
            totals = journal.totals(db)
        undo.step(totals.steps_left, totals.rows_restored)
        return True

    def _patiently(self, work: Callable[[], T], between: Callable[[], None] = lambda: None) -> T:
        """Try again while somebody else holds a lock; ``between`` may raise. Raises the lock's error after 60 attempts."""
        for _ in range(BUSY_ATTEMPTS):
            try:
                return work()
            except BUSY:
                between()
                time.sleep(BUSY_SECONDS)
        return work()

    def _total_rows(self, db: Connection, shape: Shape) -> tuple[int, bool]:
        if self.total_rows is not None:
            return self.total_rows, False
        plan = db.execute(statements.estimate(shape, self.where)).fetchone()
        return int(plan[0][0]["Plan"]["Plan Rows"]) if plan else 0, True

    def _definition(self, shape: Shape) -> str:
        return json.dumps([shape.relation, self.key, dict(self.set), self.where, self.shards])

    def _connect(self) -> Connection:
        milliseconds = (round(self.lock_timeout_seconds * 1000), round(self.statement_timeout_seconds * 1000))
        limits = " -c lock_timeout={} -c statement_timeout={}".format(*milliseconds)
        given = psycopg.conninfo.conninfo_to_dict(self.dsn).get("options") or ""
        return psycopg.connect(
            self.dsn, autocommit=True, application_name=self.application_name, options=f"{given} {SESSION}{limits}"
        )


def _result(journal: Journal, db: Connection, outcome: Literal["completed", "rolled_back"]) -> BackfillResult:
    at = journal.totals(db)
    return BackfillResult(journal.run_id, outcome, at.rows_done, at.rows_failed, at.rows_restored, at.rows_kept)
