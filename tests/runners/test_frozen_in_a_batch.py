"""A worker that is frozen across the undo of its run cannot write after it (protocol 19): the rows prove it."""

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
from holdfast_schemas.identity import new_id
from holdfast_schemas.runs import WorkerJoined
from tests.producers.settings import quick
from tests.producers.test_backfill import ROWS, backfill, before, cents, db, in_thread, undo_when_asked
from tests.waiting import wait_for

__all__ = ["db"]
pytestmark = pytest.mark.postgres
PROGRAM = "tests.runners.programs.backfill_that_hears_nothing"
BLOCKED_ROW = 150
WRITES = """
CREATE TABLE written (id bigint NOT NULL);
CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO written VALUES (new.id); RETURN new; END $$;
CREATE TRIGGER note_write AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION note_write();
"""


class Worker:
    """The backfill's process, and what its session in the target is doing."""

    def __init__(self, dsn: str, db: psycopg.Connection[Any]) -> None:
        self.run_id = new_id()
        self._db = db
        root = Path(__file__).parents[2]
        argv = [sys.executable, "-m", PROGRAM, dsn, self.run_id, "60"]
        self.process = subprocess.Popen(argv, cwd=root, stdout=subprocess.PIPE, text=True)

    def session(self) -> tuple[int, str, str | None]:
        """(its backend's pid, what it is doing, what it waits for); raises LookupError while it has none."""
        row = self._db.execute(
            "SELECT pid, state, wait_event_type FROM pg_stat_activity WHERE application_name = %s",
            [f"frozen-{self.run_id}"],
        ).fetchone()
        if row is None:
            raise LookupError("no session")
        return row  # type: ignore[no-any-return]

    def does(self, state: str, wait: str | None) -> bool:
        try:
            return self.session()[1:] == (state, wait)
        except LookupError:
            return False

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> str:
        """Let it go on; returns what it printed at its end."""
        self.process.send_signal(signal.SIGCONT)
        return self.process.communicate(timeout=30)[0].strip()


@pytest.fixture
def worker(database: str, db: psycopg.Connection[Any]) -> Iterator[Worker]:
    db.execute(WRITES)
    started = Worker(database, db)
    try:
        yield started
    finally:
        started.process.kill()
        started.process.communicate()


def start_undo(dsn: str, run_id: str) -> tuple[threading.Thread, list[Any]]:
    """Another worker, named to take the run back."""
    sink = MemorySink(answer="rollback")
    thread, found = in_thread(backfill(dsn), Reporter(quick(), sink=sink), run_id)
    wait_for(lambda: sink.of(WorkerJoined), 20, "the worker that joins to undo")
    undo_when_asked(sink)
    return thread, found


def assert_taken_back(db: psycopg.Connection[Any], found: list[Any]) -> None:
    """Every row is as it was, and none was written but once by the run and once by its undo."""
    assert found[0].outcome == "rolled_back", found
    assert cents(db) == {row: before(row) for row in range(1, ROWS + 1)}
    counts = db.execute("SELECT DISTINCT n FROM (SELECT count(*) n FROM written GROUP BY id) w").fetchall()
    assert counts == [(2,)]


def test_frozen_between_two_batches_it_wakes_after_the_undo_and_is_refused(
    worker: Worker, database: str, db: psycopg.Connection[Any]
) -> None:
    wait_for(lambda: cents(db)[60] == 60, 30, "three batches")

    def frozen_outside_a_transaction() -> bool:
        worker.freeze()
        if worker.does("idle", "Client"):
            return True
        worker.process.send_signal(signal.SIGCONT)
        return False

    wait_for(frozen_outside_a_transaction, 30, "it to be frozen between two batches")
    thread, found = start_undo(database, worker.run_id)
    thread.join(60)
    assert_taken_back(db, found)
    assert worker.wake() == "JournalRefused"
    assert_taken_back(db, found)


@pytest.mark.parametrize("then", ["woken", "killed", "its session terminated, then woken"])
def test_frozen_in_a_transaction_its_batch_comes_before_the_undo_or_not_at_all(
    then: str, worker: Worker, database: str, db: psycopg.Connection[Any]
) -> None:
    with psycopg.connect(database) as holder:  # a row of its batch is held, so that the transaction stays open
        holder.execute("SELECT 1 FROM orders WHERE id = %s FOR UPDATE", [BLOCKED_ROW])
        wait_for(lambda: worker.does("active", "Lock"), 30, "a batch that waits for the row")
        worker.freeze()
    wait_for(lambda: worker.does("idle in transaction", "Client"), 30, "its transaction to stand open")
    rows = cents(db)
    thread, found = start_undo(database, worker.run_id)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%%undo_token%%'"
    wait_for(lambda: db.execute(waits).fetchone() == (1,), 30, "the undo to wait for the open batch")
    assert cents(db) == rows
    if then == "woken":
        assert worker.wake() == "JournalRefused"  # the open batch is the run's last; the undo takes it back, too
    elif then == "killed":
        worker.process.kill()
    else:
        db.execute("SELECT pg_terminate_backend(%s)", [worker.session()[0]])
    thread.join(60)
    assert_taken_back(db, found)
    if "terminated" in then:
        assert worker.wake() in {"AdminShutdown", "OperationalError"}
        assert_taken_back(db, found)
