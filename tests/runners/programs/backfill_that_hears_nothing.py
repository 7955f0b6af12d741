"""``python -m tests.runners.programs.backfill_that_hears_nothing DSN RUN_ID LOCK_SECONDS``; prints how it ended.

Its ledger is its own memory, so no order of another process reaches it: the worst case of a worker that was frozen.
"""

import sys

import psycopg

from holdfast import MemorySink, Reporter
from holdfast_schemas.errors import HoldfastError
from tests.producers.settings import quick
from tests.producers.test_backfill import backfill

if __name__ == "__main__":
    dsn, run_id, lock_seconds = sys.argv[1:]
    job = backfill(
        dsn, batch_rows=20, batch_delay_seconds=0.2, lock_timeout_seconds=float(lock_seconds),
        application_name=f"frozen-{run_id}",
    )  # fmt: skip
    try:
        print(job.run(Reporter(quick(), sink=MemorySink()), run_id).outcome)
    except (HoldfastError, psycopg.Error) as error:
        print(type(error).__name__)
