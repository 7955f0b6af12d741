"""Several processes on one run: ranges that share no row, taken and taken over, and taken back as one."""

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from holdfast import MemorySink, Reporter
from holdfast_producers.backfill import Backfill
from holdfast_producers.backfill_journal import Journal
from holdfast_producers.backfill_statements import Shape, last_keys
from holdfast_schemas.errors import BackfillInvalid
from holdfast_schemas.identity import new_id
from holdfast_schemas.runs import EpochAcknowledged, RunRequested
from tests.producers.settings import quick
from tests.waiting import wait_for

pytestmark = pytest.mark.postgres
ROWS = 1_000


@pytest.fixture
def db(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE TABLE items (id bigint PRIMARY KEY, doubled bigint, label text NOT NULL UNIQUE)")
        yield connection


def fill(db: psycopg.Connection[Any], rows: int, gap: int = 1) -> None:
    db.execute("INSERT INTO items SELECT i * %s, null, 'l' || i FROM generate_series(1, %s) i", [gap, rows])


def backfill(dsn: str, shards: int, **changes: Any) -> Backfill:
    settings: dict[str, Any] = {
        "dsn": dsn, "migration_id": "items-doubled", "target": "items", "table": "items", "key": "id",
        "set": {"doubled": "id * 2"}, "batch_rows": 50, "shards": shards, "expected_workers": 1,
    }  # fmt: skip
    return Backfill(**settings | changes)


@pytest.mark.parametrize("key", ["id", "label"])
@pytest.mark.parametrize(("rows", "gap"), [(0, 1), (1, 1), (3, 1000), (7, 1), (1_000, 17)])
@pytest.mark.parametrize("shards", [1, 2, 8])
def test_the_ranges_cover_every_row_once(
    db: psycopg.Connection[Any], key: str, rows: int, gap: int, shards: int
) -> None:
    fill(db, rows, gap)
    db.execute("ANALYZE items")
    ends = last_keys(db, Shape.of(db, "items", key, ("doubled",)), shards)
    assert 1 <= len(ends) <= shards
    kind = "bigint" if key == "id" else "text"
    counts, before = [], None
    for end in ends:
        row = db.execute(
            f"SELECT count(*) FROM items WHERE (%s::{kind} IS NULL OR {key} > %s::{kind}) AND {key} <= %s::{kind}",  # type: ignore[arg-type]
            [before, before, end],
        ).fetchone()
        counts.append(0 if row is None else row[0])
        before = end
    assert sum(counts) == rows
    if rows >= 1_000 and shards > 1:
        assert min(counts) > rows / shards / 2


def run_all(jobs: list[Backfill], run_id: str) -> tuple[list[Any], list[threading.Thread], list[MemorySink]]:
    results: list[Any] = []
    sinks = [MemorySink() for _ in jobs]

    def work(job: Backfill, sink: MemorySink) -> None:
        results.append(job.run(Reporter(quick(), sink=sink), run_id))

    threads = [threading.Thread(target=work, args=pair) for pair in zip(jobs, sinks, strict=True)]
    for thread in threads:
        thread.start()
    return results, threads, sinks


def wrong(db: psycopg.Connection[Any]) -> int:
    row = db.execute("SELECT count(*) FROM items WHERE doubled IS DISTINCT FROM id * 2").fetchone()
    return -1 if row is None else int(row[0])


def test_workers_share_the_shards_and_each_row_is_written_once(database: str, db: psycopg.Connection[Any]) -> None:
    fill(db, ROWS)
    run_id = new_id()
    results, threads, _ = run_all([backfill(database, 4, batch_delay_seconds=0.01) for _ in range(4)], run_id)
    for thread in threads:
        thread.join(30)
    assert wrong(db) == 0
    assert [(result.outcome, result.rows_done) for result in results] == [("completed", ROWS)] * 4
    assert db.execute("SELECT count(*), count(DISTINCT shard), count(DISTINCT key) FROM holdfast_journal.change").fetchone() == (
        ROWS, 4, ROWS,
    )  # fmt: skip


def test_a_shard_whose_worker_died_is_taken_over(database: str, db: psycopg.Connection[Any]) -> None:
    """Its session ends in a batch: the batch is rolled back, the shard is free, and who waited for it goes on with it."""
    fill(db, ROWS)
    run_id = new_id()
    job = backfill(database, 2)
    journal = Journal("holdfast_journal", run_id)
    journal.lay_out(db)
    shape = Shape.of(db, "items", "id", ("doubled",))
    journal.begin(db, "items-doubled", job._definition(shape), lambda: last_keys(db, shape, 2))
    with psycopg.connect(database) as dying:
        assert journal.take_shard(dying) == (0, True)
        results, threads, _ = run_all([job], run_id)
        second = "SELECT count(*) FROM items WHERE doubled IS NOT NULL AND id > 500"
        wait_for(lambda: db.execute(second).fetchone() == (500,), 20, "the free shard's rows")
        assert threads[0].is_alive()  # it waits for the other, and has not left as completed
        dying.cancel()
        dying.close()
    threads[0].join(20)
    assert wrong(db) == 0
    assert results[0].rows_done == ROWS


def test_all_shards_are_taken_back_by_one(database: str, db: psycopg.Connection[Any]) -> None:
    fill(db, ROWS)
    run_id = new_id()
    Journal("holdfast_journal", run_id).lay_out(db)
    results, threads, sinks = run_all([backfill(database, 3, batch_delay_seconds=0.05) for _ in range(3)], run_id)
    done = "SELECT count(DISTINCT shard) FROM holdfast_journal.change"
    wait_for(lambda: db.execute(done).fetchone() == (3,), 20, "rows in every shard")
    workers = [sink.of(RunRequested)[-1].worker_id for sink in sinks]
    for sink in sinks:
        sink.desire("rollback", reason="enough")
    for sink in sinks:  # as the ledger does: nobody is named before all have stopped
        wait_for(lambda s=sink: s.of(EpochAcknowledged) and s.of(EpochAcknowledged)[-1].state == "paused", 20, "a stop")
    for sink in sinks:
        sink.desire("rollback", undo_by=workers[1], undo_token=1)
    wait_for(lambda: Journal("holdfast_journal", run_id).is_undone(db), 20, "the undo")
    for sink in sinks:
        sink.desire("none")
    for thread in threads:
        thread.join(20)
    assert [result.outcome for result in results] == ["rolled_back"] * 3
    assert db.execute("SELECT count(*) FROM items WHERE doubled IS NOT NULL").fetchone() == (0,)


def test_other_shards_are_another_definition(database: str, db: psycopg.Connection[Any]) -> None:
    fill(db, 10)
    run_id = new_id()
    backfill(database, 2).run(Reporter(quick(), sink=MemorySink()), run_id)
    with pytest.raises(BackfillInvalid, match="start a new run"):
        backfill(database, 3).run(Reporter(quick(), sink=MemorySink()), run_id)
