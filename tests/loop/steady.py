"""A runner of a test: ``python -m tests.loop.steady MIGRATION BATCHES [takeover] [workers=N]``; prints how it ended.

Each batch is ten rows and takes 20 ms. The last line is the outcome: completed, or the name of the refusal.
"""

import logging
import sys
import time

from holdfast import Reporter
from holdfast_schemas.errors import HoldfastError


def work(migration_id: str, batches: int, *options: str) -> str:
    workers = next((int(o.removeprefix("workers=")) for o in options if o.startswith("workers=")), 1)
    reporter = Reporter.from_env()
    run = reporter.run(
        migration_id, target="app", total_rows=batches * 10 * workers, expected_workers=workers,
        takeover="takeover" in options, can_undo="undo" in options,
    )  # fmt: skip
    try:
        with run:
            print(f"began {run.run_id}", flush=True)
            for number in range(batches):
                run.checkpoint()
                with run.batch(rows=10):
                    time.sleep(0.02)
                print(f"batch {number}", flush=True)
    except HoldfastError as refusal:
        return f"{type(refusal).__name__}: {refusal}"
    return "completed"


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    print(work(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]), flush=True)
