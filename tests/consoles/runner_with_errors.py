"""A runner: ``python -m tests.consoles.runner_with_errors MIGRATION_ID FILE``; FILE says how many of 50 rows fail."""

import signal
import sys
import time
from pathlib import Path

from holdfast import Reporter, RunStopped
from holdfast_schemas.settings import Settings
from tests.producers.settings import quick

BATCH_ROWS = 50


def main(migration_id: str, failing: Path) -> int:
    """Batches without end; SIGTERM ends the worker in order, and leaves the run as it is."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    reporter = Reporter(quick(Settings.load().kafka, start_timeout_seconds=60.0))
    try:
        with reporter.run(migration_id, target="app", total_rows=10_000_000) as run:
            while True:
                run.checkpoint()
                with run.batch(rows=BATCH_ROWS) as batch:
                    time.sleep(0.05)
                    batch.failed(rows=int(failing.read_text()))
    except RunStopped:
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
