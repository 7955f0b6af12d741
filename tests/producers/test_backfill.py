"""The backfill runner on a real PostgreSQL: run, bad rows, resume, undo beside an application, fencing by token."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from holdfast import MemorySink, Reporter
from holdfast_producers import backfill_statements as statements
from holdfast_producers.backfill import Backfill, BackfillResult
from holdfast_producers.backfill_journal import Journal
from holdfast_schemas.errors import BackfillInvalid, JournalRefused
from holdfast_schemas.events import ErrorReported, ProgressReported
from holdfast_schemas.identity import new_id
from holdfast_schemas.runs import RunRequested, UndoReported, WorkerJoined, WorkerLeft
from tests.producers.settings import quick
from tests.waiting import wait_for

pytestmark = pytest.mark.postgres
ROWS = 1_000
BAD = frozenset(range(400, 440))
SETUP = """
CREATE TABLE orders (id bigint PRIMARY KEY, amount_text text NOT NULL, amount_cents bigint, note text NOT NULL DEFAULT '');
INSERT INTO orders SELECT i, CASE WHEN i BETWEEN 400 AND 439 THEN 'n/a %' ELSE (i / 100.0)::numeric(12,2)::text END,
    CASE WHEN i % 3 = 0 THEN -i END FROM generate_series(1, 1000) i;
"""


@pytest.fixture
def db(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(SETUP)
        yield connection


def backfill(dsn: str, **changes: Any) -> Backfill:
    settings: dict[str, Any] = {
        "dsn": dsn,
        "migration_id": "orders-cents",
        "target": "orders",
        "table": "orders",
        "key": "id",
        "set": {"amount_cents": "(amount_text::numeric * 100)::bigint"},
        "batch_rows": 100,
        "total_rows": ROWS,
        "lock_timeout_seconds": 0.2,
    }
    return Backfill(**settings | changes)


def cents(db: psycopg.Connection[Any]) -> dict[int, int | None]:
    return dict(db.execute("SELECT id, amount_cents FROM orders").fetchall())


def before(row: int) -> int | None:
    return -row if row % 3 == 0 else None


def after(row: int) -> int | None:
    return before(row) if row in BAD else row


def undo_when_asked(sink: MemorySink, token: int = 1) -> None:
    """What the ledger does: every worker stops first, then one is named."""
    sink.desire("rollback", reason="error_rate 0.2 > 0.1")
    worker = (sink.of(WorkerJoined) or sink.of(RunRequested))[-1].worker_id
    sink.desire("rollback", undo_by=worker, undo_token=token, reason="error_rate 0.2 > 0.1")


def in_thread(job: Backfill, reporter: Reporter, run_id: str | None = None) -> tuple[threading.Thread, list[Any]]:
    found: list[Any] = []

    def work() -> None:
        try:
            found.append(job.run(reporter, run_id))
        except Exception as error:  # noqa: BLE001  handed to the test
            found.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread, found


def test_a_backfill_changes_every_good_row_and_counts_bad_rows_as_rows(
    database: str, db: psycopg.Connection[Any]
) -> None:
    sink = MemorySink()
    result = backfill(database).run(Reporter(quick(), sink=sink))
    assert result == BackfillResult(result.run_id, "completed", ROWS - len(BAD), len(BAD), 0, 0)
    assert cents(db) == {row: after(row) for row in range(1, ROWS + 1)}
    last = sink.of(ProgressReported)[-1]
    assert (last.rows_attempted, last.rows_processed, last.error_count) == (ROWS, ROWS - len(BAD), len(BAD))
    errors = sink.of(ErrorReported)
    assert {(e.sqlstate, e.error_class) for e in errors} == {("22P02", "psycopg.errors.InvalidTextRepresentation")}
    assert sum(e.count for e in errors) == len(BAD)
    assert "n/a" not in "".join(e.template for e in errors)
    recorded = db.execute("SELECT key::bigint FROM holdfast_journal.error").fetchall()
    assert {key for (key,) in recorded} == BAD


def test_a_run_that_crashed_goes_on_after_its_last_committed_batch(database: str, db: psycopg.Connection[Any]) -> None:
    run_id = new_id()
    crashing = backfill(database, set={"amount_cents": "id"})
    db.execute("CREATE FUNCTION explode() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nothing_there(); END $$")
    db.execute(
        "CREATE TRIGGER crash BEFORE UPDATE ON orders FOR EACH ROW WHEN (new.id = 750) EXECUTE FUNCTION explode()"
    )
    with pytest.raises(psycopg.errors.UndefinedFunction):
        crashing.run(Reporter(quick(), sink=MemorySink()), run_id)
    assert cents(db)[700] == 700
    assert cents(db)[701] == before(701)
    db.execute("DROP TRIGGER crash ON orders")
    db.execute("UPDATE orders SET amount_cents = 5 WHERE id = 100")  # an early row is not visited twice
    sink = MemorySink()
    result = crashing.run(Reporter(quick(), sink=sink), run_id)
    assert (result.rows_done, result.rows_failed) == (ROWS, 0)
    assert cents(db)[100] == 5
    assert sink.of(ProgressReported)[-1].rows_attempted == 300
    other = backfill(database)
    with pytest.raises(BackfillInvalid, match="start a new run"):
        other.run(Reporter(quick(), sink=MemorySink()), run_id)


def test_an_undo_restores_what_the_run_wrote_and_keeps_what_the_application_wrote_later(
    database: str, db: psycopg.Connection[Any]
) -> None:
    sink = MemorySink()
    thread, found = in_thread(backfill(database, batch_delay_seconds=0.02), Reporter(quick(), sink=sink))
    wait_for(lambda: cents(db)[300] == 300, 10, "three batches")
    sink.desire("pause", reason="error_rate 0.06 > 0.05")
    wait_for(lambda: sink.of(ProgressReported)[-1].state == "paused", 5, "the pause")
    standing = cents(db)
    db.execute("UPDATE orders SET amount_cents = 777 WHERE id IN (10, 20)")
    db.execute("UPDATE orders SET note = 'seen' WHERE id = 30")
    db.execute("DELETE FROM orders WHERE id = 40")
    db.execute("INSERT INTO orders VALUES (5000, '1.00', 3)")
    undo_when_asked(sink)
    thread.join(20)
    (result,) = found
    touched = {row for row in range(1, ROWS + 1) if standing[row] != before(row)}
    assert len(touched) >= 300
    assert (result.outcome, result.rows_kept) == ("rolled_back", 3)
    assert result.rows_restored == len(touched) - 3
    expected = {row: before(row) for row in range(1, ROWS + 1) if row != 40} | {10: 777, 20: 777, 5000: 3}
    assert cents(db) == expected
    done = sink.of(UndoReported)[-1]
    assert (done.outcome, done.steps_left, done.undo_token) == ("done", 0, 1)
    assert sink.of(ProgressReported)[-1].rows_undone == result.rows_restored
    assert sink.of(WorkerLeft)[-1].outcome == "stopped"


def test_a_step_is_undone_newest_first_and_the_undo_itself_can_be_taken_up_by_another_process(
    database: str, db: psycopg.Connection[Any]
) -> None:
    run_id = new_id()
    backfill(database).run(Reporter(quick(), sink=MemorySink()), run_id)
    job, journal = backfill(database), Journal("holdfast_journal", run_id)
    with job._connect() as own:
        shape = statements.Shape.of(own, "orders", "id", ("amount_cents",))
        journal.begin_undo(own, 3)
        with own.transaction():
            position = journal.hold(own, "undoing", 3)
            assert position is not None
            own.execute(statements.restore(shape, journal, position.shard, position.steps_left))
            journal.undone(own, position.shard, 100, 0)
    half = cents(db)
    assert half[950] == before(950)
    assert half[850] == 850
    sink = MemorySink(answer="rollback")  # the process died; the next one asks to run, and is told what is owed
    thread, found = in_thread(job, Reporter(quick(), sink=sink), run_id)
    wait_for(lambda: sink.of(WorkerJoined), 5, "the worker that joins to undo")
    undo_when_asked(sink, token=4)
    thread.join(20)
    assert found[0].outcome == "rolled_back"
    assert cents(db) == {row: before(row) for row in range(1, ROWS + 1)}


def test_no_batch_and_no_older_undo_can_write_once_the_undo_has_begun(
    database: str, db: psycopg.Connection[Any]
) -> None:
    run_id = new_id()
    backfill(database).run(Reporter(quick(), sink=MemorySink()), run_id)
    journal = Journal("holdfast_journal", run_id)
    journal.begin_undo(db, 5)
    with pytest.raises(JournalRefused, match="undoing, undo token 5"), db.transaction():
        journal.hold(db, "forward", 0, 0)
    with pytest.raises(JournalRefused, match="higher"):
        journal.begin_undo(db, 4)
    journal.begin_undo(db, 6)
    with pytest.raises(JournalRefused, match="undo token 6"), db.transaction():
        journal.hold(db, "undoing", 5)
    journal.end_undo(db, 6)
    with pytest.raises(JournalRefused, match="undone"):
        backfill(database).run(Reporter(quick(), sink=MemorySink()), run_id)
    assert cents(db)[1] == 1


def test_the_undo_waits_for_a_batch_in_flight(database: str, db: psycopg.Connection[Any]) -> None:
    journal = Journal("holdfast_journal", new_id())
    journal.lay_out(db)
    journal.begin(db, "orders-cents", "x", lambda: [None])
    with psycopg.connect(database, options="-c lock_timeout=200") as frozen:
        journal.hold(frozen, "forward", 0, 0)  # FOR SHARE: a worker frozen inside its batch
        db.execute("SET lock_timeout = 100")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            journal.begin_undo(db, 1)
    journal.begin_undo(db, 1)


def test_a_row_that_somebody_else_holds_delays_the_batch_and_fails_nothing(
    database: str, db: psycopg.Connection[Any]
) -> None:
    sink = MemorySink()
    with psycopg.connect(database) as holder:
        holder.execute("UPDATE orders SET note = 'held' WHERE id = 50")
        thread, found = in_thread(backfill(database), Reporter(quick(), sink=sink))
        wait_for(lambda: [e for e in sink.of(ErrorReported) if e.sqlstate == "55P03"], 10, "the lock time-out")
        assert cents(db)[1] is None
    thread.join(20)
    assert (found[0].rows_done, found[0].rows_failed) == (ROWS - len(BAD), len(BAD))


def standing_by(database: str, db: psycopg.Connection[Any]) -> tuple[MemorySink, threading.Thread, list[Any], Journal]:
    """A backfill some batches on, whose run another worker was named to take back."""
    sink = MemorySink()
    thread, found = in_thread(backfill(database, batch_delay_seconds=0.05), Reporter(quick(), sink=sink))
    wait_for(lambda: cents(db)[100] == 100, 10, "a batch")
    sink.desire("rollback", undo_by=new_id(), undo_token=1)
    return sink, thread, found, Journal("holdfast_journal", sink.of(RunRequested)[-1].run_id)


def test_while_another_worker_undoes_this_one_stands_by_until_it_is_done(
    database: str, db: psycopg.Connection[Any]
) -> None:
    sink, thread, found, journal = standing_by(database, db)
    journal.begin_undo(db, 1)
    assert thread.is_alive()
    assert not sink.of(WorkerLeft)
    journal.end_undo(db, 1)
    assert thread.is_alive()  # the ledger may not know it yet, and ask this worker
    sink.desire("none")
    thread.join(10)
    assert found[0].outcome == "rolled_back"
    assert [left.outcome for left in sink.of(WorkerLeft)] == ["stopped"]


def test_when_the_other_worker_dies_this_one_takes_the_undo_on(database: str, db: psycopg.Connection[Any]) -> None:
    sink, thread, found, journal = standing_by(database, db)
    journal.begin_undo(db, 1)
    sink.desire("rollback", undo_by=sink.of(RunRequested)[-1].worker_id, undo_token=2)
    thread.join(10)
    assert found[0].outcome == "rolled_back"
    assert all(value == before(row) for row, value in cents(db).items())
    assert [report.undo_token for report in sink.of(UndoReported)][-1] == 2


def test_an_undo_that_was_done_and_not_told_is_told_by_the_next_worker(
    database: str, db: psycopg.Connection[Any]
) -> None:
    sink, thread, found, journal = standing_by(database, db)
    journal.begin_undo(db, 1)
    journal.end_undo(db, 1)  # and then that worker died
    sink.desire("rollback", undo_by=sink.of(RunRequested)[-1].worker_id, undo_token=2)
    thread.join(10)
    assert found[0].outcome == "rolled_back"
    told = sink.of(UndoReported)[-1]
    assert (told.undo_token, told.outcome) == (2, "done")
