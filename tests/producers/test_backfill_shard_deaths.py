"""Shards when a process dies: in a batch, in the undo, or holding what another takes for free; no row is changed twice."""

import itertools
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from holdfast import MemorySink, Reporter
from holdfast_producers import backfill_statements as statements
from holdfast_producers.backfill_journal import Journal
from holdfast_schemas.identity import new_id
from holdfast_schemas.runs import WorkerJoined
from tests.producers.settings import quick
from tests.producers.test_backfill_shards import ROWS, backfill, fill, run_all, wrong
from tests.waiting import wait_for

pytestmark = pytest.mark.postgres
WORKER = """
import sys
from holdfast import MemorySink, Reporter
from tests.producers.settings import quick
from tests.producers.test_backfill_shards import backfill
job = backfill(sys.argv[1], 4, batch_rows=40, application_name="holdfast-runner-dying")
job.run(Reporter(quick(), sink=MemorySink()), sys.argv[2])
"""
WRITES = """
CREATE TABLE items (id bigint PRIMARY KEY, doubled bigint, label text NOT NULL UNIQUE);
CREATE TABLE write (seq bigint GENERATED ALWAYS AS IDENTITY, id bigint NOT NULL, doubled bigint);
CREATE FUNCTION written() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO write (id, doubled) VALUES (new.id, new.doubled);
    IF current_setting('application_name') LIKE '%-dying' AND new.id > 100 THEN PERFORM pg_sleep(0.05); END IF;
    RETURN new;
END $$;
CREATE TRIGGER written BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION written();
"""


@pytest.fixture
def db(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(WRITES)
        fill(connection, ROWS)
        yield connection


def writes(db: psycopg.Connection[Any]) -> list[Any]:
    """How often the rows were written: (times, rows)."""
    return db.execute(
        "SELECT n, count(*) FROM (SELECT count(*) AS n FROM write GROUP BY id) AS times GROUP BY 1 ORDER BY 1"
    ).fetchall()


def in_a_batch(db: psycopg.Connection[Any]) -> bool:
    slow = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE '%-dying' AND wait_event = 'PgSleep'"
    return db.execute(slow).fetchone() is not None


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_killed_in_a_batch_loses_that_batch_only_and_another_goes_on_with_its_shard(
    database: str, db: psycopg.Connection[Any], ending: signal.Signals
) -> None:
    run_id, root = new_id(), Path(__file__).parents[2]
    dying = subprocess.Popen([sys.executable, "-c", WORKER, database, run_id], cwd=root)
    try:
        wait_for(lambda: in_a_batch(db), 30, "its third batch")
        results, threads, _ = run_all([backfill(database, 4, batch_rows=40)], run_id)
        done = "SELECT count(*) FROM holdfast_journal.position WHERE done"
        wait_for(lambda: db.execute(done).fetchone() == (3,), 30, "the others' end")
        assert threads[0].is_alive()
        wait_for(lambda: in_a_batch(db), 30, "another batch of it")
    finally:
        dying.send_signal(ending)
        dying.wait()
    threads[0].join(30)
    assert (results[0].outcome, results[0].rows_done, wrong(db)) == ("completed", ROWS, 0)
    assert writes(db) == [(1, ROWS)]


def test_two_on_one_shard_take_turns_and_write_no_row_twice(
    database: str, db: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The advisory lock spreads the work; what keeps rows from being written twice is the position's row lock."""

    def first_that_is_left(journal: Journal, db: Any) -> tuple[int | None, bool]:
        query = "SELECT min(shard) FROM holdfast_journal.position WHERE run_id = %s AND NOT done"
        shard = db.execute(query, [journal.run_id]).fetchone()[0]
        return shard, shard is not None

    monkeypatch.setattr(Journal, "take_shard", first_that_is_left)
    results, threads, _ = run_all([backfill(database, 2, batch_rows=10) for _ in range(3)], new_id())
    for thread in threads:
        thread.join(30)
    assert [(one.outcome, one.rows_done) for one in results] == [("completed", ROWS)] * 3
    assert (writes(db), wrong(db)) == ([(1, ROWS)], 0)


def test_an_undo_that_crashed_between_shards_is_taken_up_newest_first_in_each(
    database: str, db: psycopg.Connection[Any]
) -> None:
    run_id, journal_schema = new_id(), "holdfast_journal"
    job = backfill(database, 3)
    job.run(Reporter(quick(), sink=MemorySink()), run_id)
    journal = Journal(journal_schema, run_id)
    total = journal.totals(db).steps_left
    assert total >= 20
    journal.begin_undo(db, 3)
    shape = statements.Shape.of(db, "items", "id", ("doubled",))
    for _ in range(total // 3 + 2):  # the first shard's steps and some of the second's; then its worker died
        with db.transaction():
            at = journal.hold(db, "undoing", 3)
            assert at is not None
            restored = db.execute(statements.restore(shape, journal, at.shard, at.steps_left)).rowcount
            journal.undone(db, at.shard, restored, 0)
    sink = MemorySink(answer="rollback")
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(job.run(Reporter(quick(), sink=sink), run_id)), daemon=True)
    thread.start()
    wait_for(lambda: sink.of(WorkerJoined), 10, "the worker that joins to undo")
    sink.desire("rollback")
    sink.desire("rollback", undo_by=sink.of(WorkerJoined)[-1].worker_id, undo_token=4)
    thread.join(30)
    assert (found[0].outcome, found[0].rows_restored, found[0].rows_kept) == ("rolled_back", ROWS, 0)
    assert writes(db) == [(2, ROWS)]
    assert db.execute("SELECT count(doubled) FROM items").fetchone() == (0,)
    orders = db.execute(
        "SELECT c.shard, array_agg(c.step ORDER BY w.seq) FROM write w"
        " JOIN holdfast_journal.change c ON c.key = w.id::text WHERE w.doubled IS NULL GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert [shard for shard, _ in orders] == [0, 1, 2]
    assert all(steps == sorted(steps, reverse=True) for _, steps in orders)


def test_a_large_table_is_cut_by_a_sample(db: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    db.execute("INSERT INTO items SELECT i, null, 'm' || i FROM generate_series(1001, 50000) i")
    db.execute("ANALYZE items")
    monkeypatch.setattr(statements, "SAMPLED_ROWS", 25_000)
    ends = statements.last_keys(db, statements.Shape.of(db, "items", "id", ("doubled",)), 4)
    cuts = [0, *(int(end or 0) for end in ends)]
    assert (len(ends), cuts[-1]) == (4, 50_000)
    rows = [after - before for before, after in itertools.pairwise(cuts)]
    assert min(rows) > 5_000  # of 12,500: nine standard errors of a sample of half the pages
    assert rows != [12_500] * 4


def test_rows_that_the_application_adds_while_the_keys_are_cut_are_its_own(
    database: str, db: psycopg.Connection[Any]
) -> None:
    class Growing:
        """The application inserts as many rows again right after the last key was read."""

        def __init__(self) -> None:
            self.inserted = False

        def execute(self, query: Any, *parameters: Any) -> Any:
            cursor = db.cursor().execute(query, *parameters)
            if not self.inserted:
                self.inserted = True
                db.execute("INSERT INTO items SELECT i, null, 'n' || i FROM generate_series(1001, 2000) i")
            return cursor

    ends = statements.last_keys(Growing(), statements.Shape.of(db, "items", "id", ("doubled",)), 8)  # type: ignore[arg-type]
    assert [int(end or 0) for end in ends] == sorted({int(end or 0) for end in ends})
    assert (len(ends), ends[-1]) == (8, str(ROWS))
