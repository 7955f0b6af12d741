"""The demo's runner: ``python -m holdfast_consoles.demo.runner DSN ROWS BATCH_ROWS``.

It converts ``amount_text`` to ``amount_cents`` with the same keyset backfill that users have, and knows nothing of the demo.
"""

import logging
import sys

from holdfast import Reporter
from holdfast_producers.backfill import Backfill

from .orders import MIGRATION_ID

BATCH_DELAY_SECONDS = 0.03
"""A backfill of a live table leaves room between its batches."""


def backfill(dsn: str, rows: int, batch_rows: int, kind: type[Backfill] = Backfill) -> Backfill:
    """The demo's backfill."""
    return kind(
        dsn=dsn,
        migration_id=MIGRATION_ID,
        target="app",
        table="public.orders",
        key="id",
        set={"amount_cents": "round(amount_text::numeric * 100)::bigint"},
        batch_rows=batch_rows,
        batch_delay_seconds=BATCH_DELAY_SECONDS,
        total_rows=rows,
    )


def main(dsn: str, rows: int, batch_rows: int, kind: type[Backfill] = Backfill) -> int:
    """Run it to its end; prints the outcome. What Holdfast's side logs goes to stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    result = backfill(dsn, rows, batch_rows, kind).run(Reporter.from_env())
    print(
        f"{result.outcome}: {result.rows_done} rows done, {result.rows_failed} failed,"
        f" {result.rows_restored} restored, {result.rows_kept} kept as the application left them"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
