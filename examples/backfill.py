"""Two ways to run a guarded backfill: Holdfast's own runner, and a loop of your own with a Reporter.

    export HOLDFAST_KAFKA__BOOTSTRAP_SERVERS=kafka:9092
    export HOLDFAST_MODE=observe          # begin like this: reports and is judged, never waits, pauses or raises
    python examples/backfill.py "postgresql:///shop"

Run it again with the same HOLDFAST_RUN_ID, and Holdfast's runner goes on after the last committed batch.
"""

import sys
from collections.abc import Iterable

import psycopg

from holdfast import Reporter
from holdfast_producers.backfill import Backfill


def with_our_runner(dsn: str) -> None:
    """Journal, resume, row-by-row retry and undo are the runner's."""
    result = Backfill(
        dsn=dsn,
        migration_id="orders-add-currency",
        target="orders",
        table="public.orders",
        key="id",
        set={"amount_cents": "(amount_text::numeric * 100)::bigint"},
        where="amount_cents IS NULL",
    ).run(Reporter.from_env())
    print(
        f"{result.outcome}: {result.rows_done} rows done, {result.rows_failed} passed over, {result.rows_restored} restored"
    )


def with_your_own_loop(dsn: str, batches: Iterable[list[int]]) -> None:
    """The same ten lines in any migration that you have.

    A run that can take itself back says ``can_undo=True``, catches RollbackRequested, and does it in
    ``with run.undoing(request) as undo`` from a journal of what it wrote; without that it is stopped, and a person told.
    """
    reporter = Reporter.from_env()
    with psycopg.connect(dsn, autocommit=True) as db, reporter.run("orders-add-currency", target="orders") as run:
        run.phase("backfill")
        for ids in batches:
            run.checkpoint()  # blocks while paused; raises RunStopped, RunFenced
            with run.batch(rows=len(ids)), db.transaction():  # timed; an exception counts as errors and goes on up
                db.execute("UPDATE orders SET currency = 'EUR' WHERE id = ANY(%s) AND currency IS NULL", [ids])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} DSN")
    with_our_runner(sys.argv[1])
