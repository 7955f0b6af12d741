"""The demo's runner: ``python -m holdfast_consoles.demo.runner DSN ROWS BATCH_ROWS [SHARDS]``.

It converts ``amount_text`` to ``amount_cents`` with the same keyset backfill that users have, and knows nothing of the demo.
"""

import logging
import os
import sys

from holdfast import Reporter
from holdfast_producers.backfill import Backfill

from .orders import MIGRATION_ID, TARGET

BATCH_DELAY_SECONDS = 0.03
"""A backfill of a live table leaves room between its batches."""


def backfill(dsn: str, rows: int, batch_rows: int, kind: type[Backfill] = Backfill, shards: int = 1) -> Backfill:
    """The demo's backfill; with ``shards`` so many processes share its run."""
    return kind(
        dsn=dsn,
        migration_id=MIGRATION_ID,
        target=TARGET,
        table="public.orders",
        key="id",
        set={"amount_cents": "round(amount_text::numeric * 100)::bigint"},
        batch_rows=batch_rows,
        batch_delay_seconds=BATCH_DELAY_SECONDS,
        application_name=f"holdfast-runner-{os.getpid()}",
        shards=shards,
        expected_workers=shards,
        total_rows=rows,
    )


def main(dsn: str, rows: int, batch_rows: int, kind: type[Backfill] = Backfill, shards: int = 1) -> int:
    """Run it to its end; prints the outcome. What Holdfast's side logs goes to stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    result = backfill(dsn, rows, batch_rows, kind, shards).run(Reporter.from_env())
    print(
        f"{result.outcome}: {result.rows_done} rows done, {result.rows_failed} failed,"
        f" {result.rows_restored} restored, {result.rows_kept} kept as the application left them"
    )
    return 0


if __name__ == "__main__":
    dsn, *figures = sys.argv[1:]
    rows, batch_rows, shards = (*map(int, figures), 1)[:3]
    sys.exit(main(dsn, rows, batch_rows, shards=shards))
